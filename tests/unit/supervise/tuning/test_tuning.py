from __future__ import annotations

import logging
import os
import time

import pytest

from loader.ipc.board import Board, TrainerCell, WorkerCell, WorkerState
from loader.supervise.tuning.intervals import Intervals, Observation
from loader.supervise.tuning.tuning import Tuning, cpu_time_ns, queue_time_ns


def test_the_cpu_time_of_a_process_is_read_from_outside() -> None:
    own = time.process_time_ns()
    assert own <= cpu_time_ns(os.getpid()) <= time.process_time_ns()
    assert queue_time_ns(os.getpid()) >= 0


def test_a_process_that_is_gone_has_no_times() -> None:
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    assert (cpu_time_ns(pid), queue_time_ns(pid)) == (0, 0)


def simulated(seconds: float, *, active: bool) -> Tuning:
    """Return the tuning after a while with two workers, always at work on reads, and a trainer that always waits."""
    board = Board(Board.create(8), 8)
    tuning = Tuning(board, cores=2, active=active)
    for step in range(int(seconds * 4)):
        board.trainer[TrainerCell.WAIT_NS] += 250_000_000
        board.trainer[TrainerCell.BATCHES] += 5
        board.trainer[TrainerCell.SAMPLES] += 50
        for cells in board.workers[:2]:
            cells[WorkerCell.PID_GAUGE] = 2**22 + 1  # no process has this pid
            cells[WorkerCell.STATE_GAUGE] = WorkerState.BUSY
            cells[WorkerCell.SAMPLES] += 25
            cells[WorkerCell.BUSY_NS] += 250_000_000
        tuning.look(100 + step / 4, 2, filling=1)
    return tuning


def test_decisions_are_kept_and_logged_with_their_reasons(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    decision = simulated(5, active=True).decisions[0]
    assert (decision.before, decision.after) == (2, 8)
    assert "the trainer waits 100% of the time" in decision.reason
    assert caplog.messages[0] == f"workers 2 → 8: {decision.reason}"


def test_what_is_switched_off_decides_nothing() -> None:
    assert not simulated(5, active=False).decisions


def half_second(batches: int, filling: int = 0) -> Observation:
    return Observation(elapsed_s=0.5, batches=batches, samples=batches * 8, made=batches * 8, busy_s=0.5, filling=filling)


def kept_s(*batches: int, filling: int = 0) -> float:
    """Return the seconds that count of half-second intervals with so many batches, after the warm-up."""
    intervals = Intervals()
    for count in (5, 5, *batches):
        intervals.add(half_second(count, filling))
    return intervals.elapsed_s


def test_a_pause_is_left_out_with_the_interval_that_ends_it() -> None:
    assert kept_s(5, 5, 0, 0, 0, 0, 0, 0, 5) == 1.0
    assert kept_s(5, 5, 0, 0, 0, 0, 0, 0, 5, 5) == 1.5


def test_a_wait_for_slow_workers_is_no_pause() -> None:
    assert kept_s(5, 5, 0, 0, 0, 0, 0, 0, 5, filling=1) == 4.0


def test_a_slow_step_is_no_pause() -> None:
    assert kept_s(*[0, 0, 0, 0, 1] * 4) >= 5.0
