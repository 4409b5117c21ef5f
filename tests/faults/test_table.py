"""The table of faults on real processes, cell by cell. `make test` plays a sample of it, `make faults` all; see `tests.faults.table`."""

from __future__ import annotations

import runpy
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conductor import Conductor
from tests.faults.table import HOWS, POSSIBLE, WHENS, Cell, sample

SAMPLE = sample()


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose path leaves room for the name of a socket."""
    folder = Path(tempfile.mkdtemp(prefix="fault-"))
    yield folder
    shutil.rmtree(folder)


def _marks(cell: Cell) -> list[pytest.MarkDecorator]:
    if cell.name in SAMPLE:
        return [pytest.mark.thorough] if cell.how.ranks else []
    return [pytest.mark.faults]


@pytest.mark.cold  # a start of usual length has more moments, and forks of a script would keep the interpreter of its supervisors
@pytest.mark.parametrize("cell", [pytest.param(cell, id=cell.name, marks=_marks(cell)) for cell in POSSIBLE])
def test_what_the_table_says_holds(cell: Cell, short_path: Path, record_property: Any) -> None:
    record_property("cell", cell.name)
    if cell.how.by == "machine" and subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no mount namespace (unshare --mount)")
    conductor = Conductor(cell, short_path)
    conductor.play()
    conductor.judge()


def test_the_sample_has_every_fault_and_every_moment() -> None:
    chosen = [cell for cell in POSSIBLE if cell.name in SAMPLE]
    assert {cell.how.key for cell in chosen} == {how.key for how in HOWS}
    assert {cell.when.key for cell in chosen} == {when.key for when in WHENS}


def test_the_page_of_faults_is_what_the_table_says() -> None:
    namespace = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "make_faults.py"))
    assert namespace["PAGE"].read_text() == namespace["page"](), "run `make docs`"
