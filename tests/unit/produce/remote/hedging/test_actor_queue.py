"""When an actor is given its next ticket, and which."""

from __future__ import annotations

import math

import pytest

from loader.ipc.records import Ticket, TicketKind
from loader.produce.remote.hedging.actor_queue import ActorQueue


def ticket(number: int, rows: int = 10) -> Ticket:
    return Ticket(number, TicketKind.ROWS, 0, 0, 0, rows)


def queue_that_takes(row_s: float) -> ActorQueue:
    """Return the queue of an actor that has always taken so long for a row; the time is 100."""
    queue = ActorQueue(False)
    for number in range(1, 60):
        queue.send(ticket(number), 100 - 10 * row_s)
        queue.came(number, 10 * row_s, 100)
    return queue


def test_the_oldest_ticket_goes_first_whenever_it_came() -> None:
    queue = ActorQueue(False)
    for number in (7, 9, 3):
        queue.wait(ticket(number))
    assert [each.number for each in queue.waiting] == [3, 7, 9]


def test_an_actor_gets_a_ticket_at_once_if_it_has_none_and_a_second_one_shortly_before_it_needs_it() -> None:
    queue = queue_that_takes(0.004)
    assert queue.needs_one_at_s() == -math.inf
    queue.send(ticket(100), 200.0)
    assert 200.015 < queue.needs_one_at_s() < 200.021
    queue.send(ticket(101), 200.021)
    assert queue.needs_one_at_s() == math.inf


def test_where_the_way_is_long_a_ticket_is_sent_sooner() -> None:
    queue = queue_that_takes(0.004)
    far = ActorQueue(False)
    for number in range(1, 60):
        far.send(ticket(number), 100.0)
        far.made(number, 100.052)
        far.came(number, 0.04, 100.06)
    for each in (queue, far):
        each.send(ticket(100), 200.0)
    assert far.needs_one_at_s() == pytest.approx(queue.needs_one_at_s() - 0.012)


def test_short_tickets_are_sent_two_at_a_time() -> None:
    queue = queue_that_takes(0.0004)
    queue.send(ticket(100), 200.0)
    assert queue.needs_one_at_s() <= 200.0


def test_an_actor_whose_times_differ_gets_its_second_ticket_sooner() -> None:
    queue = queue_that_takes(0.004)
    for number in range(60, 100):
        queue.send(ticket(number), 150.0)
        queue.came(number, 0.04 + 0.01 * (-1) ** number, 150.0)
    queue.send(ticket(100), 200.0)
    assert 200.0 < queue.needs_one_at_s() < 200.025


def test_what_is_on_its_way_does_not_keep_an_actor_from_the_next_ticket() -> None:
    queue = queue_that_takes(0.004)
    for number in (100, 101):
        queue.send(ticket(number), 200.0)
    assert queue.at == ticket(100)
    queue.made(100, 200.04)
    assert (queue.first, queue.at) == (ticket(100), ticket(101))
    assert queue.needs_one_at_s() == pytest.approx(200.06, abs=0.003)
    queue.came(100, 0.04, 200.06)
    assert (queue.first, queue.at) == (ticket(101), ticket(101))
    assert queue.since_s == 200.06


def test_an_actor_that_fetches_ahead_gets_all_at_once() -> None:
    queue = ActorQueue(True)
    for number in range(8):
        assert queue.needs_one_at_s() == -math.inf
        queue.send(ticket(number), 0.0)
