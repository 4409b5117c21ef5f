"""One cursor says which batch comes next; whoever makes batches reads it, and only the position moves it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from loader.data.spec import Array, Leaf, SampleSpec
from loader.errors import LoaderClosed
from loader.ipc.board import Board, TrainerCell
from loader.measure.meter import Meter
from loader.train.position import Position, Stage
from loader.train.producer import Cursor, Producer
from tests.plans import sample_batches

BATCHES = 3


class Numbers(Producer):
    """Makes batches that say where the cursor was, and notes where it was when it was told to skip."""

    pid, specs = 0, (SampleSpec((Leaf(0, None, (), np.dtype("int64")),)),)

    def __init__(self) -> None:
        self.board = Board(None, 0)
        self.cells = self.board.trainer
        self.cursor = Cursor()
        self.skipped: list[tuple[int, int]] = []
        self.fails: BaseException | None = None

    def take(self, leased: bool) -> tuple[Array, ...]:
        if self.fails is not None:
            raise self.fails
        batch: Any = ([self.cursor.epoch, self.cursor.batch],)
        return batch

    def skip(self) -> None:
        self.skipped.append((self.cursor.epoch, self.cursor.batch))

    def resize(self, workers: int) -> None:
        raise AssertionError

    def check_owner(self) -> None:
        raise LoaderClosed

    def relay(self) -> None:
        raise AssertionError

    def close(self) -> None:
        raise AssertionError


@pytest.fixture
def producer() -> Numbers:
    return Numbers()


@pytest.fixture
def position(producer: Numbers) -> Position:
    return Position(producer, sample_batches(2 * BATCHES, 2), Meter(producer.board))


def taken(position: Position, count: int) -> list[Any]:
    return [tuple(position.take(False)[0]) for _ in range(count)]


def test_an_epoch_goes_from_stage_to_stage(position: Position) -> None:
    assert position.stage is Stage.OUTSIDE
    position.begin(peek=False)
    stages = [position.stage]
    for _ in range(BATCHES):
        position.take(False)
        stages.append(position.stage)
    assert stages == [Stage.BEGUN, Stage.INSIDE, Stage.INSIDE, Stage.OUTSIDE]


def test_batches_are_made_where_the_cursor_is(position: Position, producer: Numbers) -> None:
    for epoch in range(2):
        position.begin(peek=False)
        assert taken(position, BATCHES) == [(epoch, batch) for batch in range(BATCHES)]
    assert producer.skipped == []


def test_an_epoch_that_is_left_is_skipped_once(position: Position, producer: Numbers) -> None:
    position.begin(peek=False)
    taken(position, 1)
    position.leave()
    position.leave()
    assert producer.skipped == [(1, 0)]
    assert position.place == (0, 1)
    assert position.upcoming == (1, 0)


def test_the_end_of_an_epoch_is_no_place_to_leave_it(position: Position, producer: Numbers) -> None:
    """Such as by a Ctrl-C that hits just after the last batch was taken: the next epoch is still the next one."""
    position.begin(peek=False)
    taken(position, BATCHES)
    position.leave(failed=True)
    assert producer.skipped == []
    assert position.place == position.upcoming == (1, 0)


def test_a_first_batch_that_fails_ends_its_epoch(position: Position, producer: Numbers) -> None:
    position.begin(peek=False)
    producer.fails = ValueError()
    with pytest.raises(ValueError):
        position.take(False)
    position.leave(failed=True)
    assert producer.skipped == [(1, 0)]
    assert position.place == (0, 0)


def test_an_iterator_that_has_only_begun_is_not_left_by_the_next_one(position: Position, producer: Numbers) -> None:
    position.begin(peek=False)
    position.begin(peek=False)
    assert producer.skipped == []
    assert taken(position, 1) == [(0, 0)]


@pytest.mark.parametrize("looked", range(1, BATCHES + 1))
def test_what_was_only_looked_at_is_handed_out_again_without_being_made(looked: int, position: Position, producer: Numbers) -> None:
    position.begin(peek=True)
    first = taken(position, looked)
    assert position.place == (0, 0)
    position.leave()
    producer.fails = AssertionError("made again")
    position.begin(peek=False)
    assert taken(position, looked) == first
    producer.fails = None
    assert taken(position, BATCHES - looked) == [(0, batch) for batch in range(looked, BATCHES)]
    assert producer.skipped == []


def test_the_board_shows_the_cursor_after_each_batch(position: Position, producer: Numbers) -> None:
    position.begin(peek=False)
    for _ in range(BATCHES):
        position.take(False)
        assert (producer.cells[TrainerCell.EPOCH_GAUGE], producer.cells[TrainerCell.BATCH_GAUGE]) == position.place
    position.move(5, 1)
    position.show()
    assert (producer.cells[TrainerCell.EPOCH_GAUGE], producer.cells[TrainerCell.BATCH_GAUGE]) == (5, 1)
    assert producer.skipped == [(5, 1)]


def test_a_closed_position_asks_for_nothing(position: Position, producer: Numbers) -> None:
    position.begin(peek=False)
    taken(position, 1)
    position.close()
    position.leave()
    assert producer.skipped == []
