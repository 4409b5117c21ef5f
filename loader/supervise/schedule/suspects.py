"""Finding the sample that kills its workers, without blaming one for a kill from outside.

After a death, the row that the worker was at is put alone into a ticket; where it is not known, the ticket is cut in two, or after a time-out into
single rows, each of which then has the time of a sample: many that are merely slow are no more to blame than one that hangs. Deaths count only
against the one row of such a ticket, and only the third one accuses it. With `on_error="substitute"`, another sample is then tried in its place:
a ticket with a higher attempt, whose deaths are counted anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from loader.ipc.records import Ticket

DEATHS_TO_ACCUSE = 3


@dataclass(frozen=True, slots=True)
class TrackedTicket:
    """A ticket, and how often it killed its worker.

    Attributes:
        ticket: the record.
        deaths: of workers while they were at work on its only row.
        timeouts: how many of these were time-outs.
    """

    ticket: Ticket
    deaths: int = 0
    timeouts: int = 0

    @property
    def accused(self) -> bool:
        """Whether its row has killed often enough."""
        return self.deaths >= DEATHS_TO_ACCUSE

    @property
    def timed_out(self) -> bool:
        """Whether each of the deaths was a time-out."""
        return self.timeouts == self.deaths


def after_death(
    issued: TrackedTicket, row: int, attempt: int, timed_out: bool, next_number: Callable[[], int], certain: bool = False
) -> list[TrackedTicket]:
    """Return the tickets that replace one whose worker died at `row` of it (-1: not known), at the attempt-th sample in its place.

    `certain`: no other one can be to blame, so that a row alone is accused at once.
    """
    ticket = issued.ticket
    if ticket.rows == 1:
        if attempt > ticket.attempt:  # those before it raise, so they need not be tried again
            issued = TrackedTicket(ticket._replace(number=next_number(), attempt=attempt))
        deaths = DEATHS_TO_ACCUSE if certain else issued.deaths + 1
        return [TrackedTicket(issued.ticket, deaths, issued.timeouts + timed_out)]
    if timed_out and row < 0:
        return singles(issued, next_number)
    half = ticket.rows // 2
    known = [(0, row), (row, 1), (row + 1, ticket.rows - row - 1)]
    cuts = known if 0 <= row < ticket.rows else [(0, half), (half, ticket.rows - half)]
    return [TrackedTicket(_part(ticket, start, rows, next_number())) for start, rows in cuts if rows]


def singles(issued: TrackedTicket, next_number: Callable[[], int]) -> list[TrackedTicket]:
    """Return tickets of one row each that replace a ticket of rows; one of a single row is kept as it is."""
    ticket = issued.ticket
    return [TrackedTicket(_part(ticket, row, 1, next_number())) for row in range(ticket.rows)] if ticket.rows > 1 else [issued]


def _part(ticket: Ticket, start: int, rows: int, number: int) -> Ticket:
    return ticket._replace(number=number, first=ticket.first + start, slot_row=ticket.slot_row + start, rows=rows)
