"""Actors of a made-up cluster, each as fast as the test says, behind `Hedging`: time passes as events do."""

from __future__ import annotations

import heapq
import math
from collections import Counter, deque
from collections.abc import Callable
from itertools import count

from loader.ipc.records import Ticket, TicketKind
from loader.produce.remote.hedging.commands import Copy, Give, Park, Return
from loader.produce.remote.hedging.hedging import Hedging

TICKETS_PER_WORKER = 2

RowTime = Callable[[int, float], float]


class ActorsWorld:
    """A supervisor that always has tickets, a gateway, and actors.

    Args:
        nodes: of each actor.
        row_s: how long the actor of a worker takes for a row at a time; infinite where it hangs.
        rows: of a ticket.

    Attributes:
        now_s: the time.
        done: how often each ticket was reported done.
        copies: how many were given to one more actor because they were late.
        by: how many tickets each actor was first with.
        waits: how long each ticket took from when it was given to when it was reported.
        done_s: when it was reported.
        rows_that_take: how long rows of certain tickets take, whoever does them.
        deadly: tickets that end whoever is at them.
        fallen: the actors that these have ended, or that were cut off.
        here: the tickets that are suspected, and left to workers of the trainer's machine.
        lost, joined: the workers that were parked, and that came back, with the times.
    """

    def __init__(self, nodes: list[str], row_s: RowTime, rows: int = 10) -> None:
        self.now_s = 0.0
        self.done: Counter[int] = Counter()
        self.copies = 0
        self.by: Counter[int] = Counter()
        self.waits: dict[int, float] = {}
        self.done_s: dict[int, float] = {}
        self.lost: list[tuple[float, int]] = []
        self.joined: list[tuple[float, int]] = []
        self.rows_that_take: dict[int, float] = {}
        self.deadly: set[int] = set()
        self.fallen: list[int] = []
        self.here: list[int] = []
        self.hedging = Hedging()
        self._brought: set[int] = set()
        self._nodes = nodes
        self._row_s = row_s
        self._rows = rows
        self._numbers = count(1)
        self._again: deque[Ticket] = deque()
        self._given_s: dict[int, float] = {}
        self._held: dict[int, dict[int, Ticket]] = {}  # as the supervisor sees it
        self._calls: dict[int, list[tuple[int, Ticket]]] = {}  # of each actor, the one that it is at first
        self._answers: list[tuple[float, int, int]] = []  # when, of which call, by which actor
        self._call_numbers = count()
        for worker in range(len(nodes)):
            self.join(worker)

    def join(self, worker: int) -> None:
        """A worker has an actor, a new one."""
        self.hedging.join(worker, self._nodes[worker])
        self._calls[worker] = []
        self._held[worker] = {}

    def has(self, worker: int) -> bool:
        """Whether a worker has an actor that is not parked."""
        return worker in self._held

    def held(self, worker: int) -> list[int]:
        """Return the numbers of the tickets of a worker."""
        return list(self._held[worker])

    def kill(self, worker: int) -> Ticket | None:
        """An actor dies; return what it was at if that is to blame, because nobody else has brought it."""
        at = self.hedging.at(worker)
        self.hedging.leave(worker)
        del self._calls[worker]
        self._lose(worker)
        return at

    def fall(self, worker: int) -> None:
        """The connection to an actor ends. If what it was at is suspected, the worker that owns that is lost for it."""
        self.fallen.append(worker)
        owner, at = worker, self.hedging.at(worker)
        if self.hedging.cut_off(worker, self.now_s):
            assert at is not None
            owner = self.hedging.owner(at.number)
            self.here.append(self._held[owner].pop(at.number).number)
        for each in {worker, owner}:
            self.hedging.leave(each)
            del self._calls[each]
            self._lose(each)

    def run(self, until_s: float, tickets: float = math.inf) -> None:
        """Let time pass."""
        while self.now_s < until_s:
            self._deal(tickets)
            self._carry_out()
            wake_s = self.hedging.wake_at_s()
            answer_s = self._answers[0][0] if self._answers else math.inf
            if min(wake_s, answer_s) == math.inf:
                return
            self.now_s = max(self.now_s, min(wake_s, answer_s))
            while self._answers and self._answers[0][0] <= self.now_s:
                _, call, worker = heapq.heappop(self._answers)
                self._answer(worker, call)
            self._carry_out()

    def _carry_out(self) -> None:
        for command in self.hedging.commands(self.now_s):
            match command:
                case Give(worker, ticket):
                    self._call(worker, ticket)
                case Copy(worker, ticket, late):
                    self.copies += late is not None
                    self._call(worker, ticket)
                case Park(worker):
                    self.lost.append((self.now_s, worker))
                    self.hedging.disown(worker)
                    self._lose(worker)
                case Return(worker):
                    self.joined.append((self.now_s, worker))
                    self._held[worker] = {}
        for worker, calls in self._calls.items():
            actor = self.hedging._actors[worker]
            assert actor.at == (calls[0][1] if calls else None)
            assert actor.held.keys() == {ticket.number for _, ticket in calls}

    def _deal(self, tickets: float) -> None:
        for most in range(1, TICKETS_PER_WORKER + 2):
            for worker, held in self._held.items():
                may = most <= TICKETS_PER_WORKER or self._again  # what was lost goes to all at once
                if len(held) < most and may and (ticket := self._next(tickets)) is not None:
                    held[ticket.number] = ticket
                    self._given_s.setdefault(ticket.number, self.now_s)
                    self.hedging.give(worker, ticket, self.now_s, self.now_s)

    def _next(self, tickets: float) -> Ticket | None:
        if self._again:
            return self._again.popleft()
        number = next(self._numbers)
        return Ticket(number, TicketKind.ROWS, 0, 0, self._rows * number, self._rows) if number <= tickets else None

    def _call(self, worker: int, ticket: Ticket) -> None:
        if worker not in self._calls:  # it has died
            return
        self._calls[worker].append((next(self._call_numbers), ticket))
        if len(self._calls[worker]) == 1:
            self._begin(worker)

    def _begin(self, worker: int) -> None:
        call, ticket = self._calls[worker][0]
        took_s = ticket.rows * self.rows_that_take.get(ticket.number, self._row_s(worker, self.now_s))
        if took_s < math.inf:
            heapq.heappush(self._answers, (self.now_s + took_s, call, worker))

    def _answer(self, worker: int, call: int) -> None:
        calls = self._calls.get(worker)
        if not calls or calls[0][0] != call:  # of an actor that has died
            return
        _, ticket = calls.pop(0)
        if ticket.number in self.deadly:
            self.fall(worker)
            return
        calls.sort(key=lambda call: call[1].number)
        if calls:
            self._begin(worker)
        self.hedging.made(worker, ticket.number, calls[0][1].number if calls else 0, self.now_s)
        owner = self.hedging.came(worker, ticket.number, True, self.now_s)
        if owner is None:
            return
        self.by[worker] += 1
        assert ticket.number not in self._brought
        self._brought.add(ticket.number)
        del self._held[owner][ticket.number]
        self.done[ticket.number] += 1
        self.waits[ticket.number] = self.now_s - self._given_s[ticket.number]
        self.done_s[ticket.number] = self.now_s

    def _lose(self, worker: int) -> None:
        lost = [*self._again, *self._held.pop(worker).values()]
        self._again = deque(sorted(lost, key=lambda ticket: ticket.number))
