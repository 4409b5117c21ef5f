"""Actors with the tickets that they were given, and tickets with the actors that were given them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from loader.ipc.records import Ticket
from loader.produce.remote.hedging.actor_queue import ActorQueue
from loader.produce.remote.hedging.standing import Standing, State


@dataclass
class Actor:
    """The actor of a worker, and what it was given.

    Attributes:
        node: where it is.
        queue: its tickets.
        standing: how quick it is, compared with others.
        cut_off: whether the connection to it has ended.
        fell_at: the ticket that it was cut off at, if that is suspected; else 0.
        looked_at_s: when it will be looked whether it needs another ticket.
    """

    node: str
    queue: ActorQueue
    standing: Standing = field(default_factory=Standing)
    cut_off: bool = False
    fell_at: int = 0
    looked_at_s: float = math.inf

    @property
    def is_of_use(self) -> bool:
        """Whether it may be given tickets."""
        return self.standing.state is State.WORKING and not self.cut_off


@dataclass
class Due:
    """A ticket that nobody has brought yet.

    Attributes:
        ticket: the ticket.
        owner: the worker that the supervisor gave it to.
        actors: those that were given it.
        waits: whether it waits for the owner's actor to need it.
        fallen: how many actors it is suspected to have ended that have not left yet.
    """

    ticket: Ticket
    owner: int
    actors: set[int] = field(default_factory=set)
    waits: bool = False
    fallen: int = 0
