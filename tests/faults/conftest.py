"""What the tests of this folder share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import kill_with_stacks
from tests.faults.table import HOWS, POSSIBLE, SHORT, WHENS, cell
from tests.scripts import Script
from tests.warm_starts import warm_interpreters, warm_starts

__all__ = ["start", "warm_interpreters", "warm_starts"]

WIDTH = 11


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Script]]:
    """Return a function that starts a script of `tests.scripts`; whatever still runs afterwards is killed."""
    scripts: list[Script] = []

    def run(text: str) -> Script:
        scripts.append(Script(text, tmp_path / f"run{len(scripts)}"))
        return scripts[-1]

    yield run
    for script in scripts:
        if script.process.poll() is None:
            kill_with_stacks(script.process)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the matrix of faults and moments, if more of it was played than the sample."""
    outcomes: dict[str, str] = {}
    for word in ("passed", "failed", "skipped"):
        for report in terminalreporter.stats.get(word, []):
            for key, name in getattr(report, "user_properties", []):
                if key == "cell":
                    outcomes[name] = word
    if len(outcomes) > len(POSSIBLE) / 2:
        write_matrix(terminalreporter.write_line, outcomes)


def write_matrix(write: Callable[[str], object], outcomes: dict[str, str]) -> None:
    """Write one line per fault and one column per moment.

    Args:
        write: a line.
        outcomes: "passed", "failed" or "skipped", by the name of the cell; what is missing was not run.
    """
    left = max(len(how.text) for how in HOWS) + 2
    write("")
    write(" " * left + "".join(f"{when.key:<{WIDTH}}" for when in WHENS))
    for how in HOWS:
        words = []
        for found in (cell(when, how) for when in WHENS):
            done = {"passed": found.outcome.word, "failed": "FAILED", "skipped": "skipped"} if found.outcome else {}
            words.append(done.get(outcomes.get(found.name, ""), "?" if found.outcome else "-"))
        write(f"{how.text:<{left}}" + "".join(f"{word:<{WIDTH}}" for word in words))
    write("")
    for when in WHENS:
        write(f"{when.key:<{WIDTH}} {when.text}: {when.how}")
    write("")
    for word, meaning in SHORT.items():
        write(f"{word:<{WIDTH}} {meaning}")
