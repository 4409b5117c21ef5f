from __future__ import annotations

import logging

import pytest

from loader.ipc.board import Board, TrainerCell, WorkerCell, WorkerState
from loader.measure.moments import Moment
from loader.supervise.tuning.crew import Crew
from loader.supervise.tuning.intervals import Intervals
from loader.supervise.tuning.tuning import Tuning


def simulated(seconds: float, *, active: bool, local: int = 8) -> Tuning:
    """Return the tuning after a while with two workers, always at work on reads, and a trainer that always waits."""
    board = Board(Board.create(8), local, 8 - local)
    tuning = Tuning(board, cores=2, active=active)
    for step in range(int(seconds * 4)):
        board.trainer[TrainerCell.WAIT_NS] += 250_000_000
        board.trainer[TrainerCell.BATCHES] += 5
        board.trainer[TrainerCell.SAMPLES] += 50
        for cells in board.workers[:2]:
            cells[WorkerCell.STATE_GAUGE] = WorkerState.BUSY
            cells[WorkerCell.SAMPLES] += 25
            cells[WorkerCell.BUSY_NS] += 250_000_000
        if tuning.due(now := 100 + step / 4):
            tuning.look(now, Crew(2), lambda: {0: 0})
    return tuning


def test_decisions_are_kept_and_logged_with_their_reasons(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    decision = simulated(5, active=True).decisions[0]
    assert (decision.before, decision.after) == (2, 8)
    assert "the trainer waits 100% of the time" in decision.reason
    assert caplog.messages[0] == f"workers 2 → 8: {decision.reason}"


def test_workers_on_other_machines_are_decided_about_also_where_the_number_of_local_ones_is_fixed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    decision = simulated(5, active=False, local=2).decisions[0]
    assert (decision.before, decision.after, decision.who) == (0, 6, "remote workers")
    assert caplog.messages[0] == f"remote workers 0 → 6: {decision.reason}"


def test_what_is_switched_off_decides_nothing() -> None:
    assert not simulated(5, active=False).decisions


def counted_s(*batches: int, waits: bool = False) -> float:
    """Return the seconds that count of half-second intervals with so many batches; in those without, the trainer pauses or `waits`."""
    intervals = Intervals()
    taken = waited_ns = 0
    for half, count in enumerate((0, 5, 5, *batches)):
        taken += count
        waited_ns += 500_000_000 * (waits and not count)
        intervals.add(Moment(half / 2, waited_ns, 8 * taken, taken, made=8 * taken))
    return intervals.elapsed_s


def test_a_pause_is_left_out_with_the_intervals_in_which_it_begins_and_ends() -> None:
    assert counted_s(5, 5, 5, 0, 0, 0, 0, 0, 0, 5) == 1.0
    assert counted_s(5, 5, 5, 0, 0, 0, 0, 0, 0, 5, 5) == 1.5


def test_a_pause_that_goes_on_changes_nothing() -> None:
    assert counted_s(5, 5, 5) == counted_s(5, 5, 5, *[0] * 1000) == 1.5


def test_a_wait_for_slow_workers_is_no_pause() -> None:
    assert counted_s(5, 5, 0, 0, 0, 0, 0, 0, 5, waits=True) == 4.0


def test_a_slow_step_is_no_pause() -> None:
    assert counted_s(*[0, 0, 0, 0, 1] * 4) >= 5.0
