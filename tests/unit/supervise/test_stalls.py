from __future__ import annotations

import pytest

from loader.ipc.board import Cells, WorkerCell
from loader.supervise.stalls import StallDetector


@pytest.fixture
def cells() -> Cells:
    """A worker's counters: its first ticket, at no row yet."""
    cells = Cells.private()
    cells[WorkerCell.PID_GAUGE] = 1_000
    cells[WorkerCell.TICKET_STARTED_NS_GAUGE] = 5
    cells[WorkerCell.ROW_GAUGE] = -1
    return cells


def test_a_worker_that_does_not_move_is_stalled_after_the_timeout_and_not_before(cells: Cells) -> None:
    stalls = StallDetector(10.0)
    assert not stalls.stalled(0, cells, held=1, now=100.0)
    assert not stalls.stalled(0, cells, held=1, now=109.9)
    assert stalls.stalled(0, cells, held=1, now=110.0)


def test_the_time_before_it_was_first_seen_does_not_count(cells: Cells) -> None:
    assert not StallDetector(10.0).stalled(0, cells, held=1, now=1e9)


@pytest.mark.parametrize("cell", [WorkerCell.ROW_GAUGE, WorkerCell.TICKET_STARTED_NS_GAUGE, WorkerCell.PID_GAUGE])
def test_a_new_row_ticket_or_process_starts_the_time_again(cells: Cells, cell: WorkerCell) -> None:
    stalls = StallDetector(10.0)
    stalls.stalled(0, cells, held=2, now=0.0)
    cells.add(cell, 1)
    assert not stalls.stalled(0, cells, held=2, now=11.0)
    assert not stalls.stalled(0, cells, held=2, now=20.0)
    assert stalls.stalled(0, cells, held=2, now=21.0)


def test_a_worker_without_a_ticket_is_never_stalled_and_starts_afresh_with_the_next(cells: Cells) -> None:
    stalls = StallDetector(10.0)
    for now in range(0, 100, 5):
        assert not stalls.stalled(0, cells, held=0, now=float(now))
    assert not stalls.stalled(0, cells, held=1, now=101.0)
    assert stalls.stalled(0, cells, held=1, now=105.0)


def test_each_worker_has_a_time_of_its_own(cells: Cells) -> None:
    stalls = StallDetector(10.0)
    stalls.stalled(0, cells, held=1, now=0.0)
    stalls.stalled(1, cells, held=1, now=8.0)
    assert stalls.stalled(0, cells, held=1, now=12.0)
    assert not stalls.stalled(1, cells, held=1, now=12.0)


def test_a_replacement_has_the_whole_time(cells: Cells) -> None:
    stalls = StallDetector(10.0)
    stalls.stalled(0, cells, held=1, now=0.0)
    assert stalls.stalled(0, cells, held=1, now=10.0)
    cells[WorkerCell.PID_GAUGE] = 2_000
    assert not stalls.stalled(0, cells, held=1, now=10.5)
    assert not stalls.stalled(0, cells, held=1, now=20.0)
    assert stalls.stalled(0, cells, held=1, now=20.5)


def test_counters_of_work_done_are_no_progress(cells: Cells) -> None:
    stalls = StallDetector(10.0)
    stalls.stalled(0, cells, held=1, now=0.0)
    cells.add(WorkerCell.BUSY_NS, 1_000)
    assert stalls.stalled(0, cells, held=1, now=10.0)
