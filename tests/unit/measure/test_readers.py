"""Who reads a shared loader, who is slow, and what sharing saves: arithmetic with counters."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from loader.ipc.board import Board, SupervisorCell, TrainerCell, WorkerCell, WorkerState
from loader.ipc.who_reads import Present, tell_who_reads, who_reads
from loader.measure import meter as module
from loader.measure.meter import Meter
from loader.measure.moments import Moment, led
from loader.measure.readers import ReaderStats, held_up_by, readers_of, sharing_of
from loader.measure.reading import Reading
from loader.measure.stats import Stats


class Readers:
    """Readers of a pool: each takes so many batches of ten samples per second, and waits for so much of its time.

    Args:
        paces: batches per second and share of its time that it waits, of each reader.
        made: batches that the workers make per second.
    """

    def __init__(self, *paces: tuple[float, float], made: float) -> None:
        self.paces, self.made = paces, made

    def moments(self, seconds: int = 10, come: Sequence[int] = ()) -> list[Moment]:
        """Return a moment for each second; reader n is there from second `come[n]` on."""
        since = [*come, *[0] * len(self.paces)]
        return [
            Moment(
                at_s=float(second),
                wait_ns=0,
                samples=0,
                made=int(10 * self.made * second),
                readers=tuple(
                    Reading(number, 100 + number, int(1e9 * wait * there), int(10 * rate * there), int(rate * there))
                    for number, (rate, wait) in enumerate(self.paces)
                    if (there := second - since[number]) >= 0
                ),
            )
            for second in range(seconds + 1)
        ]

    def stats(self, companies: Sequence[int], waiting: Sequence[int] = (), **more: Any) -> list[ReaderStats]:
        """Return what is said of them, if they are handed the same batches where their companies are the same."""
        return readers_of(self.moments(**more), [(0, 7)] * len(self.paces), companies, waiting)


def test_each_reader_has_its_own_rates_and_those_that_it_shares_with() -> None:
    first, second, third = Readers((20, 0.0), (20, 0.1), (5, 0.0), made=25).stats([0, 0, 2])
    assert (first.samples_per_s, first.wait_ratio, first.shares_with) == (200, 0, [1])
    assert (second.samples_per_s, second.wait_ratio, second.shares_with) == (200, pytest.approx(0.1), [0])
    assert (third.samples_per_s, third.shares_with, third.state) == (50, [], "slow")
    assert str(third) == "epoch 0, batch 7, 50 samples/s, waits 0%, a stream of its own, slow"
    assert "shares with 1 other" in str(second)


@pytest.mark.parametrize(
    ("paces", "slow"),
    [
        ([(20, 0.0), (20, 0.0)], []),
        ([(20, 0.5), (20, 0.0)], [1]),  # in step: the first could take twice as much, and waits for the second
        ([(20, 0.5), (20, 0.6)], []),  # both wait for data, so the workers are slow
        ([(20, 0.99), (20, 0.97)], []),
        ([(20, 0.0), (19, 0.0)], []),
        ([(20, 0.0), (4, 0.0), (8, 0.0)], [1, 2]),
        ([(0.5, 0.0), (0.2, 0.0)], []),  # too few to tell
    ],
)
def test_a_reader_is_slow_whose_data_is_there_and_that_takes_less_than_another_could(paces: Any, slow: list[int]) -> None:
    found = Readers(*paces, made=20).stats([0] * len(paces))
    assert [reader.number for reader in found if reader.state == "slow"] == slow


def test_one_that_takes_nothing_pauses_unless_it_waits_or_has_just_come() -> None:
    readers = Readers((20, 0.0), (0, 0.0), made=20)
    assert [reader.state for reader in readers.stats([0, 1])] == ["reads", "paused"]
    assert [reader.state for reader in readers.stats([0, 1], waiting=[1])] == ["reads", "reads"]
    assert [reader.state for reader in readers.stats([0, 1], come=[0, 9])] == ["reads", "reads"]


def test_one_that_came_a_moment_ago_has_the_rate_of_its_own_time() -> None:
    _, late = Readers((20, 0.0), (20, 0.25), made=20).stats([0, 0], come=[0, 6])
    assert (late.samples_per_s, late.wait_ratio) == (200, 0.25)


@pytest.mark.parametrize(
    ("paces", "made", "words"),
    [
        ([(20, 0.0)] * 4, 20.4, "4 readers, 1.02 × the work of one; without sharing, 4.00 ×"),
        ([(20, 0.0), (2, 0.0)], 22.0, "2 readers, 1.10 × the work of one; without sharing, 1.10 ×"),
        ([(20, 0.0), (20, 0.0), (0, 0.0)], 19.8, "2 readers, 1.00 × the work of one; without sharing, 2.00 ×"),
        ([(20, 0.0), (0, 0.0)], 20.0, "None"),
        ([(0.5, 0.0), (0.5, 0.0)], 0.5, "None"),
        ([], 0.0, "None"),
    ],
)
def test_what_sharing_saves_is_told_in_the_work_of_the_fastest(paces: Any, made: float, words: str) -> None:
    assert str(sharing_of(Readers(*paces, made=made).moments())) == words


def test_what_sharing_saves_is_measured_since_the_last_one_came() -> None:
    moments = Readers((20, 0.0), (20, 0.0), made=20).moments(come=[0, 5])
    assert str(sharing_of(moments)) == "2 readers, 1.00 × the work of one; without sharing, 2.00 ×"


@pytest.mark.parametrize(("per_slot", "slots"), [(64, 12), (64, 4), (1, 16)])
def test_what_is_made_to_fill_the_slots_is_no_work_for_others(per_slot: int, slots: int) -> None:
    moments = []
    for moment in Readers((50, 0.0), (50, 0.0), made=0).moments():
        taken = moment.readers[0].batches
        begun = taken // per_slot + slots  # all slots are full but the one that is read
        full = moment.at_s > 1
        moments.append(moment._replace(made=10 * per_slot * begun if full else 0, nothing_to_fill_ns=int(1e8 * moment.at_s) if full else 0))
    found = sharing_of(moments)
    assert found is not None
    assert found.work == pytest.approx(1.0, abs=0.08)
    assert sharing_of(moments[:3]) is None


def test_a_reader_waits_for_a_slow_one_only_if_both_get_the_same_batches() -> None:
    fast, slow = Readers((20, 0.5), (20, 0.0), made=20).stats([0, 0])
    assert held_up_by(0, [fast, slow]) == slow
    assert held_up_by(1, [fast, slow]) is None
    assert held_up_by(0, [replace(fast, shares_with=[]), replace(slow, shares_with=[])]) is None
    assert held_up_by(7, [fast, slow]) is None
    assert held_up_by(0, []) is None


def test_the_loader_is_seen_from_the_reader_that_takes_most() -> None:
    number, seen = led(Readers((0, 0.0), (5, 0.0), (20, 0.3), made=25).moments(come=[0, 0, 4]))
    assert (number, len(seen), seen[-1].batches - seen[0].batches) == (2, 7, 120)
    moments = [moment._replace(readers=()) for moment in Readers(made=1).moments()]
    assert led(moments) == (0, moments)


def test_another_reader_with_the_row_of_one_that_has_gone_begins_anew() -> None:
    moments = Readers((20, 0.0), made=20).moments()
    gone = [moment._replace(readers=(moment.readers[0]._replace(batches=1000 + place, samples=9999),)) for place, moment in enumerate(moments[:5])]
    other = [moment._replace(readers=(moment.readers[0]._replace(pid=7),)) for moment in moments[:5]]
    for before in (gone, other):
        (found,) = readers_of([*before, *moments[5:]], [(0, 0)], [0], [])
        assert found.samples_per_s == 200


@pytest.fixture
def board() -> Iterator[Board]:
    fd = Board.create(2)
    yield Board(fd, 2)
    os.close(fd)


def test_who_reads_is_one_word_each_and_gone_with_the_supervisor(board: Board) -> None:
    readers = [Present(0, 2**22, 0, 0), Present(3, 17, 3), Present(32, 18, 0, 1000)]
    tell_who_reads(board.readers, readers)
    assert who_reads(board.readers) == readers
    tell_who_reads(board.readers, readers[1:])
    assert who_reads(board.readers) == readers[1:]
    board.bury()
    assert who_reads(board.readers) == []


def test_of_a_loader_whose_owner_does_not_read_the_others_are_shown(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(module, "time", type("Clock", (), {"monotonic": lambda: now[0]}))
    tell_who_reads(board.readers, [Present(1, 17, 1), Present(2, 18, 1)])
    board.workers[0][WorkerCell.STATE_GAUGE] = WorkerState.BUSY
    served, mine = Meter(board, leads=True), Meter(board.seen_by(2))
    assert served.stats("a").verdict == "no batch was taken from the loader yet"
    for _ in range(100):
        now[0] += 0.1
        for number, epoch in ((1, 0), (2, 1)):
            row = board.reader(number)
            row.add(TrainerCell.BATCHES, number)
            row.add(TrainerCell.SAMPLES, 8 * number)
            row[TrainerCell.EPOCH_GAUGE], row[TrainerCell.BATCH_GAUGE] = epoch, 5
        board.workers[0].add(WorkerCell.SAMPLES, 24)
        board.workers[0].add(WorkerCell.BUSY_NS, 10_000_000)
        served.look(now[0])
        mine.look(now[0])
    found = served.stats("a")
    assert (found.epoch, found.batch, found.batches_delivered, found.verdict_kind) == (1, 5, 200, "model")
    assert found.samples_per_s == pytest.approx(160, rel=0.1)
    assert [(reader.pid, reader.state) for reader in found.readers] == [(17, "slow"), (18, "reads")]
    assert found.sharing is not None
    assert found.sharing.work == pytest.approx(1.5, rel=0.1)
    assert mine.stats("a") == found
    assert Stats.from_dict(found.as_dict()) == found
    assert "reader 17" in str(found)
    assert "2 readers, 1.5" in str(found)


def test_ranks_are_named_as_such_and_share_nothing() -> None:
    moments = Readers((20, 0.0), (20, 0.0), made=40).moments()
    ranks = [moment._replace(readers=tuple(one._replace(rank=one.number) for one in moment.readers)) for moment in moments]
    found = readers_of(ranks, [(0, 0)] * 2, [0, 1], [])
    assert [reader.rank for reader in found] == [0, 1]
    assert str(found[1]).endswith("waits 0%, rank 1")
    assert sharing_of(ranks) is None


def test_a_loader_that_is_not_shared_has_no_readers(board: Board) -> None:
    board.supervisor[SupervisorCell.READERS_GAUGE] = 0
    found = Meter(board, leads=True).stats("a")
    assert (found.readers, found.sharing) == ([], None)
    assert Meter(Board(None, 0)).stats("a").readers == []
