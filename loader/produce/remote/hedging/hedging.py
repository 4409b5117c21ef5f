"""Which actor does which ticket and when, which tickets are late, and who else does them. Pure: events in, commands out, times are arguments.

A ticket belongs to the worker that the supervisor gave it to, and usually the actor of that worker does it. Any other may do it as well, because rows
are a pure function of their ticket: whoever is first counts, and what the others bring is dropped.

    an actor gets        the tickets of its worker, each just before it needs it (`actor_queue`)
    an actor is late     it has been at its ticket for much longer than is usual; nothing else that it was given can come before that
    a ticket is copied   all actors that were given it are late: another one does it as well, on another node if possible
    a new ticket         goes to another actor while its own is late
    an actor is parked   it is slow ticket after ticket (`standing`), or stuck in what somebody else has brought long ago: its worker is lost, and
                         what that owned is issued again. Once the actor proves quick, the worker joins again
"""

from __future__ import annotations

import heapq
import math
from collections import deque

from loader.data.patience import Patience
from loader.ipc.records import Ticket
from loader.produce.remote.hedging.actor_queue import ActorQueue
from loader.produce.remote.hedging.commands import Command, Copy, Give, Park, Return
from loader.produce.remote.hedging.given import Actor, Due
from loader.produce.remote.hedging.standing import State

_LEAST_LATE_S = 0.02  # what is later by less may have waited for the gateway
_LOOK_EVERY_S = 0.01
_ACTORS_AT_A_TICKET = 2
_FALLS_REMEMBERED = 64

# An actor is stuck if it is still at what somebody else has brought, this long after it was late.
_STUCK_TIMES = 10
_STUCK_S = 1.0


class Hedging:
    """What the actors of a gateway were given, and by whom it is done.

    Args:
        all_at_once: actors get all tickets of their workers at once: they begin early with what takes long to fetch.
    """

    def __init__(self, all_at_once: bool = False) -> None:
        self._all_at_once = all_at_once
        self._patience = Patience(math.inf, _LEAST_LATE_S, math.inf)
        self._actors: dict[int, Actor] = {}
        self._due: dict[int, Due] = {}
        self._look_at_s = -math.inf
        self._soon: list[tuple[float, int]] = []  # when which actor needs another ticket; a heap
        self._falls: deque[Ticket] = deque(maxlen=_FALLS_REMEMBERED)
        self._commands: list[Command] = []

    def join(self, worker: int, node: str) -> None:
        """The actor of a worker is ready, on `node`."""
        self._actors[worker] = Actor(node, ActorQueue(self._all_at_once))

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
        if worker in self._actors:
            self._actors[worker].queue.waiting.clear()
        return disowned

    def cut_off(self, worker: int) -> bool:
        """The actor of a worker brings nothing more. Return whether others fell at the same rows, too; then nobody is given them until it leaves."""
        actor = self._actors[worker]
        if not actor.cut_off:
            actor.cut_off = True
            self._fall(actor)
            self._take_off(worker)
        return actor.fell_at in self._due

    def is_busy(self, worker: int) -> bool:
        """Return whether the actor of a worker is at anything."""
        return worker in self._actors and bool(self._actors[worker].queue.held)

    def begins(self, worker: int, ticket: Ticket) -> bool:
        """Return whether the actor of a worker has a ticket to begin with, or is at it."""
        return self._actors[worker].queue.first == ticket

    def at(self, worker: int) -> Ticket | None:
        """Return the ticket that the actor of a worker is at; None if nobody wants it any more."""
        at = self._actors[worker].queue.at if worker in self._actors else None
        return at if at is not None and at.number in self._due else None

    def owner(self, number: int) -> int | None:
        """Return whose a ticket is; None if nobody wants it any more."""
        due = self._due.get(number)
        return None if due is None else due.owner

    def give(self, worker: int, ticket: Ticket, now_s: float) -> None:
        """The supervisor gave a ticket to a worker. If it is one that was lost, an actor may be at it that was to help."""
        due = self._due[ticket.number] = Due(ticket, worker)
        due.actors = {other for other, actor in self._actors.items() if ticket.number in actor.queue.held and actor.is_of_use}
        if due.actors:
            return
        actor = self._actors[worker]
        doer = self._best(due, self._late(now_s)) if self._is_late(actor, now_s) else None
        if doer is not None:
            self._give(doer, due, now_s)
            return
        due.waits = True
        actor.queue.wait(ticket)
        self._serve(worker, actor, now_s)

    def made(self, worker: int, number: int, now_s: float) -> None:
        """The actor of `worker` has made the rows of a ticket, which begin to come."""
        if (actor := self._actors.get(worker)) is not None:
            actor.queue.made(number, now_s)
            self._serve(worker, actor, now_s)

    def came(self, worker: int, number: int, made_s: float, written: bool, now_s: float) -> int | None:
        """The actor of `worker` has brought a ticket, at which it was for `made_s`; its rows were written, or dropped.

        Returns:
            Whose the ticket is, if somebody wants it and it is written.
        """
        actor = self._actors.get(worker)
        if actor is None or number not in actor.queue.held:  # it was lost meanwhile
            return None
        late = self._late_for_s(actor, now_s) > 0
        took_s = now_s - actor.queue.since_s
        ticket = actor.queue.came(number, made_s, now_s)
        self._compare(worker, actor, took_s / ticket.rows, late, now_s)
        self._serve(worker, actor, now_s)
        due = self._due.get(number)
        if due is None:
            return None
        if not written:  # it was issued again while its rows were dropped
            due.actors.discard(worker)
            return None
        del self._due[number]
        self._stop_waiting(due)
        self._patience.answered(took_s, ticket.rows)
        return due.owner

    def commands(self, now_s: float) -> list[Command]:
        """Return what follows from events and time."""
        while self._soon and self._soon[0][0] <= now_s:
            _, worker = heapq.heappop(self._soon)
            if (actor := self._actors.get(worker)) is not None:
                actor.looked_at_s = math.inf
                self._serve(worker, actor, now_s)
        if now_s >= self._look_at_s:
            self._look(now_s)
        commands, self._commands = self._commands, []
        return commands

    def wake_at_s(self) -> float:
        """Return when to ask for commands if nothing happens before."""
        return min(self._look_at_s, self._soon[0][0] if self._soon else math.inf) if self._due else math.inf

    def _fall(self, actor: Actor) -> None:
        """Note what an actor was at, which is suspected if another one has fallen at the same rows."""
        at = actor.queue.at
        due = None if at is None else self._due.get(at.number)
        if due is None:
            return
        if any(_share_rows(due.ticket, other) for other in self._falls):
            actor.fell_at = due.ticket.number
            due.fallen += 1
        self._falls.append(due.ticket)

    # Giving.

    def _serve(self, worker: int, actor: Actor, now_s: float) -> None:
        """Give an actor what waits for it, as far as it needs it now; note when it needs more."""
        if not actor.is_of_use:
            return
        waiting = actor.queue.waiting
        while waiting and actor.queue.needs_one_at_s() <= now_s:
            self._give(worker, self._due[waiting[0].number], now_s)
        if waiting and (at_s := actor.queue.needs_one_at_s()) < actor.looked_at_s:
            actor.looked_at_s = at_s
            heapq.heappush(self._soon, (at_s, worker))

    def _give(self, worker: int, due: Due, now_s: float) -> None:
        self._put(worker, due, now_s)
        self._commands.append(Give(worker, due.ticket))

    def _copy(self, worker: int, due: Due, late: int | None, now_s: float) -> None:
        self._put(worker, due, now_s)
        self._commands.append(Copy(worker, due.ticket, late))

    def _put(self, worker: int, due: Due, now_s: float) -> None:
        self._stop_waiting(due)
        self._actors[worker].queue.send(due.ticket, now_s)
        due.actors.add(worker)

    def _stop_waiting(self, due: Due) -> None:
        if due.waits:
            due.waits = False
            self._actors[due.owner].queue.waiting.remove(due.ticket)

    def _take_off(self, worker: int) -> None:
        for due in self._due.values():
            due.actors.discard(worker)

    # Lateness.

    def _late_for_s(self, actor: Actor, now_s: float) -> float:
        """Return for how long an actor has been late; negative if it is not."""
        ticket = actor.queue.first
        return -math.inf if ticket is None else now_s - actor.queue.since_s - self._patience.late_after_s(ticket.rows)

    def _is_late(self, actor: Actor, now_s: float) -> bool:
        return not actor.is_of_use or self._late_for_s(actor, now_s) > 0

    def _late(self, now_s: float) -> set[int]:
        return {worker for worker, actor in self._actors.items() if self._is_late(actor, now_s)}

    def _look(self, now_s: float) -> None:
        self._look_at_s = now_s + _LOOK_EVERY_S
        late = self._late(now_s)
        for worker in sorted(late):
            self._look_at_slow_one(worker, self._actors[worker], now_s)
        for due in list(self._due.values()):  # also if nobody is late: those that were given it may have gone
            waits = due.waits and due.owner not in late
            if len(due.actors) < _ACTORS_AT_A_TICKET and due.actors <= late and not due.fallen and not waits:
                self._give_to_another(due, late, now_s)

    def _give_to_another(self, due: Due, late: set[int], now_s: float) -> None:
        helper = self._best(due, late)
        if helper is not None and (not due.actors or self._patience.repeat()):
            self._copy(helper, due, min(due.actors, default=None), now_s)

    def _best(self, due: Due, late: set[int]) -> int | None:
        """Return the actor that is likely to do a ticket first, and not to share the fate of those that were given it."""
        nodes = {self._actors[worker].node for worker in due.actors or {due.owner}}
        others = self._actors.keys() - late - due.actors
        return min(others, key=lambda other: (self._actors[other].node in nodes, len(self._actors[other].queue.held), other), default=None)

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
        first = actor.queue.first
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

    def _is_stuck(self, actor: Actor, ticket: Ticket, now_s: float) -> bool:
        return self._late_for_s(actor, now_s) > _STUCK_TIMES * self._patience.late_after_s(ticket.rows) + _STUCK_S

    def _example(self) -> Due | None:
        """Return a ticket for a trial: the last one that somebody is at, so that nobody has to wait for it."""
        return next((due for due in reversed(self._due.values()) if due.actors), None)


def _share_rows(one: Ticket, other: Ticket) -> bool:
    return one.epoch == other.epoch and one.first < other.first + other.rows and other.first < one.first + one.rows
