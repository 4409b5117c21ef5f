"""What the tests of this folder share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import kill_with_stacks
from tests.scripts import Script


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
