"""Finding the sample that kills its workers, without blaming one for a kill from outside.

After a death, the row that the worker was at is put alone into a ticket. Where the row is not known, the ticket is cut in two, or after a time-out
into single rows, each of which then has the time of a sample: many that are merely slow are no more to blame than one that hangs. Deaths count only
against the one row of such a ticket, and only the third one accuses it. With `on_error="substitute"`, another sample is then tried in its place:
a ticket with a higher attempt, whose deaths are counted anew.

A ticket for batch transforms is cut into single batches, and the deaths at each of them are counted in the same way. Its rows are made again before
the transforms run: a worker that died may have changed some of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from loader.data.rows import UNKNOWN_ROW
from loader.ipc.records import Ticket

DEATHS_TO_ACCUSE = 3


class DiedAt(NamedTuple):
    """Where a worker was when it died at work on the first ticket that it held, so that a sample of it may be to blame.

    Attributes:
        row: of the ticket, or `UNKNOWN_ROW`.
        attempt: which sample in the row's place it was at; 0 for the row's own.
        timed_out: whether it was killed because it made no progress.
        certain: whether nothing else can be to blame, so that a row alone in its ticket is accused at once.
    """

    row: int = UNKNOWN_ROW
    attempt: int = 0
    timed_out: bool = False
    certain: bool = False

    @property
    def hung_at_unknown_row(self) -> bool:
        """Whether any row may have been too slow, or all of them together."""
        return self.timed_out and self.row == UNKNOWN_ROW


class Accused(NamedTuple):
    """A row, or a batch with its transforms, that is to blame for the deaths of its workers.

    Attributes:
        ticket: has only this row, whose sample is that of its `attempt`; or only this batch.
        timed_out: whether each of the deaths was a time-out.
    """

    ticket: Ticket
    timed_out: bool


class Suspects:
    """Counts the deaths at rows that were alone in their tickets.

    Args:
        numbers: of the tickets to come.

    Attributes:
        deaths: and how many of them were time-outs, by ticket. Whoever sees a ticket finished removes it.
    """

    def __init__(self, numbers: Iterator[int]) -> None:
        self._numbers = numbers
        self.deaths: dict[int, tuple[int, int]] = {}

    def after_death(self, ticket: Ticket, at: DiedAt) -> list[Ticket] | Accused:
        """Return what replaces a ticket whose worker died at work on it: smaller ones, the same one again, or the accusation of its only row."""
        if ticket.rows > 1:
            return self._cut(ticket, at)
        deaths, timeouts = self.deaths.pop(ticket.number, (0, 0))
        if at.attempt > ticket.attempt:  # those before it raise, so they need not be tried again
            ticket = ticket._replace(number=next(self._numbers), attempt=at.attempt)
            deaths = timeouts = 0
        deaths, timeouts = deaths + 1, timeouts + at.timed_out
        if at.certain or deaths >= DEATHS_TO_ACCUSE:
            return Accused(ticket, timed_out=timeouts == deaths)
        self.deaths[ticket.number] = deaths, timeouts
        return [ticket]

    def after_batch_work(self, ticket: Ticket, at: DiedAt, batch_size: int) -> list[Ticket] | Accused:
        """Return what replaces a ticket for batch transforms whose worker died at work on it: single batches, or the accusation of its only one."""
        again = ticket._replace(attempt=ticket.attempt + 1)
        if ticket.rows > batch_size:
            return [self._part(again, start, min(batch_size, ticket.rows - start)) for start in range(0, ticket.rows, batch_size)]
        deaths, timeouts = self.deaths.pop(ticket.number, (0, 0))
        deaths, timeouts = deaths + 1, timeouts + at.timed_out
        if at.certain or deaths >= DEATHS_TO_ACCUSE:
            return Accused(ticket, timed_out=timeouts == deaths)
        self.deaths[ticket.number] = deaths, timeouts
        return [again]

    def singles(self, ticket: Ticket) -> list[Ticket]:
        """Return tickets of one row each that replace a ticket of rows; one of a single row is kept as it is, and so are its deaths."""
        return [self._part(ticket, row, 1) for row in range(ticket.rows)] if ticket.rows > 1 else [ticket]

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
