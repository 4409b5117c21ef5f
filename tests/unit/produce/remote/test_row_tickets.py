"""Tickets of rows on their way to actors, without Ray."""

from __future__ import annotations

import socket
import time
from types import SimpleNamespace
from typing import Any

from loader.ipc.board import Cells
from loader.ipc.channels import wait_readable
from loader.ipc.records import Ticket, TicketKind
from loader.produce.remote.hand import Hand, Held
from loader.produce.remote.node_counts import NodeCounts
from loader.produce.remote.row_tickets import RowTickets


def test_an_actor_that_has_rested_for_long_is_not_late_with_the_copy_that_it_gets() -> None:
    hands = {number: Hand(number, Cells.private()) for number in (0, 1)}
    context: Any = SimpleNamespace(substitute=False, pipeline=SimpleNamespace(source=SimpleNamespace(rows_at_once=0)))
    tickets = RowTickets(hands, context, NodeCounts(Cells.private()), "127.0.0.1")
    actors = {}
    for number in hands:
        actors[number] = socket.create_connection(tickets.connections.address)
        actors[number].sendall(tickets.connections.expect(number))
        while not list(tickets.events()):
            assert wait_readable([tickets.connections.fileno()], 10)
    hands[1].moved -= 1000
    ticket = Ticket(5, TicketKind.ROWS, 0, 0, 0, 10)
    hands[0].held[5] = Held(ticket)
    tickets.give(hands[0], ticket, time.monotonic())
    actors[0].close()
    deadline = time.monotonic() + 10
    while not tickets.is_busy(1) and time.monotonic() < deadline:
        wait_readable([tickets.connections.fileno()], tickets.wait_s(time.monotonic()))
        list(tickets.events())
    assert tickets.at(1) == (hands[0], ticket)
    assert time.monotonic() - hands[1].moved < 500
    actors[1].close()
    tickets.connections.close()
