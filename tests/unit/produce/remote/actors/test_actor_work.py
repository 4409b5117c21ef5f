"""What an actor makes of a ticket, without Ray."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from loader import NpyArrays
from loader.config import Config
from loader.data.layout import SlotLayout
from loader.data.pipeline.pipeline import Pipeline
from loader.data.plans.choice import pool_plan_of
from loader.data.rows import Indices
from loader.data.sources.source import Source
from loader.ipc import memfd
from loader.ipc.arena import ArenaLayout
from loader.ipc.board import WorkerCell
from loader.ipc.payload import payload
from loader.ipc.records import Ticket, TicketKind
from loader.produce.remote.actors.actor_work import ActorWork, Told

SIZE, ROWS = 4, 100


def noisy(sample: Any, rng: np.random.Generator) -> Any:
    x, y = sample
    if y % 10 == 7:
        raise ValueError("bad")
    return x + rng.random(dtype=np.float32), y


class Far(Source):
    """Samples that are far away, which notes what it is told to fetch."""

    rows_at_once = 64

    def __init__(self) -> None:
        self.begun: list[list[int]] = []

    def __len__(self) -> int:
        return ROWS

    def sample(self, index: int) -> Any:
        return np.float32(index)

    def will_read(self, indices: Indices) -> None:
        self.begun.append(indices.tolist())


class Elsewhere:
    """An actor, and what it is compared with."""

    def __init__(self, source: Source, transforms: list[Any], **settings: Any) -> None:
        config = Config(batch_size=SIZE, workers=1, **settings)
        self.here = Pipeline(source, transforms, config.seed)
        fd = payload.dump((self.here, config))
        found = self.here.probe(0)
        self.here.compile(found)
        self.plan = pool_plan_of(source, config)
        self.layout = SlotLayout(self.here.spec, SIZE, 3)
        told = Told(found.to_json(), ArenaLayout((self.layout,), 2, 16, 2).to_json(), config.on_error == "substitute", {}, ["numpy"])
        self.there = ActorWork(5, memfd.attach_readonly(fd), told)
        os.close(fd)

    def expected(self, ticket: Ticket, rows: int | None = None) -> list[np.ndarray]:
        indices = self.plan.indices(ticket.epoch, ticket.first, ticket.first + (ticket.rows if rows is None else rows))
        out = [np.zeros((len(indices), *leaf.shape), leaf.dtype) for leaf in self.here.spec.leaves]
        self.here.fill(indices, ticket.epoch, out, np.zeros(1, np.int64).data)
        return out


def ticket(first: int, rows: int, slot_row: int = 0, epoch: int = 1) -> Ticket:
    return Ticket(9, TicketKind.ROWS, 0, epoch, first, rows, slot_row, 0, first // 16 * 16)


@pytest.fixture
def source() -> Iterator[Source]:
    return NpyArrays(np.arange(ROWS * 3, dtype=np.float32).reshape(ROWS, 3), y=np.arange(ROWS) * 10)


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_block_has_the_rows_of_the_ticket_leaf_by_leaf(source: Source, shuffle: bool) -> None:
    at = Elsewhere(source, [noisy], shuffle=shuffle)
    for first, rows in ((0, 4), (4, 7), (17, 1), (90, 6)):
        wanted = ticket(first, rows)
        outcome, leaves = at.there.work(wanted, [])
        assert (outcome.good_rows, outcome.error, outcome.exhausted) == (rows, None, False)
        for found, expected in zip(leaves, at.expected(wanted), strict=True):
            assert found.tobytes() == expected.tobytes()


def test_rows_stay_as_they_are_while_the_next_ticket_is_worked_on(source: Source) -> None:
    at = Elsewhere(source, [])
    found = [at.there.work(ticket(first, 4), [])[1] for first in (0, 8)]
    for first, leaves in zip((0, 8), found, strict=True):
        for leaf, expected in zip(leaves, at.expected(ticket(first, 4)), strict=True):
            assert leaf.tobytes() == expected.tobytes()


def test_samples_that_are_far_away_are_begun_before_their_ticket_is_worked_on() -> None:
    at = Elsewhere(Far(), [], shuffle=True)
    source: Any = at.there._pipeline.source
    source.begun.clear()
    at.there.expect([ticket(0, 4), ticket(4, 4)])
    assert source.begun == [at.plan.indices(1, 0, 4).tolist(), at.plan.indices(1, 4, 8).tolist()]


def test_a_bad_sample_ends_the_block_at_its_batch_and_is_named() -> None:
    at = Elsewhere(NpyArrays(np.zeros((ROWS, 3), np.float32), y=np.arange(ROWS)), [noisy])
    wanted = ticket(0, 12)
    outcome, leaves = at.there.work(wanted, [])
    assert outcome.good_rows == 4
    assert outcome.error is not None
    assert (outcome.error["index"], outcome.error["worker"]) == (7, 5)
    for found, expected in zip(leaves, at.expected(wanted, 4), strict=True):
        assert found[:4].tobytes() == expected.tobytes()


def test_with_substitutes_the_journal_comes_with_the_block_and_known_killers_are_not_tried() -> None:
    at = Elsewhere(NpyArrays(np.zeros((ROWS, 3), np.float32), y=np.arange(ROWS)), [noisy], on_error="substitute")
    outcome, _ = at.there.work(ticket(0, 12), [3])
    assert outcome.error is None
    assert outcome.substituted == 2
    assert [record["index"] for record in outcome.journal][:1] == [7]
    assert [record["slot_row"] for record in outcome.journal][:1] == [7]


def test_a_lack_of_memory_is_no_fault_of_the_sample(source: Source) -> None:
    def greedy(sample: Any, rng: np.random.Generator) -> Any:
        if sample[1] == 500:
            raise MemoryError
        return sample

    at = Elsewhere(source, [greedy])
    assert at.there.work(ticket(0, 4), [])[0].exhausted is False
    outcome, _ = at.there.work(ticket(48, 4), [])
    assert outcome.exhausted
    assert outcome.good_rows == 0


def test_what_was_counted_goes_with_each_ticket_once() -> None:
    at = Elsewhere(NpyArrays(np.zeros((ROWS, 3), np.float32), y=np.arange(ROWS)), [noisy], on_error="substitute")
    assert at.there.work(ticket(0, 10), [])[0].counted == [(WorkerCell.BAD, 1)]
    assert at.there.work(ticket(0, 4), [])[0].counted == []
