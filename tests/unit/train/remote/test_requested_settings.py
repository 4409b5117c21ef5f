"""What the next supervisor runs with is what was wanted last, by whomever."""

from __future__ import annotations

from typing import Any

import pytest

from loader import RayWorkers
from loader.config import Config
from loader.ipc.board import Cells, SupervisorCell
from loader.ipc.records import Resize
from loader.train.remote.restarts import RequestedSettings

GIB = 2**30


class Supervisor:
    """Shows on its cells what it runs with, as a real one does."""

    def __init__(self, cells: Cells, wanted: RequestedSettings) -> None:
        self.cells = cells
        numbers = wanted.numbers()
        self.obey(numbers["workers"], bool(numbers["auto"]))
        self.cells[SupervisorCell.REMOTE_GAUGE] = numbers["remote"]
        self.limit(numbers["limit"] or GIB, not numbers["limit"])

    def obey(self, workers: int, auto: bool = False) -> None:
        self.cells[SupervisorCell.AUTO_GAUGE] = auto
        self.cells[SupervisorCell.WORKERS_GAUGE] = workers

    def hear(self, record: Resize) -> None:
        self.obey(record.workers)
        self.cells[SupervisorCell.RESIZES] = record.number

    def limit(self, nbytes: int, default: bool = False) -> None:
        self.cells[SupervisorCell.LIMIT_BYTES_GAUGE] = nbytes
        self.cells[SupervisorCell.LIMIT_IS_DEFAULT_GAUGE] = default


@pytest.fixture
def cells() -> Cells:
    return Cells.private()


def wanted_by(cells: Cells, **settings: Any) -> RequestedSettings:
    return RequestedSettings(Config(**{"batch_size": 4, "workers": 4, **settings}), cells)


def death(cells: Cells, wanted: RequestedSettings) -> dict[str, int]:
    """A supervisor dies; return what the next one is told."""
    wanted.remember()
    cells.clear_gauges(SupervisorCell)
    return wanted.numbers()


def test_an_operators_word_after_the_scripts_is_kept_also_where_the_number_stays(cells: Cells) -> None:
    wanted = wanted_by(cells)
    supervisor = Supervisor(cells, wanted)
    supervisor.hear(wanted.resized(4))
    supervisor.obey(4, auto=True)
    assert death(cells, wanted) == {"workers": 4, "auto": 1, "remote": 0, "limit": 0}
    supervisor = Supervisor(cells, wanted)
    supervisor.obey(2)
    assert death(cells, wanted) == {"workers": 2, "auto": 0, "remote": 0, "limit": 0}


def test_a_resize_that_was_not_heard_is_the_last_word(cells: Cells) -> None:
    wanted = wanted_by(cells, workers="auto")
    supervisor = Supervisor(cells, wanted)
    supervisor.hear(wanted.resized(3))
    supervisor.obey(6, auto=True)
    wanted.resized(6)
    assert death(cells, wanted) == {"workers": 6, "auto": 0, "remote": 0, "limit": 0}
    Supervisor(cells, wanted).obey(6, auto=True)  # of the next one, which need not hear of it any more
    assert death(cells, wanted) == {"workers": 6, "auto": 1, "remote": 0, "limit": 0}


def test_a_supervisor_that_dies_while_it_boots_changes_nothing(cells: Cells) -> None:
    wanted = wanted_by(cells)
    supervisor = Supervisor(cells, wanted)
    supervisor.obey(3, auto=True)
    supervisor.limit(5 * GIB)
    expected = {"workers": 3, "auto": 1, "remote": 0, "limit": 5 * GIB}
    assert death(cells, wanted) == expected
    assert death(cells, wanted) == expected
    wanted.resized(2)
    assert death(cells, wanted) == {"workers": 2, "auto": 0, "remote": 0, "limit": 5 * GIB}


def test_remote_workers_are_as_many_as_were_wanted_last(cells: Cells) -> None:
    wanted = wanted_by(cells, remote=RayWorkers(min=2, max=8))
    assert wanted.numbers()["remote"] == 2
    Supervisor(cells, wanted)
    assert death(cells, wanted)["remote"] == 2
    supervisor = Supervisor(cells, wanted)
    supervisor.cells[SupervisorCell.REMOTE_GAUGE] = 6
    assert death(cells, wanted)["remote"] == 6
    assert death(cells, wanted)["remote"] == 6  # of one that has died while it booted


def test_a_limit_that_was_derived_is_derived_again(cells: Cells) -> None:
    wanted = wanted_by(cells)
    Supervisor(cells, wanted)
    assert death(cells, wanted)["limit"] == 0
