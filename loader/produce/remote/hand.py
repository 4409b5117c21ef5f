"""One remote worker as the gateway has it: its actor, the tickets that it holds, in order, and its row of the board."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loader.data.rows import UNKNOWN_ROW
from loader.ipc.board import Cells, WorkerCell, WorkerState
from loader.ipc.records import Done, Failed, Ticket, TicketKind
from loader.produce.remote.actors.actor_work import Outcome, Progress

if TYPE_CHECKING:
    from loader.produce.remote.cluster.cluster import Actor  # imports Ray


@dataclass
class Held:
    """A ticket in the hands of a remote worker.

    Attributes:
        ticket: the ticket.
        sent_ns: when it was sent to an actor for the first time, monotonic; 0 before.
        report: what is to be reported of it; None until it is done.
    """

    ticket: Ticket
    sent_ns: int = 0
    report: Done | Failed | None = None


class Hand:
    """A remote worker, from OPEN to its `Lost`.

    Args:
        number: of the worker.
        cells: its row of the board; the gateway is its writer.

    Attributes:
        actor: that it has or is waiting for; None while it looks for one.
        node: name of the node where that is, or shall be; empty while Ray decides.
        found: whether Ray has found a place for it.
        joined: whether the actor can work, and its worker is to.
        aside_since: when the actor was set aside because it can work, but is too slow to be of use; None while it is of use.
        asked_for: whether its worker is wanted: from OPEN to `Lost`.
        ended_at: when the connection to its actor ended; None while it has not.
        over: whether its life has ended; what still comes from its actor counts for nothing.
        held: its tickets, the oldest first.
        failures: how many actors did not come to life.
        killers: how many known killers its actor has been told of.
        since: when it began to look for an actor, or got this one; or later, when to look again. Seconds, monotonic.
        moved: when its actor got on for the last time, as far as that is known.
        progress: where its actor was when it was asked.
        asking: whether it has been asked, and has not answered.
    """

    def __init__(self, number: int, cells: Cells) -> None:
        self.number = number
        self.cells = cells
        self.actor: Actor | None = None
        self.node = ""
        self.found = self.joined = self.over = self.asking = False
        self.asked_for = True
        self.aside_since: float | None = None
        self.ended_at: float | None = None
        self.held: dict[int, Held] = {}
        self.failures = self.killers = 0
        self.since = self.moved = time.monotonic()
        self.progress = Progress((), UNKNOWN_ROW, "")

    @property
    def at_work(self) -> Ticket | None:
        """The oldest of its tickets of rows that are with an actor."""
        out = (held.ticket for held in self.held.values() if held.sent_ns and held.report is None and held.ticket.kind == TicketKind.ROWS)
        return next(out, None)

    def row_of(self, ticket: Ticket) -> int:
        """Return the row of a ticket that its actor was at when it was asked, as far as that is known."""
        known = bool(self.progress.state) and self.progress.state[0] == ticket.number and 0 <= self.progress.row < ticket.rows
        return self.progress.row if known else UNKNOWN_ROW

    def take_reports(self) -> list[Done | Failed]:
        """Take back the tickets that are done; return their reports."""
        reports = [held.report for held in self.held.values() if held.report is not None]
        for report in reports:
            del self.held[report.ticket]
        return reports

    def count(self, ticket: Ticket, outcome: Outcome) -> None:
        """Count what an actor has done."""
        self.cells.add(WorkerCell.SAMPLES, 0 if outcome.error else ticket.rows)
        for cell, amount in outcome.counted:
            self.cells.add(cell, amount)

    def show(self) -> None:
        """Say on the board what it is at. It counts as busy while its actor has a ticket, the way there and back included."""
        ticket, cells = self.at_work, self.cells
        number = 0 if ticket is None else ticket.number
        if cells[WorkerCell.TICKET_GAUGE] == number:
            return
        now = time.monotonic_ns()
        if cells[WorkerCell.TICKET_GAUGE]:
            cells.add(WorkerCell.BUSY_NS, now - cells[WorkerCell.TICKET_STARTED_NS_GAUGE])
        cells[WorkerCell.TICKET_STARTED_NS_GAUGE] = now
        cells[WorkerCell.TICKET_GAUGE] = number
        cells[WorkerCell.STATE_GAUGE] = WorkerState.BUSY if number else WorkerState.IDLE
