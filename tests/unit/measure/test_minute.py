"""The last minute of a loader, from its board."""

from __future__ import annotations

from loader.ipc.board import Board, TrainerCell, WorkerCell, WorkerState
from loader.measure.minute import LastMinute
from loader.measure.moments import Moment


def test_a_point_a_second_for_a_minute() -> None:
    board = Board(None, 2)
    minute = LastMinute(board)
    for cells in board.workers:
        cells[WorkerCell.STATE_GAUGE] = WorkerState.IDLE
    for tenth in range(800):
        minute.look(Moment.of(board, tenth / 10))
        board.trainer.add(TrainerCell.SAMPLES, 3)
        board.trainer.add(TrainerCell.WAIT_NS, 25_000_000)
        board.workers[0].add(WorkerCell.BUSY_NS, 100_000_000)
    points = minute.as_dict()
    assert points["step_s"] == 1.0
    assert points["samples_per_s"] == [30.0] * 60
    assert points["trainer_wait_ratio"] == [0.25] * 60
    assert points["worker_wait_ratio"] == [0.5] * 60


def test_for_how_long_nothing_was_taken_is_known_to_a_second() -> None:
    board = Board(None, 1)
    minute = LastMinute(board)
    minute.look(Moment.of(board, 10.0))
    assert minute.seconds_since_last_batch(10.5) is None
    board.trainer.add(TrainerCell.SAMPLES, 3)
    assert minute.seconds_since_last_batch(10.5) == 0
    for second in range(11, 16):
        minute.look(Moment.of(board, second))
    assert minute.seconds_since_last_batch(15.5) == 4.5


def test_a_slow_ticket_counts_while_it_lasts() -> None:
    board = Board(None, 1)
    (cells,) = board.workers
    cells[WorkerCell.STATE_GAUGE] = WorkerState.BUSY
    minute = LastMinute(board)
    minute.look(Moment.of(board, 50.0))
    cells[WorkerCell.TICKET_GAUGE] = 5
    cells[WorkerCell.TICKET_STARTED_NS_GAUGE] = 50_000_000_000
    minute.look(Moment.of(board, 51.0))
    assert minute.as_dict()["worker_wait_ratio"] == [0.0]


def test_without_workers_nothing_is_divided_by_nothing() -> None:
    board = Board(None, 0)
    minute = LastMinute(board)
    minute.look(Moment.of(board, 0.0))
    minute.look(Moment.of(board, 1.0))
    assert minute.as_dict()["worker_wait_ratio"] == [1.0]
