"""Finding the sample that kills its workers, without blaming one for a kill from outside.

After a death, the row that the worker was at is put alone into a ticket. Where the row is not known, the ticket is cut in two, or after a time-out
into single rows, each of which then has the time of a sample: many that are merely slow are no more to blame than one that hangs. Deaths count only
against the one row of such a ticket, and only the third one accuses it. With `on_error="substitute"`, another sample is then tried in its place:
a ticket with a higher attempt, whose deaths are counted anew.

A worker that dies in the source's `will_read` was at no row. Its ticket is issued again as it is, and the third such death accuses `will_read`.

A ticket for batch transforms is cut into single batches, and the deaths at each of them are counted in the same way. Its rows are made again before
the transforms run: a worker that died may have changed some of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from loader.data.rows import READING_AHEAD, UNKNOWN_ROW
from loader.ipc.records import Ticket

DEATHS_TO_ACCUSE = 3


class DiedAt(NamedTuple):
    """Where a worker was when it died at work on a ticket, so that a sample of it may be to blame.

    Attributes:
        row: of the ticket, or `UNKNOWN_ROW`, or `READING_AHEAD`.
        attempt: which sample in the row's place it was at; 0 for the row's own.
        timed_out: whether it was killed because it made no progress.
        certain: whether nothing else can be to blame, so that a row alone in its ticket is accused at once.
        ticket: number of the ticket; 0 for the first one that it held, which is what a worker of this machine is at.
    """

    row: int = UNKNOWN_ROW
    attempt: int = 0
    timed_out: bool = False
    certain: bool = False
    ticket: int = 0

    def find(self, held: Iterable[Ticket]) -> Ticket | None:
        """Return the ticket out of those that the worker held; None if it is not among them."""
        return next((ticket for ticket in held if self.ticket in (0, ticket.number)), None)

    @property
    def hung_at_unknown_row(self) -> bool:
        """Whether any row may have been too slow, or all of them together."""
        return self.timed_out and self.row == UNKNOWN_ROW


class Accused(NamedTuple):
    """A row, a batch with its transforms, or the source's `will_read`, that is to blame for the deaths of its workers.

    Attributes:
        ticket: has only this row, whose sample is that of its `attempt`; or only this batch.
        timed_out: whether each of the deaths was a time-out.
        reading_ahead: whether `will_read` is to blame, before the ticket, and no row of it.
    """

    ticket: Ticket
    timed_out: bool
    reading_ahead: bool = False


class Deaths(NamedTuple):
    """Deaths in a row at work on one ticket, all of one kind.

    Attributes:
        timeouts: how many of them were time-outs.
        ahead: whether they were in `will_read`, before the ticket, or at its rows.
    """

    number: int
    timeouts: int
    ahead: bool


class Suspects:
    """Counts the deaths at rows that were alone in their tickets.

    Args:
        numbers: of the tickets to come.

    Attributes:
        deaths: by ticket. Whoever sees a ticket finished removes it.
    """

    def __init__(self, numbers: Iterator[int]) -> None:
        self._numbers = numbers
        self.deaths: dict[int, Deaths] = {}

    def after_death(self, ticket: Ticket, at: DiedAt) -> list[Ticket] | Accused:
        """Return what replaces a ticket whose worker died at work on it: smaller ones, the same one again, or an accusation of its only row."""
        if at.row != READING_AHEAD:
            if ticket.rows > 1:
                self.deaths.pop(ticket.number, None)
                return self._cut(ticket, at)
            if at.attempt > ticket.attempt:  # those before it raise, so they need not be tried again
                self.deaths.pop(ticket.number, None)
                ticket = ticket._replace(number=next(self._numbers), attempt=at.attempt)
        return self._count(ticket, at) or [ticket]

    def after_batch_work(self, ticket: Ticket, at: DiedAt, batch_size: int) -> list[Ticket] | Accused:
        """Return what replaces a ticket for batch transforms whose worker died at work on it: single batches, or the accusation of its only one."""
        again = ticket._replace(attempt=ticket.attempt + 1)
        if ticket.rows > batch_size:
            return [self._part(again, start, min(batch_size, ticket.rows - start)) for start in range(0, ticket.rows, batch_size)]
        return self._count(ticket, at) or [again]

    def singles(self, ticket: Ticket) -> list[Ticket]:
        """Return tickets of one row each that replace a ticket of rows; one of a single row is kept as it is, and so are its deaths."""
        return [self._part(ticket, row, 1) for row in range(ticket.rows)] if ticket.rows > 1 else [ticket]

    def _count(self, ticket: Ticket, at: DiedAt) -> Accused | None:
        """Count a death; return the accusation if it was one too many of its kind in a row."""
        ahead = at.row == READING_AHEAD
        before = self.deaths.pop(ticket.number, None)
        deaths, timeouts = (before.number, before.timeouts) if before is not None and before.ahead == ahead else (0, 0)
        now = Deaths(deaths + 1, timeouts + at.timed_out, ahead)
        if at.certain or now.number >= DEATHS_TO_ACCUSE:
            return Accused(ticket, timed_out=now.timeouts == now.number, reading_ahead=ahead)
        self.deaths[ticket.number] = now
        return None

    def _cut(self, ticket: Ticket, at: DiedAt) -> list[Ticket]:
        if at.hung_at_unknown_row:
            return self.singles(ticket)
        if 0 <= at.row < ticket.rows:
            cuts = [(0, at.row), (at.row, 1), (at.row + 1, ticket.rows - at.row - 1)]
        else:
            half = ticket.rows // 2
            cuts = [(0, half), (half, ticket.rows - half)]
        return [self._part(ticket, start, rows) for start, rows in cuts if rows]

    def _part(self, ticket: Ticket, start: int, rows: int) -> Ticket:
        return ticket._replace(number=next(self._numbers), first=ticket.first + start, slot_row=ticket.slot_row + start, rows=rows)
