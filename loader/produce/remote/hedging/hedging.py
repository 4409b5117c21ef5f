"""Which actor does which ticket, which tickets are late, and who else does them. Pure: events in, commands out, times are arguments.

A ticket belongs to the worker that the supervisor gave it to, and usually the actor of that worker does it. Any other may do it as well, because rows
are a pure function of their ticket: whoever is first counts, and what the others bring is dropped.

    an actor gets        the tickets of its worker at once, and does the oldest of those that it has whenever it is through with one
    an actor is late     it has been at its ticket for much longer than is usual; nothing else that it was given can come before that
    a node is silent     all that its actors are at is overdue, and what others are at is not (`silence`): they all count as late
    a ticket is copied   all actors that were given it are late: the one that comes to it first does it as well, if possible elsewhere. At most 15 %
                         are, not counting those whose actors are on silent nodes or gone
    a new ticket         goes to another actor while its own is late
    a lost ticket        goes to the actor that comes to it first; if possible not on a node where one was cut off a moment ago, as others may follow
    an actor is parked   it is slow ticket after ticket (`standing`), or stuck in what somebody else has brought long ago: its worker is lost, and
                         what that owned is issued again. Once the actor proves quick, the worker joins again
"""

from __future__ import annotations

import math
from collections import defaultdict, deque

from loader.data.patience import Patience
from loader.ipc.records import Ticket
from loader.produce.remote.hedging.commands import Command, Copy, Give, Park, Return
from loader.produce.remote.hedging.given import Actor, Due
from loader.produce.remote.hedging.silence import Silence
from loader.produce.remote.hedging.standing import State

_LEAST_LATE_S = 0.02  # what is later by less may have waited for the gateway
_LOOK_EVERY_S = 0.01
_ACTORS_AT_A_TICKET = 2
_FALLS_REMEMBERED = 64

# Where an actor was cut off, its node may be going: the actors of a Ray node that is killed end within a second after it, one by one
# (docs/measurements.md).
_IN_DOUBT_S = 1.5

# An actor is stuck if it is still at what somebody else has brought, this long after it was late.
_STUCK_TIMES = 10
_STUCK_S = 1.0


class Hedging:
    """What the actors of a gateway were given, and by whom it is done."""

    def __init__(self) -> None:
        self._patience = Patience(math.inf, _LEAST_LATE_S, math.inf)
        self._actors: dict[int, Actor] = {}
        self._due: dict[int, Due] = {}
        self._silence = Silence()
        self._look_at_s = -math.inf
        self._falls: deque[Ticket] = deque(maxlen=_FALLS_REMEMBERED)
        self._doubted_until_s: dict[str, float] = {}  # by node, once an actor was cut off there
        self._newest = 0  # of the tickets that were given
        self._commands: list[Command] = []

    def join(self, worker: int, node: str) -> None:
        """The actor of a worker is ready, on `node`."""
        self._actors[worker] = Actor(node)

    def leave(self, worker: int) -> list[int]:
        """The actor of a worker is gone, or let go: what the worker owned will be issued again, what its actor did for others is done by others.

        Returns:
            The numbers of the tickets that nobody wants any more.
        """
        if self._actors.pop(worker, None) is not None:
            for due in self._due.values():
                due.actors.discard(worker)
        return self.disown(worker)

    def disown(self, worker: int) -> list[int]:
        """What a worker owned will be issued again. Return the numbers of the tickets."""
        disowned = [number for number, due in self._due.items() if due.owner == worker]
        for number in disowned:
            del self._due[number]
        return disowned

    def cut_off(self, worker: int, now_s: float) -> bool:
        """The connection to the actor of a worker has ended, and it is to leave. Return whether another one was cut off at the same rows before."""
        self._doubted_until_s[self._actors[worker].node] = now_s + _IN_DOUBT_S
        if (at := self.at(worker)) is None:
            return False
        suspected = any(_share_rows(at, other) for other in self._falls)
        self._falls.append(at)
        return suspected

    def is_busy(self, worker: int) -> bool:
        """Return whether the actor of a worker is at anything."""
        return worker in self._actors and bool(self._actors[worker].held)

    def begins(self, worker: int, ticket: Ticket) -> bool:
        """Return whether the actor of a worker has a ticket to begin with, or is at it."""
        return self._actors[worker].first == ticket

    def at(self, worker: int) -> Ticket | None:
        """Return the ticket that the actor of a worker is at; None if nobody wants it any more."""
        at = self._actors[worker].at if worker in self._actors else None
        return at if at is not None and at.number in self._due else None

    def owner(self, number: int) -> int | None:
        """Return whose a ticket is; None if nobody wants it any more."""
        due = self._due.get(number)
        return None if due is None else due.owner

    def give(self, worker: int, ticket: Ticket, asked_s: float, now_s: float) -> None:
        """The supervisor gave a ticket to a worker. If it is one that was lost, an actor may be at it that was to help.

        Args:
            worker: whose it is.
            ticket: the ticket.
            asked_s: what had come by then is known, and so who was late.
            now_s: the time.
        """
        due = self._due[ticket.number] = Due(ticket, worker)
        due.actors = {other for other, actor in self._actors.items() if ticket.number in actor.held and actor.is_of_use}
        if due.actors:
            return
        actor, doer = self._actors[worker], self._doer(worker, due, asked_s, now_s)
        if doer is None and actor.is_of_use:
            doer = worker
        if doer is not None:
            self._put(doer, due, now_s)
            self._commands.append(Give(doer, ticket))

    def made(self, worker: int, number: int, following: int, now_s: float) -> None:
        """The actor of `worker` has made the rows of a ticket, which begin to come, and begins the ticket `following`; 0: it has had no other one."""
        if (actor := self._actors.get(worker)) is not None:
            actor.made(number, following)
            self._silence.answered(actor.node, now_s)

    def came(self, worker: int, number: int, written: bool, now_s: float) -> int | None:
        """The actor of `worker` has brought a ticket, whose rows had begun to come, and were written or dropped.

        Returns:
            Whose the ticket is, if somebody wants it and it is written.
        """
        actor = self._actors.get(worker)
        if actor is None or number not in actor.held:  # it was lost meanwhile
            return None
        late = self._late_for_s(actor, now_s) > 0
        took_s = now_s - actor.since_s
        ticket = actor.came(number, now_s)
        self._silence.answered(actor.node, now_s)
        self._compare(worker, actor, took_s / ticket.rows, late, now_s)
        due = self._due.get(number)
        if due is None:
            return None
        if not written:  # it was issued again while its rows were dropped
            due.actors.discard(worker)
            return None
        del self._due[number]
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

    # Giving.

    def _doer(self, worker: int, due: Due, asked_s: float, now_s: float) -> int | None:
        """Return whose actor is to do a ticket that was given to `worker`; None if neither its own is fit for it, nor any other one."""
        if due.ticket.number > self._newest:
            self._newest = due.ticket.number
            return self._best(due, self._late(asked_s), now_s) if self._is_late(self._actors[worker], asked_s) else worker
        fit = {other for other in self._actors.keys() - self._late(asked_s) if not self._is_in_doubt(other, now_s)}
        return min(fit, key=lambda other: (*self._turn(other, due), other != worker, other), default=None)

    def _copy(self, worker: int, due: Due, late: int | None, now_s: float) -> None:
        self._put(worker, due, now_s)
        self._commands.append(Copy(worker, due.ticket, late))

    def _put(self, worker: int, due: Due, now_s: float) -> None:
        self._actors[worker].send(due.ticket, now_s)
        due.actors.add(worker)

    # Lateness.

    def _late_for_s(self, actor: Actor, now_s: float) -> float:
        """Return for how long an actor has been late; negative if it is not."""
        ticket = actor.first
        return -math.inf if ticket is None else now_s - actor.since_s - self._patience.late_after_s(ticket.rows)

    def _is_late(self, actor: Actor, now_s: float) -> bool:
        return not actor.is_of_use or actor.node in self._silence.nodes or self._late_for_s(actor, now_s) > 0

    def _late(self, now_s: float) -> set[int]:
        return {worker for worker, actor in self._actors.items() if self._is_late(actor, now_s)}

    def _look(self, now_s: float) -> None:
        self._look_at_s = now_s + _LOOK_EVERY_S
        self._listen(now_s)
        late = self._late(now_s)
        for worker in sorted(late):
            self._look_at_slow_one(worker, self._actors[worker], now_s)
        for due in list(self._due.values()):  # also if nobody is late: those that were given it may have gone
            if len(due.actors) < _ACTORS_AT_A_TICKET and due.actors <= late:
                self._give_to_another(due, late, now_s)

    def _give_to_another(self, due: Due, late: set[int], now_s: float) -> None:
        helper = self._best(due, late, now_s)
        nobody_answers = all(self._actors[worker].node in self._silence.nodes for worker in due.actors)  # also if those that were given it are gone
        if helper is not None and (nobody_answers or self._patience.repeat()):
            self._copy(helper, due, min(due.actors, default=None), now_s)

    def _listen(self, now_s: float) -> None:
        """Find out which nodes are silent."""
        overdue = defaultdict[str, list[bool | None]](list)
        for actor in self._actors.values():
            of_node = overdue[actor.node]
            if actor.is_of_use:
                ticket = actor.first
                of_node.append(None if ticket is None else now_s - actor.since_s > self._patience.overdue_after_s(ticket.rows))
        self._silence.look(overdue, now_s)

    def _is_in_doubt(self, worker: int, now_s: float) -> bool:
        return self._doubted_until_s.get(self._actors[worker].node, -math.inf) > now_s

    def _best(self, due: Due, late: set[int], now_s: float) -> int | None:
        """Return the actor that is likely to do a ticket first, and not to share the fate of those that were given it."""
        nodes = {self._actors[worker].node for worker in due.actors or {due.owner}}
        others = self._actors.keys() - late - due.actors
        return min(
            others,
            key=lambda other: (self._is_in_doubt(other, now_s), self._actors[other].node in nodes, *self._turn(other, due), other),
            default=None,
        )

    def _turn(self, worker: int, due: Due) -> tuple[int, float]:
        """Return after how many tickets an actor would do this one, and since when it has been at the first of them: the lesser comes first."""
        actor = self._actors[worker]
        return actor.ahead_of(due.ticket.number), actor.since_s if actor.held else -math.inf

    # Slowness.

    def _compare(self, worker: int, actor: Actor, row_s: float, late: bool, now_s: float) -> None:
        """Compare how long an actor took for a row with the others."""
        before = actor.standing.state
        others = [other.standing for number, other in self._actors.items() if number != worker]
        actor.standing.did(row_s, [other.row_s for other in others if other.state is State.WORKING and other.row_s is not None], late, now_s)
        if actor.standing.state is State.PARKED and before is State.WORKING:
            self._commands.append(Park(worker))
        elif actor.standing.state is State.WORKING and before is State.ON_TRIAL:
            self._commands.append(Return(worker))

    def _look_at_slow_one(self, worker: int, actor: Actor, now_s: float) -> None:
        """Park an actor that is stuck; try one that was parked, when its time has come and it has done all that it was given."""
        first = actor.first
        if first is None:
            if (due := self._example()) is not None and actor.standing.try_it(now_s):
                self._copy(worker, due, None, now_s)
            elif due is None and self._nobody_works() and actor.standing.use_again(now_s):
                self._commands.append(Return(worker))
        elif actor.standing.state is State.WORKING and first.number not in self._due and self._is_stuck(actor, first, now_s):
            actor.standing.park(now_s)
            self._commands.append(Park(worker))

    def _nobody_works(self) -> bool:
        return not any(actor.is_of_use for actor in self._actors.values())

    def _is_stuck(self, actor: Actor, ticket: Ticket, now_s: float) -> bool:
        return self._late_for_s(actor, now_s) > _STUCK_TIMES * self._patience.late_after_s(ticket.rows) + _STUCK_S

    def _example(self) -> Due | None:
        """Return a ticket for a trial: the last one that somebody is at, so that nobody has to wait for it."""
        return next((due for due in reversed(self._due.values()) if due.actors), None)


def _share_rows(one: Ticket, other: Ticket) -> bool:
    return one.epoch == other.epoch and one.first < other.first + other.rows and other.first < one.first + one.rows
