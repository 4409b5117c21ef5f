"""Which worker holds which tickets, who gets the next one, and what the loop is told to do about it.

A worker of this machine does its tickets in the order in which it got them; one of another machine in any, as the gateway lets lost ones go first.
`Ready` is a command, too: it goes to the trainer as it is.
"""

from __future__ import annotations

import math
from collections import deque
from itertools import islice
from typing import NamedTuple

from loader.errors import ProtocolError
from loader.ipc.records import Ready, Ticket, TicketKind
from loader.supervise.schedule.sizing import FAR_TICKETS, SHORT_TICKETS, TICKET_NS, tickets_each


class SendTicket(NamedTuple):
    """Send `ticket` to `worker`."""

    worker: int
    ticket: Ticket


class Dismiss(NamedTuple):
    """Let `worker` go: it holds nothing and gets nothing more."""

    worker: int


Command = SendTicket | Ready | Dismiss


class Assignments:
    """The tickets in the hands of workers.

    Args:
        far: whether samples are far away.

    Attributes:
        each: tickets that a worker may hold at present.
        expected: how many workers will join in a moment.
        taken: how many have been taken back, because they were done or failed.
    """

    def __init__(self, far: bool) -> None:
        most = FAR_TICKETS if far else SHORT_TICKETS
        self.each = self._usual = most
        self.expected = 0
        self.taken = 0
        self._far = far
        self._most = most
        self._ticket_ns, self._full = 0.0, False
        self._held: dict[int, deque[Ticket]] = {}
        self._wanting: list[dict[int, None]] = [{} for _ in range(most)]  # by the number of tickets held; in their order
        self._leaving: set[int] = set()

    def __contains__(self, worker: int) -> bool:
        return worker in self._held

    @property
    def staying(self) -> int:
        """Number of workers that may get more."""
        return len(self._held) - len(self._leaving)

    def staying_from(self, first: int) -> int:
        """Return the same of those with this number or a higher one."""
        return sum(worker >= first and worker not in self._leaving for worker in self._held)

    def fit(self, ticket_ns: float, full: bool) -> None:
        """Have workers hold as many tickets as there should be of those that are dealt now; `sizing.tickets_each` says what the arguments mean."""
        self._ticket_ns, self._full = ticket_ns, full
        self._let_hold()

    def expect(self, workers: int) -> None:
        """So many more will join in a moment."""
        if workers != self.expected:
            self.expected = workers
            self._let_hold()

    def _let_hold(self) -> None:
        self._usual = FAR_TICKETS if self._far else tickets_each(self._ticket_ns, self._full)
        long = self._ticket_ns > TICKET_NS
        self.each = 1 if self.expected and long else self._usual  # the second one may be the first one of a worker that is to come

    def held(self, worker: int) -> deque[Ticket]:
        """Return the tickets of a worker, the oldest first; empty for one that is not there."""
        return self._held.get(worker) or deque()

    def join(self, worker: int) -> None:
        """Add a worker."""
        self._held[worker] = deque()
        self._wanting[0][worker] = None

    def retire(self, worker: int) -> None:
        """Give a worker nothing more."""
        self._leaving.add(worker)
        self._want_nothing(worker)

    def leave(self, worker: int) -> deque[Ticket]:
        """Remove a worker; return what it held."""
        self._leaving.discard(worker)
        self._want_nothing(worker)
        return self._held.pop(worker)

    def let_go(self) -> list[int]:
        """Remove the workers that get nothing more and hold nothing; return them."""
        through = [worker for worker in self._leaving if not self._held[worker]] if self._leaving else []
        for worker in through:
            self.leave(worker)
        return through

    def next_worker(self, lost: bool = False) -> int | None:
        """Return the worker with the fewest tickets, or None if all have as many as they may. What was lost does not wait for workers to come."""
        for wanting in self._wanting[: self._usual if lost else self.each]:
            for worker in wanting:
                return worker
        return None

    def next_below(self, first: int) -> int | None:
        """Return the same of those with a lower number than this, or of all if there is none of these that may get more."""
        if self.staying == self.staying_from(first):
            return self.next_worker()
        return next((worker for wanting in self._wanting[: self.each] for worker in wanting if worker < first), None)

    def next_beyond(self, first: int) -> int | None:
        """Return a worker with this number or a higher one that has as many tickets as it may, and could hold one more; None if none could."""
        return next((worker for wanting in self._wanting[self.each : self._usual + 1] for worker in wanting if worker >= first), None)

    def all_have(self, kind: TicketKind, first: int) -> bool:
        """Return whether all that may get more, and have a lower number than this, hold a ticket of a kind."""
        staying = (held for worker, held in self._held.items() if worker < first and worker not in self._leaving)
        return all(any(ticket.kind is kind for ticket in held) for held in staying)

    def give(self, worker: int, ticket: Ticket) -> None:
        """Put a ticket into the hands of the worker that is next."""
        held = self._held[worker]
        del self._wanting[len(held)][worker]
        held.append(ticket)
        if len(held) < self._most:
            self._wanting[len(held)][worker] = None

    def take(self, worker: int, number: int, in_order: bool = True) -> Ticket:
        """Take back the ticket `number`. Raises ProtocolError unless the worker holds it and, with `in_order`, it is the oldest one."""
        held = self._held.get(worker)
        place = 0 if in_order or not held else next((place for place, ticket in enumerate(held) if ticket.number == number), 0)
        if not held or held[place].number != number:
            raise ProtocolError(f"worker {worker} reported ticket {number}, which is not what it has to do first; it holds: {list(held or ())}")
        self.taken += 1
        if worker not in self._leaving:
            if len(held) < self._most:
                del self._wanting[len(held)][worker]
            self._wanting[len(held) - 1][worker] = None
        ticket = held[place]
        del held[place]
        return ticket

    def _want_nothing(self, worker: int) -> None:
        for wanting in self._wanting:
            wanting.pop(worker, None)

    def slack_ns(self, row_ns: float) -> float:
        """Return for how long, by estimate, no worker will run dry even if nothing is dealt: 0 unless each of them has a second ticket."""
        slack = math.inf
        for held in self._held.values():
            rows = 0
            for ticket in islice(held, 1, None):
                if ticket.kind is TicketKind.ROWS:
                    rows += ticket.rows
            if not rows:
                return 0.0
            slack = min(slack, rows * row_ns)
        return slack if self._held else 0.0
