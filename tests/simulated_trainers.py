"""Trainers of different speed that read one pool, in simulated time: what they get, and what it costs."""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field

from loader.ipc.board import TrainerCell
from loader.ipc.records import Done, Ready, Released, Ticket
from loader.supervise.schedule.assignments import SendTicket
from loader.supervise.schedule.schedule import Schedule
from loader.supervise.sharing.company import Company
from loader.supervise.sharing.lag import LagMode
from tests.plans import sample_batches

BATCHES = 1_000
ROWS = 4  # of a batch
TICK_S = 0.001


@dataclass
class Model:
    """A trainer whose steps take `step_s`.

    Attributes:
        begins_s: when it attaches.
        ends_s: when it goes.
        paused: from when to when it takes nothing.
        got: which batches it took, counted from the first one of all epochs.
        took_s: when it took each.
    """

    step_s: float
    begins_s: float = 0.0
    ends_s: float = float("inf")
    paused: tuple[float, float] = (0.0, 0.0)
    first: tuple[int, int] = (0, 0)
    ready: deque[Ready] = field(default_factory=deque)
    current: Ready | None = None
    until_s: float = 0.0
    got: list[int] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    row: memoryview = field(default_factory=lambda: memoryview(bytearray(8 * len(TrainerCell))).cast("q"))

    def is_there(self, now: float) -> bool:
        return self.begins_s <= now < self.ends_s

    def live(self, schedule: Schedule, number: int, now: float) -> None:
        """Take a batch if it is time for one and there is one; else wait for it, if it is time."""
        wants = self.until_s <= now and not self.paused[0] <= now < self.paused[1]
        if wants and self.ready:
            if self.current is not None:
                schedule.released(Released(self.current.slot, self.current.delivery, number))
            self.current = self.ready.popleft()
            self.got.append(self.current.epoch * BATCHES + self.current.first)
            self.took_s.append(now)
            self.until_s = max(self.until_s, now - TICK_S) + self.step_s
            self.row[TrainerCell.BATCHES] += 1
        self.row[TrainerCell.WAITING_GAUGE] = wants and not self.ready and self.until_s <= now
        if self.row[TrainerCell.WAITING_GAUGE]:
            self.row[TrainerCell.WAIT_NS] += round(TICK_S * 1e9)

    def rate(self, since_s: float, until_s: float) -> float:
        """Return how many batches it took in a second."""
        return sum(since_s <= at < until_s for at in self.took_s) / (until_s - since_s)


@dataclass
class Pool:
    """What they read from: `workers` that take `ticket_s` for a ticket, which is a batch."""

    models: list[Model]
    mode: LagMode = "split"
    slots: int = 12
    workers: int = 2
    ticket_s: float = TICK_S
    made: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        plan = sample_batches(ROWS * BATCHES, ROWS)
        self.schedule = Schedule(plan, self.slots, 1, None, self.ticket_s / ROWS * 1e9, 2, shared=True)
        self.company = Company(self.mode, self.schedule)
        self.idle = list(range(self.workers))
        self.busy: list[tuple[float, int, Ticket]] = []
        self.queues: dict[int, deque[Ticket]] = {worker: deque() for worker in self.idle}
        self.now = 0.0
        self.there: dict[int, Model] = {0: self.models[0]}
        for worker in self.idle:
            self.schedule.worker_joined(worker)

    def run(self, seconds: float) -> int:
        """Let them train for so much longer; return how many batches have been made."""
        until = self.now + seconds
        while self.now < until:
            self.now = now = self.now + TICK_S
            self._come_and_go(now)
            self._work(now)
            for number, model in self.there.items():
                model.live(self.schedule, number, now)
            self.company.look({number: model.row for number, model in self.there.items()}, now)
            for command in self.schedule.commands():
                if isinstance(command, SendTicket):
                    self.made += command.ticket.rows
                    self.queues[command.worker].append(command.ticket)
                elif isinstance(command, Ready):
                    self.models[command.reader].ready.append(command)
        for model in self.models:
            first = model.first[0] * BATCHES + model.first[1]
            assert model.got == list(range(first, first + len(model.got)))
        return self.made // ROWS

    def _come_and_go(self, now: float) -> None:
        for number, model in enumerate(self.models):
            if model.is_there(now) and number not in self.there:
                self.there[number] = model
                self.schedule.reader_joined(number, *model.first)
                model.until_s = now
            elif number in self.there and not model.is_there(now):
                del self.there[number]
                self.schedule.reader_left(number)

    def _work(self, now: float) -> None:
        while self.busy and self.busy[0][0] <= now + 1e-9:
            _, worker, ticket = heapq.heappop(self.busy)
            self.schedule.done(Done(worker, ticket.number, round(self.ticket_s / ROWS * ticket.rows * 1e9)))
            self.idle.append(worker)
        for worker in list(self.idle):
            if self.queues[worker]:
                ticket = self.queues[worker].popleft()
                self.idle.remove(worker)
                heapq.heappush(self.busy, (now + self.ticket_s * ticket.rows / ROWS, worker, ticket))
