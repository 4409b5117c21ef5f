"""What an actor is at, as the gateway can tell from what it sent and what has come."""

from __future__ import annotations

from loader.ipc.records import Ticket, TicketKind
from loader.produce.remote.hedging.given import Actor


def ticket(number: int) -> Ticket:
    return Ticket(number, TicketKind.ROWS, 0, 0, 0, 10)


def actor_with(*numbers: int) -> Actor:
    actor = Actor("a")
    for number in numbers:
        actor.send(ticket(number), 1.0)
    return actor


def test_an_actor_begins_with_the_first_ticket_that_it_is_sent() -> None:
    actor = actor_with(7, 3)
    assert (actor.first, actor.at, actor.since_s) == (ticket(7), ticket(7), 1.0)


def test_it_is_at_the_ticket_that_it_names_while_the_rows_of_the_one_before_are_on_their_way() -> None:
    actor = actor_with(7, 9, 3)
    actor.made(7, 3)
    assert (actor.first, actor.at) == (ticket(7), ticket(3))
    actor.send(ticket(1), 2.0)
    assert actor.came(7, 3.0) == ticket(7)
    assert (actor.first, actor.at, actor.since_s) == (ticket(3), ticket(3), 3.0)
    actor.made(3, 1)
    actor.came(3, 4.0)
    assert (actor.at, list(actor.held)) == (ticket(1), [9, 1])


def test_it_does_what_it_is_at_and_what_is_older_before_another_ticket() -> None:
    actor = actor_with(7, 3, 9)
    assert [actor.ahead_of(number) for number in (2, 4, 8, 10)] == [1, 2, 2, 3]
    actor.made(7, 3)
    assert [actor.ahead_of(number) for number in (2, 8, 10)] == [1, 1, 2]  # nothing is left to be done for the one whose rows come
    assert Actor("a").ahead_of(1) == 0


def test_one_that_names_none_is_at_the_first_that_was_on_its_way_to_it() -> None:
    actor = actor_with(3, 9, 8)
    actor.made(3, 0)
    assert actor.at == ticket(9)
    actor = actor_with(3)
    actor.made(3, 0)
    assert (actor.first, actor.at) == (ticket(3), None)
    actor.send(ticket(9), 2.0)
    actor.send(ticket(8), 2.0)
    assert actor.at == ticket(9)
    actor.came(3, 3.0)
    assert (actor.first, actor.since_s) == (ticket(9), 3.0)
