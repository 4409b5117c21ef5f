"""Tickets of rows on their way to actors, without Ray."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from loader.ipc.board import Cells
from loader.ipc.channels import wait_readable
from loader.ipc.records import TICKET_BYTES, Ticket, TicketKind, unpack_tickets
from loader.produce.remote.actors.actor_work import Outcome
from loader.produce.remote.hand import Hand, Held
from loader.produce.remote.links.connections import Connected
from loader.produce.remote.links.link import HEADER
from loader.produce.remote.node_counts import NodeCounts
from loader.produce.remote.row_tickets import Brought, Event, RowTickets


class Actors:
    """Actors that are sockets, and the tickets that are out to them; rows of four bytes go to `rows`."""

    def __init__(self, *workers: int) -> None:
        self.hands = {number: Hand(number, Cells.private()) for number in workers}
        self.rows = np.zeros((10, 4), np.uint8)
        layout = SimpleNamespace(
            runs=lambda slot, row, rows: [(rows, [self.rows[row : row + rows]])], spec=SimpleNamespace(leaves=[SimpleNamespace(nbytes=4)])
        )
        arena = SimpleNamespace(layout=SimpleNamespace(layouts=[layout]), slot=lambda place: None)
        context: Any = SimpleNamespace(substitute=False, arena=arena)
        self.counts = NodeCounts(Cells.private())
        self.tickets = RowTickets(self.hands, context, self.counts, "127.0.0.1")
        self.ends: dict[int, socket.socket] = {}
        for number in workers:
            self.ends[number] = socket.create_connection(self.tickets.connections.address)
            self.ends[number].sendall(self.tickets.connections.expect(number))
            self.wait_for(lambda event, number=number: event == Connected(number))  # type: ignore[misc]

    def wait_for(self, wanted: Callable[[Event], bool]) -> None:
        found: list[Event] = []
        while not any(map(wanted, found)):
            assert wait_readable([self.tickets.connections.fileno()], 10)
            found += self.tickets.events()

    def give(self, worker: int, ticket: Ticket) -> None:
        self.hands[worker].held[ticket.number] = Held(ticket)
        self.tickets.give(self.hands[worker], ticket, time.monotonic())
        list(self.tickets.events())

    def answer(self, worker: int, ticket: Ticket, value: int, following: int = 0) -> None:
        text = json.dumps(Outcome(1_000_000, 0, ticket.rows, (), (), ())).encode()
        rows = bytes([value]) * 4 * ticket.rows
        self.ends[worker].sendall(HEADER.pack(ticket.number, following, ticket.rows, len(text), len(rows)) + text + rows)

    def close(self) -> None:
        for end in self.ends.values():
            end.close()
        self.tickets.connections.close()


@pytest.fixture
def actors() -> Iterator[Actors]:
    made = Actors(0, 1)
    yield made
    made.close()


def ticket(number: int) -> Ticket:
    return Ticket(number, TicketKind.ROWS, 0, 0, 0, 10)


def test_an_actor_that_has_rested_for_long_is_not_late_with_the_copy_that_it_gets(actors: Actors) -> None:
    hands, tickets = actors.hands, actors.tickets
    hands[1].moved -= 1000
    actors.give(0, ticket(5))
    tickets._hedging._copy(1, tickets._hedging._due[5], None, time.monotonic())  # as if it were late
    list(tickets.events())
    assert tickets.at(1) == (hands[0], ticket(5))
    assert time.monotonic() - hands[1].moved < 500


def test_reports_come_as_the_rows_do_and_not_in_the_order_of_the_tickets(actors: Actors) -> None:
    for number in (5, 6):
        actors.give(0, ticket(number))
    actors.tickets._hedging._copy(1, actors.tickets._hedging._due[6], None, time.monotonic())  # as if it were late
    list(actors.tickets.events())
    actors.answer(1, ticket(6), 7)
    actors.wait_for(lambda event: event == Brought(0))
    assert [report.ticket for report in actors.hands[0].take_reports()] == [6]
    assert (actors.rows == 7).all()
    actors.answer(0, ticket(5), 8)
    actors.wait_for(lambda event: event == Brought(0))
    assert [report.ticket for report in actors.hands[0].take_reports()] == [5]


def test_nothing_is_late_by_what_passes_after_the_connections_were_asked(actors: Actors, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has come meanwhile is not known: this process may wait for a core, while the actors get on."""
    tickets = actors.tickets
    actors.give(0, ticket(5))
    actors.answer(0, ticket(5), 1)
    actors.wait_for(lambda event: event == Brought(0))
    actors.give(0, ticket(6))
    clock = SimpleNamespace(monotonic=time.monotonic, monotonic_ns=time.monotonic_ns)
    monkeypatch.setattr("loader.produce.remote.row_tickets.time", clock)

    def stalled() -> Iterator[Event]:
        now = time.monotonic()
        clock.monotonic = lambda: now + 1000
        return iter(())

    monkeypatch.setattr(tickets.connections, "events", stalled)
    clock.monotonic = lambda: tickets._hedging.wake_at_s()
    list(tickets.events())
    assert not tickets.is_busy(1)
    list(tickets.events())
    assert tickets.is_busy(1)


def test_what_is_given_after_a_stall_goes_to_its_own_actor_whose_answer_may_lie_there(actors: Actors) -> None:
    tickets, hand = actors.tickets, actors.hands[0]
    actors.give(0, ticket(5))
    actors.answer(0, ticket(5), 1)
    actors.wait_for(lambda event: event == Brought(0))
    now = time.monotonic()
    for number, stalled in ((6, 0), (7, 1000)):  # the connections aren't asked in between
        hand.held[number] = Held(ticket(number))
        tickets.give(hand, ticket(number), now + stalled)
    assert tickets.is_busy(0)
    assert not tickets.is_busy(1)


def test_what_an_actor_is_at_is_what_the_block_before_it_names(actors: Actors) -> None:
    for number in (5, 6, 7):
        actors.give(0, ticket(number))
    assert actors.tickets.at(0) == (actors.hands[0], ticket(5))
    actors.answer(0, ticket(5), 1, following=7)
    actors.wait_for(lambda event: event == Brought(0))
    assert actors.tickets.at(0) == (actors.hands[0], ticket(7))
    actors.answer(0, ticket(7), 1, following=6)
    actors.wait_for(lambda event: event == Brought(0))
    assert actors.tickets.at(0) == (actors.hands[0], ticket(6))


def test_what_an_actor_is_at_when_it_is_issued_again_is_taken_from_it(actors: Actors) -> None:
    actors.give(1, ticket(5))
    actors.tickets.disown(1)
    actors.hands[1].held.clear()
    actors.give(0, ticket(5))
    assert not actors.tickets.is_busy(0)
    actors.answer(1, ticket(5), 9)
    actors.wait_for(lambda event: event == Brought(0))
    assert (actors.rows == 9).all()
    assert actors.counts.of("").took_ns == 1_000_000


def test_an_actor_gets_what_it_was_to_be_given_also_if_the_owner_is_lost_meanwhile(actors: Actors) -> None:
    """Else it would seem to be at it for good, and nobody would be given the ticket when it is issued again, under the same number."""
    actors.hands[1].held[5] = Held(ticket(5))
    actors.tickets.give(actors.hands[1], ticket(5), time.monotonic())
    actors.tickets.disown(1)
    actors.hands[1].held.clear()
    list(actors.tickets.events())
    assert actors.tickets.is_busy(1)
    assert wait_readable([actors.ends[1].fileno()], 10)
    assert list(unpack_tickets(actors.ends[1].recv(TICKET_BYTES))) == [ticket(5)]


def test_rows_that_were_dropped_are_asked_for_again(actors: Actors) -> None:
    actors.give(1, ticket(5))
    text = json.dumps(Outcome(1_000_000, 0, 10, (), (), ())).encode()
    begun = HEADER.pack(5, 0, 10, len(text), 40) + text
    actors.ends[1].sendall(begun + bytes([9]) * 20)
    deadline = time.monotonic() + 10
    while not actors.rows[:5].all() and time.monotonic() < deadline:
        wait_readable([actors.tickets.connections.fileno()], 0.1)
        list(actors.tickets.events())
    actors.tickets.disown(1)  # the rest of them is dropped
    actors.hands[1].held.clear()
    actors.give(0, ticket(5))
    actors.ends[1].sendall(bytes([9]) * 20)
    while not (actors.tickets.is_busy(0) or actors.hands[0].held[5].sent_ns) and time.monotonic() < deadline:
        wait_readable([actors.tickets.connections.fileno()], 0.02)
        list(actors.tickets.events())
    assert actors.hands[0].held[5].report is None
    assert actors.hands[0].held[5].sent_ns
