"""Tickets that come before all new ones: what dead workers held, and blocks of the order. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from loader.ipc.records import Ticket, TicketKind
from loader.supervise.schedule.slot_pool import SlotPool
from loader.supervise.schedule.suspects import Suspects


class Again:
    """They wait for a worker, in the order in which they are dealt.

    Args:
        slots: may no longer want the rows of one.
        suspects: counts the deaths at them.

    Attributes:
        waiting: the next one first.
        here: those that only workers of this machine are to do, as they may end whoever does them. At these, it is known at once how they ended.
    """

    def __init__(self, slots: SlotPool, suspects: Suspects) -> None:
        self._slots = slots
        self._suspects = suspects
        self.waiting: deque[Ticket] = deque()
        self.here: deque[Ticket] = deque()

    def put_first(self, tickets: list[Ticket], here: int = 0) -> None:
        """These have been dealt before, and are next, as far as they are wanted. The one with the number `here` is for workers of this machine."""
        self.put_here(ticket for ticket in tickets if ticket.number == here)
        self.waiting.extendleft(ticket for ticket in reversed(tickets) if ticket.number != here and not self._drop(ticket))

    def put_here(self, tickets: Iterable[Ticket]) -> None:
        """These are only for workers of this machine, as far as they are wanted."""
        self.here.extend(ticket for ticket in tickets if not self._drop(ticket))

    def put_last(self, tickets: Iterable[Ticket]) -> None:
        """These are new."""
        self.waiting.extend(tickets)

    def sort(self) -> None:
        """Put them into the order of the plan, as several workers may have lost theirs at once; ranks come one after the other in it.

        Blocks of the order are for later rows.
        """
        self.waiting = deque(sorted(self.waiting, key=lambda ticket: (ticket.kind is TicketKind.ORDER, ticket.epoch, ticket.first)))

    def drop_stale(self) -> None:
        """Forget those that are no longer wanted."""
        self.waiting = deque(ticket for ticket in self.waiting if not self._drop(ticket))
        self.here = deque(ticket for ticket in self.here if not self._drop(ticket))

    def _drop(self, ticket: Ticket) -> bool:
        """Return whether a ticket that no worker holds is no longer wanted; if so, its rows are accounted for."""
        stale = self._slots.is_stale(ticket)
        if stale:
            self._suspects.deaths.pop(ticket.number, None)
            self._slots.finished(ticket)
        return stale
