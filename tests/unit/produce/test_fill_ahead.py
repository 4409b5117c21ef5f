"""What an idle worker fetches for the caches of far data."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from loader.data.order import Order
from loader.data.plans.epoch_plan import EpochPlan
from loader.data.plans.sample_batches import SampleBatches
from loader.data.rows import Indices
from loader.ipc.records import Ticket, TicketKind
from loader.produce.fill_ahead import FillAhead
from loader.produce.ticket_queue import TicketQueue


class Fetched:
    """Stands for a source and for what fetches for it, and notes what is asked for."""

    def __init__(self, rows: int = 96) -> None:
        self.rows_at_once = rows
        self.may_fill = self.idle = True
        self.asked: list[int] = []

    def fetchers(self) -> list[Any]:
        return [self]

    def far_spans(self, indices: Indices) -> list[tuple[Any, Indices]]:
        return [(self, indices)]

    def fill(self, spans: Indices) -> None:
        self.asked += spans.tolist()


def plan(samples: int = 20, batch_size: int = 8, **settings: Any) -> EpochPlan:
    return SampleBatches(Order(samples, 0, shuffle=True), batch_size, **settings)


def ticket(epoch: int, first: int, rows: int) -> Ticket:
    return Ticket(1, TicketKind.ROWS, 0, epoch, first, rows)


def filled(source: Any, over: EpochPlan, *tickets: Ticket) -> list[int]:
    filler = FillAhead(source, over)
    for each in tickets:
        filler.follow(each)
    while filler.step():
        pass
    return list(source.asked)


def test_all_that_comes_up_to_the_end_of_the_next_epoch_is_fetched_in_order() -> None:
    order = plan()
    expected = np.concatenate([order.indices(3, 12, 20), order.indices(4, 0, 20)])
    assert filled(Fetched(), order, ticket(3, 8, 4)) == expected.tolist()


def test_a_jump_back_fetches_nothing_twice() -> None:
    order = plan()
    source = Fetched()
    filler = FillAhead(source, order)  # type: ignore[arg-type]
    for each in (ticket(1, 0, 20), ticket(0, 0, 4)):
        filler.follow(each)
        while filler.step():
            pass
    assert source.asked == order.indices(2, 0, 20).tolist()


def test_a_rank_fetches_what_it_will_read_itself() -> None:
    ranks = [plan(world=2, rank=rank, drop_last=True) for rank in (0, 1)]
    assert filled(Fetched(), ranks[1], ticket(0, 0, 8)) == ranks[1].indices(1, 0, 8).tolist()


def test_nothing_is_asked_for_while_anything_is_on_its_way_or_when_the_cache_is_full() -> None:
    source = Fetched()
    filler = FillAhead(source, plan())  # type: ignore[arg-type]
    filler.follow(ticket(0, 0, 1))
    source.idle = False
    assert filler.step()
    assert source.asked == []
    source.idle, source.may_fill = True, False
    assert not filler.step()
    assert source.asked == []


def test_only_a_few_are_asked_for_at_a_time() -> None:
    class Busy(Fetched):
        def fill(self, spans: Indices) -> None:
            super().fill(spans)
            self.idle = False

    source = Busy(rows=96)
    filler = FillAhead(source, plan())  # type: ignore[arg-type]
    filler.follow(ticket(0, 0, 1))
    assert filler.step()
    assert len(source.asked) == 3


def test_a_queue_lets_its_worker_fill_until_there_is_nothing_to_do_or_a_ticket_comes() -> None:
    read, write = os.pipe()
    asked = []

    def idle() -> bool:
        asked.append(None)
        if len(asked) == 3:
            os.write(write, ticket(0, 0, 1).pack())
        return len(asked) != 4

    queue = TicketQueue(read, lambda tickets: None, idle)
    assert queue.wait()
    assert len(asked) == 3
    assert queue.next() == ticket(0, 0, 1)
    os.close(write)
    assert not queue.wait()
    assert len(asked) == 3
    os.close(read)
