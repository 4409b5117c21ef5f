"""A loader in small, for the tuner: workers, cores, a disk, a ring of slots and a trainer, in steps of simulated time.

Its own simple model: nothing of the loader's schedule is in it but the rule that all workers fill the oldest batches first and that batches leave in
order. `test_tuner.py` drives it.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from loader.data.stopwatch import TIMING_CELLS, Timing
from loader.measure.moments import Moment
from loader.supervise.tuning.tuner import Tuner

STEP_S = 1e-3
TICK_S = 0.5


@dataclass(frozen=True)
class Load:
    """What the work is like.

    Attributes:
        io_s, cpu_s: of a ticket.
        step_s: of the trainer, for a batch.
        tickets: of a batch.
        slots: of the ring.
        cores: for the workers.
        disk: reads that the disk serves at full speed at a time.
        noise: relative spread of all times.
        straggler: share of tickets that take `slow` times as long.
    """

    io_s: float = 0.0
    cpu_s: float = 0.0
    step_s: float = 0.0
    tickets: int = 8
    slots: int = 4
    cores: float = 4
    disk: float = 1e9
    noise: float = 0.1
    straggler: float = 0.0
    slow: float = 20.0


@dataclass
class Job:
    """A ticket in a worker's hands: what is left of it."""

    batch: int
    io_s: float
    cpu_s: float


@dataclass
class World:
    """Everything around the tuner.

    Attributes:
        load: now.
        workers: that are wanted.
        asleep: whether the trainer pauses.
    """

    load: Load
    workers: int
    random: Random = field(default_factory=lambda: Random(1))
    asleep: bool = False
    now: float = 0.0
    wait_s: float = 0.0
    batches: int = 0
    made: int = 0
    busy_s: float = 0.0
    cpu_s: float = 0.0
    queue_s: float = 0.0
    step_left_s: float = 0.0
    jobs: list[Job] = field(default_factory=list)
    filling: deque[list[int]] = field(default_factory=deque)  # per slot in order: tickets not issued, tickets not done
    ready: int = 0
    lent: int = 0
    first: int = 0

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self.now < end - 1e-9:
            self._deal()
            self._work()
            self._train()
            self.now += STEP_S

    def _deal(self) -> None:
        while len(self.jobs) < self.workers:
            place = next((place for place, slot in enumerate(self.filling) if slot[0]), None)
            if place is None:
                if len(self.filling) + self.ready + self.lent >= self.load.slots:
                    return
                self.filling.append([self.load.tickets, self.load.tickets])
                place = len(self.filling) - 1
            self.filling[place][0] -= 1
            factor = max(0.1, self.random.gauss(1, self.load.noise))
            if self.load.straggler and self.random.random() < self.load.straggler:
                factor *= self.load.slow
            self.jobs.append(Job(self.first + place, self.load.io_s * factor, self.load.cpu_s * factor))

    def _work(self) -> None:  # one pass over the jobs: the tests of the tuners spend most of their time here
        jobs = self.jobs
        reading = 0
        for job in jobs:
            if job.io_s > 0:
                reading += 1
        computing = len(jobs) - reading
        io = STEP_S * min(1.0, self.load.disk / reading) if reading else STEP_S
        cpu = STEP_S * min(1.0, self.load.cores / computing) if computing else STEP_S
        self.busy_s += STEP_S * len(jobs)
        self.cpu_s += cpu * computing
        self.queue_s += (STEP_S - cpu) * computing
        ended = False
        for job in jobs:
            if job.io_s > 0:
                job.io_s -= io
            else:
                job.cpu_s -= cpu
            if job.cpu_s <= 0 and job.io_s <= 0:
                ended = True
                self.filling[job.batch - self.first][1] -= 1
                self.made += 1
        if ended:
            self.jobs = [job for job in jobs if job.io_s > 0 or job.cpu_s > 0]
        while self.filling and not self.filling[0][1]:
            self.filling.popleft()
            self.first += 1
            self.ready += 1

    def _train(self) -> None:
        if self.asleep:
            return
        left = STEP_S
        while left > 1e-12:
            if self.step_left_s > 0:
                used = min(left, self.step_left_s)
                self.step_left_s -= used
                left -= used
            elif self.ready:
                self.ready -= 1
                self.lent = 1
                self.batches += 1
                self.step_left_s = max(1e-6, self.load.step_s * self.random.gauss(1, self.load.noise / 2))
            else:
                self.lent = 0
                self.wait_s += left
                return

    def moment(self) -> Moment:
        """Return what the counters say."""
        timing = [0] * TIMING_CELLS
        timing[Timing.CPU_NS], timing[Timing.QUEUE_NS] = round(self.cpu_s * 1e9), round(self.queue_s * 1e9)
        return Moment(
            at_s=self.now,
            wait_ns=round(self.wait_s * 1e9),
            samples=self.batches * self.load.tickets,
            batches=self.batches,
            made=self.made,
            busy_ns=(round(self.busy_s * 1e9),),
            timing=tuple(timing),
        )


@dataclass
class Run:
    """A world with a tuner: what it did.

    Attributes:
        changes: time and number of workers of each change.
        marks: time, batches and workers at each tick.
    """

    world: World
    ceiling: Callable[[float], int]
    tuner: Tuner
    changes: list[tuple[float, int, str]] = field(default_factory=list)
    marks: list[tuple[float, int, int]] = field(default_factory=list)

    def go(self, seconds: float) -> Run:
        """Run on."""
        end = self.world.now + seconds
        while self.world.now < end - 1e-9:
            self.world.run(TICK_S)
            ceiling = self.ceiling(self.world.now)
            advice = self.tuner.observe(self.world.moment(), self.world.workers, ceiling)
            if advice:
                assert 1 <= advice.workers <= ceiling
                assert advice.workers != self.world.workers
                self.world.workers = advice.workers
                self.changes.append((self.world.now, advice.workers, advice.reason))
            self.marks.append((self.world.now, self.world.batches, self.world.workers))
        return self

    def rate(self, start: float, end: float) -> float:
        """Return batches per second between two times."""
        inside = [(at, batches) for at, batches, _ in self.marks if start <= at <= end]
        return (inside[-1][1] - inside[0][1]) / (inside[-1][0] - inside[0][0])

    def usual(self, start: float, end: float) -> int:
        """Return the number of workers that was there for most of the time between two times."""
        counts = [workers for at, _, workers in self.marks if start <= at <= end]
        return max(set(counts), key=counts.count)


def simulate(load: Load, *, workers: int = 4, most: int = 16, ceiling: Callable[[float], int] | None = None, seed: int = 1) -> Run:
    """Return a run that has not begun."""
    cores = max(1, int(load.cores))
    return Run(World(load, workers, Random(seed)), ceiling or (lambda _: most), Tuner(cores))


@functools.cache
def best(load: Load, most: int = 16, seconds: float = 4.0) -> tuple[float, int]:
    """Return the highest rate of any fixed number of workers, in batches per second, and the fewest that come to 98 % of it.

    Once three more of them brought nothing, others are not tried.
    """
    rates = []
    for workers in range(1, most + 1):
        world = World(load, workers, Random(7))
        world.run(1.0)
        before = world.batches
        world.run(seconds)
        rates.append((world.batches - before) / seconds)
        if workers > 3 and max(rates[-3:]) < 1.01 * max(rates[:-3]):
            break
    fastest = max(rates)
    return fastest, next(count for count, rate in enumerate(rates, 1) if rate >= 0.98 * fastest)
