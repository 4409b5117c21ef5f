"""Tickets of rows, from the gateway's side: given to actors, given to others as well when they are late, and their rows written into the slots.

The rows of a ticket are written while they come, into where they belong. As soon as nobody wants them any more (somebody else was first, or the
worker that owned the ticket is lost), what is still to come of them is dropped: the slot may be the trainer's by then.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from loader.ipc.records import Done, Failed, Ticket
from loader.produce.remote.actors.actor_work import Outcome
from loader.produce.remote.hand import Hand, Held
from loader.produce.remote.hedging.hedging import Copy, Hedging, Park, Return
from loader.produce.remote.links.connections import Came, Connected, Connections, Ended
from loader.produce.remote.node_counts import NodeCounts
from loader.produce.worker import WorkerContext


class Brought(NamedTuple):
    """A ticket of `worker` is done, or has failed."""

    worker: int


class RanOut(NamedTuple):
    """The actor of `worker` has no memory, or something else, left."""

    worker: int
    why: str


Event = Brought | RanOut | Connected | Ended | Park | Return


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
        self._hands = hands
        self._context = context
        self._counts = counts

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
        """Return the ticket that the actor of a worker is at, and the worker that owns it, which is usually the same.

        None if nobody wants it any more, or its owner has another one to report before: what becomes of that one tells nothing about this.
        """
        if (at := self._hedging.at(number)) is None:
            return None
        owner, ticket = self._hands[at[0]], at[1]
        return (owner, ticket) if owner.held[0].ticket.number == ticket.number else None

    def give(self, hand: Hand, held: Held, now: float) -> None:
        """Give a ticket of a worker to an actor, usually its own."""
        held.sent_ns = time.monotonic_ns()
        self._send(self._hands[self._hedging.give(hand.number, held.ticket, now)], held.ticket, now)

    def wait_s(self, now: float) -> float:
        """Return after how long `events` is to be called if nothing comes."""
        return max(0.0, self._hedging.wake_at_s() - now)

    def events(self) -> Iterator[Event]:
        """Yield what has happened, and what follows from it. Each is to be dealt with before the next."""
        for event in self.connections.events():
            match event:
                case Came():
                    if (found := self._came(event, time.monotonic())) is not None:
                        yield found
                    continue
                case Connected(worker):
                    self._hedging.join(worker, self._hands[worker].node)
                case Ended(worker):
                    self._hedging.cut_off(worker)
            yield event
        for command in self._hedging.commands(now := time.monotonic()):
            if isinstance(command, Copy):
                self._copy(command, now)
            else:
                yield command

    def _send(self, hand: Hand, ticket: Ticket, now: float) -> None:
        if self._hedging.begins(hand.number, ticket):
            hand.moved = now  # it had nothing to do before
        killers = self._context.known_killers.after(hand.killers) if self._context.substitute else []
        hand.killers += len(killers)
        try:
            self.connections.link(hand.number).send(ticket, killers)
        except (KeyError, OSError):  # its end is told by another event
            self._hedging.cut_off(hand.number)

    def _copy(self, command: Copy, now: float) -> None:
        if command.worker not in self._hands:  # it has ended for what came just now
            return
        if command.late is not None and (late := self._hands.get(command.late)) is not None:
            self._counts.of(late.node).hedges += 1
        self._send(self._hands[command.worker], command.ticket, now)

    def _abandon(self, tickets: list[int]) -> None:
        for ticket in tickets:
            self.connections.abandon(ticket)

    def _targets(self, number: int, rows: int) -> list[memoryview] | None:
        """Return where rows that come are to be written: all of the first array, then of the next, and so on."""
        owner = self._hedging.owner(number)
        if owner is None:
            return None
        ticket = self._hands[owner].holding(number).ticket
        layout = self._context.arena.layout.layouts[ticket.layout]
        runs = layout.runs(self._context.arena.slot(ticket.place), ticket.slot_row, rows)
        return [memoryview(leaf.reshape(-1).view(np.uint8)) for leaves in zip(*(leaves for _, leaves in runs), strict=True) for leaf in leaves]

    def _came(self, event: Came, now: float) -> Event | None:
        worker, (number, rows, text, _) = event
        doer = self._hands[worker]
        outcome = Outcome(*json.loads(text))
        doer.moved = now
        if outcome.exhausted:
            return RanOut(worker, (outcome.error or {}).get("reason", ""))
        owner = self._hedging.came(worker, number, now)
        if owner is None:
            return None
        self.connections.abandon(number)
        hand = self._hands[owner]
        held = hand.holding(number)
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
        count.took_ns += time.monotonic_ns() - held.sent_ns
        count.made_ns += outcome.busy_ns
        count.bytes += outcome.good_rows * self._row_bytes(held.ticket)

    def _row_bytes(self, ticket: Ticket) -> int:
        return sum(leaf.nbytes for leaf in self._context.arena.layout.layouts[ticket.layout].spec.leaves)
