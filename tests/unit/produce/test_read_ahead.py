"""What a worker asks for beforehand, and when."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from loader import NpyArrays, Source
from loader.data.order import Order
from loader.data.plans.sample_batches import SampleBatches
from loader.data.rows import Indices
from loader.ipc.board import Cells
from loader.ipc.records import Ticket, TicketKind
from loader.produce import read_ahead
from loader.produce.read_ahead import ReadAhead, Spent, rows_ahead, waits_for_storage

MS = 1_000_000
SAMPLES = 1_000
BLOCK = 300


class Wanted(NpyArrays):
    """Notes which samples are asked for."""

    def __init__(self, width: int = 500_000) -> None:
        super().__init__(np.broadcast_to(np.uint8(0), (SAMPLES, width)))
        self.asked: list[int] = []

    def will_read(self, indices: Indices) -> None:
        self.asked.extend(indices.tolist())


class Workers:
    """Some workers that are dealt one ticket after the other by turns, as they are by a supervisor."""

    def __init__(self, source: Source, workers: int, shuffle: bool | int = True, world: int = 1) -> None:
        plans = [SampleBatches(Order.as_set(SAMPLES, 3, shuffle, lambda: 0), 10, world=world) for _ in range(workers + 1)]
        self.plan = plans.pop()
        self.order = self.plan.order
        self.block = np.empty(BLOCK, np.int64)
        arena: Any = SimpleNamespace(block=lambda place: self.block)
        self.workers = [ReadAhead(source, plan, arena, Cells.private()) for plan in plans]

    def deal(self, number: int, epoch: int, first: int, rows: int) -> None:
        start = first // BLOCK * BLOCK
        stop = min(start + BLOCK, self.plan.rows)
        self.block[: stop - start] = self.plan.indices(epoch, start, stop)
        self.workers[number].begin(Ticket(0, TicketKind.ROWS, 0, epoch, first, rows, block_first=start))

    def samples(self, epoch: int, start: int, stop: int) -> list[int]:
        return self.plan.indices(epoch, start, stop).tolist()


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("workers", [1, 3])
def test_workers_together_ask_for_every_row_that_comes_and_for_none_twice(workers: int, shuffle: bool) -> None:
    source = Wanted()
    ahead = rows_ahead(source.spec.nbytes)
    pool = Workers(source, workers, shuffle)
    for number in range(workers):  # each one's first ticket asks for what the others don't know of
        pool.deal(number, 0, 5 * number, 5)
    begun = set(source.asked)
    assert begun == set(pool.samples(0, 0, 5 * workers + ahead))
    source.asked.clear()
    for number, first in enumerate(range(5 * workers, SAMPLES, 5)):
        pool.deal(number % workers, 0, first, 5)
    rest = [*pool.samples(0, 5 * workers + ahead, SAMPLES), *pool.samples(1, 0, ahead)]
    assert source.asked == rest


def test_rows_are_asked_for_before_they_are_read_after_a_jump_too() -> None:
    source = Wanted()
    pool = Workers(source, 1)
    for epoch, first in [(0, 0), (0, 10), (4, 700), (4, 710), (2, 0), (2, 10)]:
        pool.deal(0, epoch, first, 10)
        assert set(pool.samples(epoch, first, first + 10)) <= set(source.asked)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_window_is_asked_for_in_long_pieces_while_the_one_before_it_is_read(workers: int) -> None:
    source = Wanted(100)
    pool = Workers(source, workers, shuffle=200)
    window = pool.order.window
    assert window == 200
    for number, first in enumerate(range(0, SAMPLES, 10)):
        pool.deal(number % workers, 0, first, 10)
        asked = set(source.asked)
        assert set(pool.samples(0, first, min(first + window, SAMPLES) // window * window)) <= asked
    pieces = 1 + np.count_nonzero(np.diff(source.asked) != 1)
    assert pieces < SAMPLES // 4


def test_ranks_ask_for_their_own_samples_only() -> None:
    source = Wanted()
    pool = Workers(source, 1, shuffle=200, world=4)
    for first in range(0, pool.plan.rows, 10):
        pool.deal(0, 0, first, 10)
    own = {*pool.samples(0, 0, pool.plan.rows), *pool.samples(1, 0, pool.plan.rows)}
    assert set(source.asked) <= own


def test_windows_larger_than_memory_are_not_asked_for_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_ahead, "page_cache_bytes", lambda: 4 * 200 * 100 - 1)
    source = Wanted(100)
    Workers(source, 1, shuffle=200).deal(0, 0, 0, 10)
    assert set(source.asked) == set(Order(SAMPLES, 3, True, 200).indices(0, np.arange(10 + rows_ahead(100))).tolist())


@pytest.mark.parametrize(
    ("row_bytes", "rows"),
    [(0, 256), (784, 256), (150_528, 111), (2**20, 32), (8 * 2**20, 8), (2**30, 1)],
)
def test_storage_is_busy_with_many_small_rows_or_a_few_large_ones(row_bytes: int, rows: int) -> None:
    assert rows_ahead(row_bytes) == rows


@pytest.mark.parametrize(
    ("what", "busy", "working", "blocks", "already", "expected"),
    [
        ("nothing came from storage", 50, 10, 0, False, False),
        ("nothing comes any more", 50, 50, 0, True, False),
        ("it waited for storage", 50, 10, 8, False, True),
        ("something was read, but hardly waited for", 50, 45, 8, False, False),
        ("it comes in time because it was asked for", 50, 50, 8, True, True),
        ("another process had the core", 50, 50, 8, False, False),
    ],
)
def test_only_waits_for_storage_count(what: str, busy: int, working: int, blocks: int, already: bool, expected: bool) -> None:
    before = Spent(7 * MS, 3 * MS, 100)
    now = Spent((7 + busy) * MS, (3 + working) * MS, 100 + blocks)
    assert waits_for_storage(before, now, already) is expected, what


def test_a_source_that_has_nothing_to_ask_for_is_not_asked() -> None:
    class Plain(Source):
        def __len__(self) -> int:
            return SAMPLES

        def sample(self, index: int) -> tuple[Any, ...]:
            return (np.zeros(3),)

    assert not Workers(Plain(), 1).workers[0].active


def test_data_in_memory_are_asked_for_until_the_first_look_only() -> None:
    ahead = Workers(Wanted(), 1).workers[0]
    assert ahead.active
    ahead.look()
    assert not ahead.active


def test_a_source_that_fails_when_it_is_asked_is_asked_once(caplog: pytest.LogCaptureFixture) -> None:
    calls = []

    class Failing(Wanted):
        def will_read(self, indices: Indices) -> None:
            calls.append(indices)
            raise RuntimeError("no idea")

    world = Workers(Failing(), 1)
    world.deal(0, 0, SAMPLES - 10, 10)  # what comes next is in the next epoch, and would be asked for by a second call
    assert len(calls) == 1
    assert not world.workers[0].active
    world.workers[0].look()
    assert not world.workers[0].active
    assert "the source can't say what it will read" in caplog.text
