"""Which actor is at which ticket, which tickets are late, and who else does them. Pure: events in, commands out, times are arguments.

A ticket belongs to the worker that the supervisor gave it to, and usually the actor of that worker does it. Any other may do it as well, because rows
are a pure function of their ticket: whoever is first counts, and what the others bring is dropped.

    an actor is late     it has been at its ticket for much longer than is usual; nothing else that it was given can come before that
    a ticket is copied   all actors that were given it are late: another one does it as well, on another node if possible
    a new ticket         goes to another actor while its own is late
    an actor is parked   it is slow ticket after ticket (`standing`), or stuck in what somebody else has brought long ago: its worker is lost, and
                         what that owned is issued again. Once the actor proves quick, the worker joins again
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from loader.data.patience import Patience
from loader.ipc.records import Ticket
from loader.produce.remote.hedging.standing import Standing, State

_LEAST_LATE_S = 0.02  # what is later by less may have waited for the gateway
_LOOK_EVERY_S = 0.01
_ACTORS_AT_A_TICKET = 2
_FALLEN_AT_A_TICKET = 2  # a ticket that ends whoever is at it waits until Ray says how they ended, and its worker is lost

# An actor is stuck if it is still at what somebody else has brought, this long after it was late.
_STUCK_TIMES = 10
_STUCK_S = 1.0


class Copy(NamedTuple):
    """Have the actor of `worker` do `ticket` as well, because that of `late` is late; None: because it is to be tried, or nobody else is left."""

    worker: int
    ticket: Ticket
    late: int | None


class Park(NamedTuple):
    """The worker is lost, because its actor is too slow; `disown` it."""

    worker: int


class Return(NamedTuple):
    """The worker joins again, because its actor is quick again."""

    worker: int


Command = Copy | Park | Return


@dataclass
class _Actor:
    """The actor of a worker, and what it was given: it does one ticket after the other."""

    node: str
    standing: Standing = field(default_factory=Standing)
    held: dict[int, Ticket] = field(default_factory=dict)
    since_s: float = 0.0  # it has been at the first one
    cut_off: bool = False
    fell_at: int = 0  # the ticket that it was cut off at, if any

    def first(self) -> Ticket | None:
        return next(iter(self.held.values()), None)


@dataclass
class _Due:
    """A ticket that nobody has brought yet, and the actors that were given it."""

    ticket: Ticket
    owner: int
    actors: set[int] = field(default_factory=set)
    fallen: int = 0  # actors that were cut off while they were at it, and have not left yet


class Hedging:
    """What the actors of a gateway were given, and by whom it is done."""

    def __init__(self) -> None:
        self._patience = Patience(math.inf, _LEAST_LATE_S, math.inf)
        self._actors: dict[int, _Actor] = {}
        self._due: dict[int, _Due] = {}
        self._look_at_s = -math.inf
        self._commands: list[Command] = []

    def join(self, worker: int, node: str) -> None:
        """The actor of a worker is ready, on `node`."""
        self._actors[worker] = _Actor(node)

    def leave(self, worker: int) -> list[int]:
        """The actor of a worker is gone, or let go: what the worker owned will be issued again, what its actor did for others is done by others.

        Returns:
            The numbers of the tickets that nobody wants any more.
        """
        if (actor := self._actors.pop(worker, None)) is not None:
            self._take_off(worker)
            if actor.fell_at in self._due:  # Ray has said how; if its worker is not lost for it, the ticket can be passed on
                self._due[actor.fell_at].fallen -= 1
        return self.disown(worker)

    def disown(self, worker: int) -> list[int]:
        """What a worker owned will be issued again. Return the numbers of the tickets."""
        disowned = [number for number, due in self._due.items() if due.owner == worker]
        for number in disowned:
            del self._due[number]
        return disowned

    def cut_off(self, worker: int) -> None:
        """The connection to the actor of a worker has ended: it will bring nothing more."""
        actor = self._actors[worker]
        if actor.cut_off:
            return
        actor.cut_off = True
        if (first := actor.first()) is not None and first.number in self._due:
            actor.fell_at = first.number
            self._due[first.number].fallen += 1
        self._take_off(worker)

    def is_busy(self, worker: int) -> bool:
        """Return whether the actor of a worker is at anything."""
        return worker in self._actors and bool(self._actors[worker].held)

    def begins(self, worker: int, ticket: Ticket) -> bool:
        """Return whether the actor of a worker has a ticket to begin with, or is at it."""
        return self._actors[worker].first() == ticket

    def at(self, worker: int) -> tuple[int, Ticket] | None:
        """Return the ticket that the actor of a worker is at, after the worker that owns it; None if nobody wants it any more."""
        first = self._actors[worker].first() if worker in self._actors else None
        due = None if first is None else self._due.get(first.number)
        return None if due is None else (due.owner, due.ticket)

    def owner(self, number: int) -> int | None:
        """Return whose a ticket is; None if nobody wants it any more."""
        due = self._due.get(number)
        return None if due is None else due.owner

    def give(self, worker: int, ticket: Ticket, now_s: float) -> int:
        """The supervisor gave a ticket to a worker. Return whose actor is to do it."""
        due = self._due[ticket.number] = _Due(ticket, worker)
        doer = self._best(due, self._late(now_s)) if self._is_late(self._actors[worker], now_s) else worker
        self._put(worker if doer is None else doer, due, now_s)
        return worker if doer is None else doer

    def came(self, worker: int, number: int, now_s: float) -> int | None:
        """The actor of `worker` brings a ticket. Return whose it is; None if nobody wants it any more, so that nothing may be written."""
        actor = self._actors.get(worker)
        if actor is None or number not in actor.held:  # it was lost meanwhile
            return None
        late = self._late_for_s(actor, now_s) > 0
        ticket = actor.held.pop(number)
        took_s, actor.since_s = now_s - actor.since_s, now_s
        self._compare(worker, actor, took_s / ticket.rows, late, now_s)
        due = self._due.pop(number, None)
        if due is None:
            return None
        self._patience.answered(took_s, ticket.rows)
        return due.owner

    def commands(self, now_s: float) -> list[Command]:
        """Return what follows from events and time."""
        if now_s >= self._look_at_s:
            self._look(now_s)
        commands, self._commands = self._commands, []
        return commands

    def wake_at_s(self) -> float:
        """Return when to ask for commands if nothing happens before."""
        return self._look_at_s if self._due else math.inf

    def _put(self, worker: int, due: _Due, now_s: float) -> None:
        actor = self._actors[worker]
        if not actor.held:
            actor.since_s = now_s
        actor.held[due.ticket.number] = due.ticket
        due.actors.add(worker)

    def _take_off(self, worker: int) -> None:
        for due in self._due.values():
            due.actors.discard(worker)

    def _copy(self, worker: int, due: _Due, late: int | None, now_s: float) -> None:
        self._put(worker, due, now_s)
        self._commands.append(Copy(worker, due.ticket, late))

    # Lateness.

    def _late_for_s(self, actor: _Actor, now_s: float) -> float:
        """Return for how long an actor has been late; negative if it is not."""
        ticket = actor.first()
        return -math.inf if ticket is None else now_s - actor.since_s - self._patience.late_after_s(ticket.rows)

    def _is_late(self, actor: _Actor, now_s: float) -> bool:
        return actor.cut_off or actor.standing.state is not State.WORKING or self._late_for_s(actor, now_s) > 0

    def _late(self, now_s: float) -> set[int]:
        return {worker for worker, actor in self._actors.items() if self._is_late(actor, now_s)}

    def _look(self, now_s: float) -> None:
        self._look_at_s = now_s + _LOOK_EVERY_S
        late = self._late(now_s)
        for worker in sorted(late):
            self._look_at_slow_one(worker, self._actors[worker], now_s)
        for due in list(self._due.values()):  # also if nobody is late: those that were given it may have gone
            if len(due.actors) < _ACTORS_AT_A_TICKET and due.actors <= late and due.fallen < _FALLEN_AT_A_TICKET:
                self._give_to_another(due, late, now_s)

    def _give_to_another(self, due: _Due, late: set[int], now_s: float) -> None:
        helper = self._best(due, late)
        if helper is not None and (not due.actors or self._patience.repeat()):
            self._copy(helper, due, min(due.actors, default=None), now_s)

    def _best(self, due: _Due, late: set[int]) -> int | None:
        """Return the actor that is likely to do a ticket first, and not to share the fate of those that were given it."""
        nodes = {self._actors[worker].node for worker in due.actors or {due.owner}}
        others = self._actors.keys() - late - due.actors
        return min(others, key=lambda other: (self._actors[other].node in nodes, len(self._actors[other].held), other), default=None)

    # Slowness.

    def _compare(self, worker: int, actor: _Actor, row_s: float, late: bool, now_s: float) -> None:
        """Compare how long an actor took for a row with the others."""
        before = actor.standing.state
        others = [other.standing for number, other in self._actors.items() if number != worker]
        actor.standing.did(row_s, [other.row_s for other in others if other.state is State.WORKING and other.row_s is not None], late, now_s)
        if actor.standing.state is State.PARKED and before is State.WORKING:
            self._commands.append(Park(worker))
        elif actor.standing.state is State.WORKING and before is State.ON_TRIAL:
            self._commands.append(Return(worker))

    def _look_at_slow_one(self, worker: int, actor: _Actor, now_s: float) -> None:
        """Park an actor that is stuck; try one that was parked, when its time has come and it has done all that it was given."""
        first = actor.first()
        if actor.cut_off:
            return
        if first is None:
            if (due := self._example()) is not None and actor.standing.try_it(now_s):
                self._copy(worker, due, None, now_s)
            elif due is None and self._nobody_works() and actor.standing.use_again(now_s):
                self._commands.append(Return(worker))
        elif actor.standing.state is State.WORKING and first.number not in self._due and self._is_stuck(actor, first, now_s):
            actor.standing.park(now_s)
            self._commands.append(Park(worker))

    def _nobody_works(self) -> bool:
        return not any(actor.standing.state is State.WORKING and not actor.cut_off for actor in self._actors.values())

    def _is_stuck(self, actor: _Actor, ticket: Ticket, now_s: float) -> bool:
        return self._late_for_s(actor, now_s) > _STUCK_TIMES * self._patience.late_after_s(ticket.rows) + _STUCK_S

    def _example(self) -> _Due | None:
        """Return a ticket for a trial: the last one that somebody is at, so that nobody has to wait for it."""
        return next((due for due in reversed(self._due.values()) if due.actors), None)
