"""Tickets of rows, from the gateway's side: given to actors, given to others as well when they are late, and their rows written into the slots.

The rows of a ticket are written while they come, into where they belong. As soon as nobody wants them any more (somebody else was first, or the
worker that owned the ticket is lost), what is still to come of them is dropped: the slot may be the trainer's by then.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from loader.ipc.records import Done, Failed, Ticket
from loader.produce.remote.actors.actor_work import Outcome
from loader.produce.remote.hand import Hand, Held
from loader.produce.remote.hedging.commands import Copy, Give, Park, Return
from loader.produce.remote.hedging.hedging import Hedging
from loader.produce.remote.links.connections import Came, Connected, Connections, Ended
from loader.produce.remote.node_counts import NodeCounts
from loader.produce.worker import WorkerContext


class Brought(NamedTuple):
    """A ticket of `worker` is done, or has failed."""

    worker: int


class RanOut(NamedTuple):
    """The actor of `worker` has no memory, or something else, left for the ticket with this number."""

    worker: int
    ticket: int
    why: str


class CutOff(NamedTuple):
    """The actor of `worker` brings nothing more. `suspected`: what it was at may be why, as it was for another actor before."""

    worker: int
    suspected: bool


Event = Brought | RanOut | Connected | CutOff | Park | Return


class RowTickets:
    """Those that are out to actors.

    Args:
        hands: the remote workers, by number.
        context: what to produce and where.
        counts: of nodes.
        host: address of this machine at which actors can reach it.

    Attributes:
        connections: to the actors.
    """

    def __init__(self, hands: Mapping[int, Hand], context: WorkerContext, counts: NodeCounts, host: str) -> None:
        self.connections = Connections(host, self._targets)
        self._hedging = Hedging()
        self._asked = -math.inf  # when the connections were last; what has come since then is not known, and this process may have waited for a core
        self._hands = hands
        self._context = context
        self._counts = counts
        self._row_bytes = [sum(leaf.nbytes for leaf in layout.spec.leaves) for layout in context.arena.layout.layouts]

    def leave(self, number: int) -> None:
        """The actor of a worker is gone, or let go; nothing is written any more of what that worker owned."""
        self._abandon(self._hedging.leave(number))
        self.connections.end(number)

    def disown(self, number: int) -> None:
        """A worker is lost, but its actor is kept."""
        self._abandon(self._hedging.disown(number))

    def is_busy(self, number: int) -> bool:
        """Return whether the actor of a worker is at anything."""
        return self._hedging.is_busy(number)

    def at(self, number: int) -> tuple[Hand, Ticket] | None:
        """Return the ticket that the actor of a worker is at, after the worker that owns it, usually the same; None if nobody wants it any more."""
        at = self._hedging.at(number)
        return None if at is None else self.owned(at.number)

    def owned(self, ticket: int) -> tuple[Hand, Ticket] | None:
        """Return a ticket by its number, after the worker that owns it; None if nobody wants it any more."""
        owner = self._hedging.owner(ticket)
        return None if owner is None else (self._hands[owner], self._hands[owner].held[ticket].ticket)

    def give(self, hand: Hand, ticket: Ticket, now: float) -> None:
        """Have a ticket of a worker done by an actor, usually its own."""
        self._hedging.give(hand.number, ticket, self._asked, now)

    def wait_s(self, now: float) -> float:
        """Return after how long `events` is to be called if nothing comes."""
        return max(0.0, self._hedging.wake_at_s() - now)

    def events(self) -> Iterator[Event]:
        """Yield what has happened, and what follows from it. Each is to be dealt with before the next."""
        self._asked = time.monotonic()
        for event in self.connections.events():
            match event:
                case Came():
                    if (found := self._came(event, time.monotonic())) is not None:
                        yield found
                case Connected(worker):
                    self._hedging.join(worker, self._hands[worker].node)
                    yield event
                case Ended(worker):
                    yield CutOff(worker, self._hedging.cut_off(worker, time.monotonic()))
        now = time.monotonic()
        for command in self._hedging.commands(self._asked):
            match command:
                case Give(worker, ticket):
                    self._send(worker, ticket, now)
                case Copy(worker, ticket, late):
                    if late is not None and (hand := self._hands.get(late)) is not None:
                        self._counts.of(hand.node).hedges += 1
                    self._send(worker, ticket, now)
                case _:
                    yield command

    def _send(self, worker: int, ticket: Ticket, now: float) -> None:
        if (hand := self._hands.get(worker)) is None:  # it has ended for what came just now
            return
        if (owner := self._hedging.owner(ticket.number)) is not None:  # else it is sent for when it is issued again: the actor counts as at it
            held = self._hands[owner].held[ticket.number]
            held.sent_ns = held.sent_ns or time.monotonic_ns()
            self._hands[owner].show()
        if self._hedging.begins(worker, ticket):
            hand.moved = now  # it had nothing to do before
        killers = self._context.known_killers.after(hand.killers) if self._context.substitute else []
        hand.killers += len(killers)
        with contextlib.suppress(KeyError, OSError):  # its end is told by another event
            self.connections.link(worker).send(ticket, killers)

    def _abandon(self, tickets: list[int]) -> None:
        for ticket in tickets:
            self.connections.abandon(ticket)

    def _targets(self, worker: int, number: int, following: int, rows: int) -> list[memoryview] | None:
        """Return where rows that begin to come are to be written: all of the first array, then of the next, and so on."""
        self._hedging.made(worker, number, following, time.monotonic())
        owner = self._hedging.owner(number)
        if owner is None:
            return None
        ticket = self._hands[owner].held[number].ticket
        layout = self._context.arena.layout.layouts[ticket.layout]
        runs = layout.runs(self._context.arena.slot(ticket.place), ticket.slot_row, rows)
        return [memoryview(leaf.reshape(-1).view(np.uint8)) for leaves in zip(*(leaves for _, leaves in runs), strict=True) for leaf in leaves]

    def _came(self, event: Came, now: float) -> Event | None:
        worker, (number, rows, text, written) = event
        doer = self._hands[worker]
        outcome = Outcome(*json.loads(text))
        doer.moved = now
        if outcome.exhausted:
            return RanOut(worker, number, (outcome.error or {}).get("reason", ""))
        owner = self._hedging.came(worker, number, written, now)
        if owner is None:
            return None
        self.connections.abandon(number)
        hand = self._hands[owner]
        held = hand.held[number]
        self._count(doer, held, outcome)
        for record in outcome.journal:
            self._context.journal.append(record)
        for fields in outcome.logs:
            self._context.logs.pass_on(fields)
        if outcome.error is None:
            held.report = Done(owner, number, outcome.busy_ns, outcome.substituted)
        else:
            hand.cells.write_failure(number, outcome.error)
            held.report = Failed(owner, number, held.ticket.slot_row + rows)
        return Brought(owner)

    def _count(self, doer: Hand, held: Held, outcome: Outcome) -> None:
        doer.count(held.ticket, outcome)
        count = self._counts.of(doer.node)
        count.samples += outcome.good_rows
        count.tickets += 1
        count.took_ns += time.monotonic_ns() - held.sent_ns if held.sent_ns else outcome.busy_ns  # an actor was at it when it was issued again
        count.made_ns += outcome.busy_ns
        count.bytes += outcome.good_rows * self._row_bytes[held.ticket.layout]
