"""Actors with the tickets that they were given, and tickets with the actors that were given them."""

from __future__ import annotations

from dataclasses import dataclass, field

from loader.ipc.records import Ticket
from loader.produce.remote.hedging.standing import Standing, State


@dataclass
class Actor:
    """The actor of a worker, and the tickets that it was given: it does one after the other, of those that it has the oldest first.

    Attributes:
        node: where it is.
        standing: how quick it is, compared with others.
        held: its tickets by number, in the order in which they were sent.
        at: the one that it is at.
        coming: the one that it has made, and whose rows are on their way.
        since_s: since when it has been at `first`.
    """

    node: str
    standing: Standing = field(default_factory=Standing)
    held: dict[int, Ticket] = field(default_factory=dict)
    at: Ticket | None = None
    coming: Ticket | None = None
    since_s: float = 0.0

    @property
    def is_of_use(self) -> bool:
        """Whether it may be given tickets."""
        return self.standing.state is State.WORKING

    @property
    def first(self) -> Ticket | None:
        """The ticket that it brings next."""
        return self.coming or self.at

    def ahead_of(self, number: int) -> int:
        """Return how many tickets it does before one with this number, if it is sent that now: what it is at, and the older ones."""
        return sum(ticket is self.at or (number > ticket.number and ticket is not self.coming) for ticket in self.held.values())

    def send(self, ticket: Ticket, now_s: float) -> None:
        """It is sent a ticket; while it has no other one, it begins with it, whatever comes after that."""
        if not self.held:
            self.since_s = now_s
        self.held[ticket.number] = ticket
        self.at = self.at or ticket

    def made(self, number: int, following: int) -> None:
        """It has made the rows of a ticket, which begin to come, and begins the ticket `following`; 0: the first one that was on its way to it."""
        self.coming = self.held[number]
        others = (ticket for ticket in self.held.values() if ticket.number != number)
        self.at = self.held[following] if following else next(others, None)

    def came(self, number: int, now_s: float) -> Ticket:
        """It has brought a ticket, whose rows had begun to come. Return the ticket."""
        self.coming, self.since_s = None, now_s
        return self.held.pop(number)


@dataclass
class Due:
    """A ticket that nobody has brought yet.

    Attributes:
        ticket: the ticket.
        owner: the worker that the supervisor gave it to.
        actors: those that were given it.
    """

    ticket: Ticket
    owner: int
    actors: set[int] = field(default_factory=set)
