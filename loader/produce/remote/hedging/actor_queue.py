"""What one actor has, and what it is given next: it gets the next ticket when it is halfway through the one before. Pure: times are arguments.

    waiting    given to its worker, and still here: one that is lost elsewhere, and so older, goes first
    unmade     sent to the actor; it is at the first one, or about to begin with it
    held       unmade ones, and those that are made and whose rows are on their way

As long as an actor has a second ticket for half of its time only, what is urgent queues behind little more than the ticket which it is at. So what a
lost node held is made within two to three tickets' time. Halfway is early enough for a busy machine; just in time is not (docs/measurements.md).
"""

from __future__ import annotations

import math
from bisect import insort
from collections import deque
from operator import attrgetter

from loader.ipc.records import Ticket

# For what else the gateway and the actor's machine may be at, beside the way there and back: at least so long, and such a share of a ticket.
_AHEAD_S = 0.005
_AHEAD_SHARE = 0.5
_DEVIATIONS = 2.0
_SMOOTHING = 0.25

_number = attrgetter("number")


class ActorQueue:
    """The tickets of an actor: it does one after the other.

    Args:
        all_at_once: nothing waits here; the actor begins early with what takes long to fetch.

    Attributes:
        held: by number, in the order in which they were sent.
        waiting: the oldest first.
        since_s: since when it has been at the first of those that it holds.
    """

    def __init__(self, all_at_once: bool) -> None:
        self.held: dict[int, Ticket] = {}
        self.waiting: list[Ticket] = []
        self.since_s = 0.0
        self._all_at_once = all_at_once
        self._unmade: deque[Ticket] = deque()
        self._begun_s = 0.0
        self._row_s: float | None = None  # that it takes to make one
        self._deviation_s = 0.0
        self._way_s = math.inf  # there and back, as short as it has been
        self._to_idle: tuple[int, float] = (0, 0.0)  # the last ticket that it got while it had nothing else to make, and after how long it was made

    @property
    def first(self) -> Ticket | None:
        """The ticket that it brings next: it is at it, or its rows are on their way."""
        return next(iter(self.held.values()), None)

    @property
    def at(self) -> Ticket | None:
        """The ticket that it is at; what is on its way is made."""
        return self._unmade[0] if self._unmade else None

    def wait(self, ticket: Ticket) -> None:
        """It is to have a ticket when it needs one."""
        insort(self.waiting, ticket, key=_number)

    def send(self, ticket: Ticket, now_s: float) -> None:
        """It is sent a ticket."""
        if not self.held:
            self.since_s = now_s
        if not self._unmade:
            self._begun_s = now_s
            self._to_idle = ticket.number, math.inf
        self.held[ticket.number] = ticket
        self._unmade.append(ticket)

    def made(self, number: int, now_s: float) -> None:
        """It has made the rows of a ticket, which begin to come."""
        if self._unmade and self._unmade[0].number == number:
            self._unmade.popleft()
            if number == self._to_idle[0]:
                self._to_idle = number, now_s - self._begun_s
            self._begun_s = now_s

    def came(self, number: int, made_s: float, now_s: float) -> Ticket:
        """It has brought a ticket, whose rows took it so long. Return the ticket."""
        self.made(number, now_s)
        self.since_s = now_s
        ticket = self.held.pop(number)
        if number == self._to_idle[0]:
            self._way_s = min(self._way_s, max(0.0, self._to_idle[1] - made_s))
        row_s = made_s / ticket.rows
        if self._row_s is None:
            self._row_s, self._deviation_s = row_s, row_s / 2
        off_s = row_s - self._row_s
        self._row_s += _SMOOTHING * off_s
        self._deviation_s += _SMOOTHING * (abs(off_s) - self._deviation_s)
        return ticket

    def needs_one_at_s(self) -> float:
        """Return from when on it needs another ticket: before it can be through with the only one that it is at, if it is as quick as it often is."""
        if self._all_at_once or not self._unmade:
            return -math.inf
        if len(self._unmade) > 1:
            return math.inf
        row_s = 0.0 if self._row_s is None else max(0.0, self._row_s - _DEVIATIONS * self._deviation_s)
        takes_s = self._unmade[0].rows * row_s
        return self._begun_s + takes_s - self._way_s - max(_AHEAD_S, _AHEAD_SHARE * takes_s)
