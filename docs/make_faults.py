"""Writes `docs/faults.md` from the table of faults that the tests play. `make docs`; a test compares."""

from __future__ import annotations

from pathlib import Path

from tests.faults.table import HOWS, SHORT, WHENS, How, When, cell

PAGE = Path(__file__).parent / "faults.md"

HEAD = """# What happens when something goes wrong

Each line is a fault, each column the moment at which it happens. `make faults` makes every cell happen on real processes and checks that this page is
right; `make test` does so for a sample of the cells. Whatever happens, it is over before a deadline, and no process, descriptor, shared memory,
socket or file is left behind, once nobody reads any more. Workers on other machines have a
[table of their own](workers_on_other_machines.md#what-happens-when-something-dies).

"""


def page() -> str:
    """Return the text of the page."""
    return HEAD + _meanings() + _moments() + _matrix() + _errors() + _warnings() + _reasons()


def _meanings() -> str:
    return "".join(f"- **{word}**: {meaning}\n" for word, meaning in SHORT.items()) + "\n"


def _moments() -> str:
    lines = "".join(f"| **{when.key}** | {when.text} | {when.how} |\n" for when in WHENS)
    return "## The moments\n\n| column | moment | how the tests bring it about |\n|---|---|---|\n" + lines + "\n"


def _matrix() -> str:
    head = "| | " + " | ".join(when.key for when in WHENS) + " |\n|---|" + "---|" * len(WHENS) + "\n"
    lines = (f"| {how.text} | " + " | ".join(_word(when, how) for when in WHENS) + " |\n" for how in HOWS)
    return "## The table\n\n" + head + "".join(lines) + "\n"


def _word(when: When, how: How) -> str:
    outcome = cell(when, how).outcome
    return outcome.word if outcome else "-"


def _errors() -> str:
    lines = []
    for how in HOWS:
        found: dict[tuple[str, str], list[str]] = {}
        for when in WHENS:
            outcome = cell(when, how).outcome
            if outcome and outcome.error:
                then = (
                    "the next epoch is complete" if not outcome.lasting else "each use raises it" if when.after is None else "so does the next epoch"
                )
                found.setdefault((outcome.text, then), []).append(when.key)
        lines += [f"| {how.text} | {', '.join(keys)} | {text} | {then} |\n" for (text, then), keys in found.items()]
    head = "## The errors\n\nThe batches before the one with the error are delivered.\n\n| fault | at | error | then |\n|---|---|---|---|\n"
    return head + "".join(lines) + "\n"


def _warnings() -> str:
    lines = []
    for how in HOWS:
        said = sorted({outcome.warns for when in WHENS if (outcome := cell(when, how).outcome) and outcome.warns})
        lines += [f"| {how.text} | “{words}” |\n" for words in said]
    head = "## The warnings\n\nTraining continues, and one `RuntimeWarning` says what happened.\n\n| fault | it says |\n|---|---|\n"
    return head + "".join(lines) + "\n"


def _reasons() -> str:
    texts: dict[str, list[str]] = {}
    for how in HOWS:
        for found in (cell(when, how) for when in WHENS):
            if not found.outcome and how.text not in texts.setdefault(found.reason, []):
                texts[found.reason].append(how.text)
    return "## What is left out, and why\n\n" + "".join(f"- {'; '.join(hows)}: {reason}.\n" for reason, hows in texts.items())


if __name__ == "__main__":
    PAGE.write_text(page())
