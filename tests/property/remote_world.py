"""The loader in small of `pipeline_world`, with workers on other machines, at a rate of their own, behind a network.

`test_remote_tuner.py` drives it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from random import Random

from loader.measure.moments import Moment
from loader.measure.remote.counts import RemoteCounts
from loader.supervise.tuning.crew import Crew, CrewTuner, Limits
from tests.property.pipeline_world import STEP_S, TICK_S, Load, World


@dataclass(frozen=True)
class Cluster:
    """Where remote workers run.

    Attributes:
        ticket_s: of one of them, for a ticket.
        wire_s: that its result is on the way, if nothing else is.
        wires: how many results may be on the way at full speed.
        start_s: until a worker that is asked for is there.
        places: how many it has room for.
    """

    ticket_s: float = 0.02
    wire_s: float = 0.001
    wires: float = 1e9
    start_s: float = 1.0
    places: int = 1_000


@dataclass
class Errand:
    """A ticket in the hands of a remote worker: what is left of it."""

    batch: int
    work_s: float
    wire_s: float


@dataclass
class WiderWorld(World):
    """A world with remote workers, who take what the local ones leave."""

    cluster: Cluster = field(default_factory=Cluster)
    there: int = 0
    coming: list[float] = field(default_factory=list)
    errands: list[Errand] = field(default_factory=list)
    remote_busy_s: float = 0.0
    made_remotely: int = 0

    def ask(self, remote: int) -> None:
        """From now on, so many remote workers are wanted."""
        del self.coming[max(0, remote - self.there) :]
        self.there = min(self.there, remote)
        room = min(remote, self.cluster.places)
        self.coming += [self.now + self.cluster.start_s * self.random.uniform(0.7, 1.3) for _ in range(room - self.there - len(self.coming))]

    def _deal(self) -> None:
        if self.coming:
            arrived = sum(at <= self.now for at in self.coming)
            self.there += arrived
            self.coming = sorted(self.coming)[arrived:]
        super()._deal()
        if len(self.errands) >= self.there:
            return
        own, self.jobs, workers = self.jobs, [], self.workers
        self.workers = max(0, self.there - len(self.errands))
        super()._deal()
        for job in self.jobs:
            factor = max(0.1, self.random.gauss(1, self.load.noise))
            self.errands.append(Errand(job.batch, self.cluster.ticket_s * factor, self.cluster.wire_s))
        self.jobs, self.workers = own, workers

    def _work(self) -> None:
        on_the_way = 0
        for errand in self.errands:
            if errand.work_s <= 0:
                on_the_way += 1
        share = STEP_S * min(1.0, self.cluster.wires / max(1, on_the_way))
        ended = False
        self.remote_busy_s += STEP_S * len(self.errands)
        for errand in self.errands:
            if errand.work_s > 0:
                errand.work_s -= STEP_S
            else:
                errand.wire_s -= share
            if errand.work_s <= 0 and errand.wire_s <= 0:
                ended = True
                self.filling[errand.batch - self.first][1] -= 1
                self.made += 1
                self.made_remotely += 1
        if ended:
            self.errands = [errand for errand in self.errands if errand.work_s > 0 or errand.wire_s > 0]
        super()._work()

    def moment(self) -> Moment:
        """Return what the counters say."""
        busy_ns = (round(self.busy_s * 1e9), round(self.remote_busy_s * 1e9))
        return super().moment()._replace(busy_ns=busy_ns, remote=RemoteCounts(1, self.made_remotely))


@dataclass
class WiderRun:
    """A wider world with tuners of both numbers: what they did.

    Attributes:
        changes: time, crew and reason of each change.
        marks: time, batches and crew at each tick.
    """

    world: WiderWorld
    limits: Limits
    auto: bool
    crew: Crew
    tuner: CrewTuner
    changes: list[tuple[float, Crew, str]] = field(default_factory=list)
    marks: list[tuple[float, int, Crew]] = field(default_factory=list)

    def go(self, seconds: float) -> WiderRun:
        """Run on."""
        end = self.world.now + seconds
        while self.world.now < end - 1e-9:
            self.world.run(TICK_S)
            self.crew = replace(self.crew, there=self.world.there)
            change = self.tuner.observe(self.world.moment(), self.crew, self.limits, auto=self.auto)
            if change:
                assert (change.crew.local, change.crew.remote) != (self.crew.local, self.crew.remote), (change, self.crew, self.changes)
                assert 1 <= change.crew.local <= self.limits.local
                assert self.auto or change.crew.local == self.crew.local
                assert self.limits.fewest_remote <= change.crew.remote <= self.limits.remote
                self.crew = change.crew
                self.world.workers = self.crew.local
                self.world.ask(self.crew.remote)
                self.changes.append((self.world.now, self.crew, change.reason))
            self.marks.append((self.world.now, self.world.batches, self.crew))
        return self

    def rate(self, start: float, end: float) -> float:
        """Return batches per second between two times."""
        inside = [(at, batches) for at, batches, _ in self.marks if start <= at <= end]
        return (inside[-1][1] - inside[0][1]) / (inside[-1][0] - inside[0][0])

    def usual(self, start: float, end: float) -> Crew:
        """Return the crew that was there for most of the time between two times."""
        crews = [replace(crew, there=0) for at, _, crew in self.marks if start <= at <= end]
        return max(set(crews), key=crews.count)


def simulate(
    load: Load, cluster: Cluster, *, local: int = 2, fewest: int = 0, most: int = 32, auto: bool = False, most_local: int = 8, seed: int = 1
):
    """Return a run that has not begun."""
    limits = Limits(most_local if auto else local, fewest, most)
    world = WiderWorld(load, local, Random(seed), cluster=cluster)
    world.ask(fewest)
    return WiderRun(world, limits, auto, Crew(local, fewest), CrewTuner(max(1, int(load.cores)), limits))


@functools.cache
def best(load: Load, cluster: Cluster, local: int = 2, most: int = 32, seconds: float = 4.0) -> tuple[float, int]:
    """Return the highest rate with any fixed number of remote workers, in batches per second, and the fewest that come to 97 % of it."""
    rates = []
    for remote in range(most + 1):
        world = WiderWorld(load, local, Random(7), cluster=replace(cluster, start_s=0.0))
        world.ask(remote)
        world.run(1.0)
        before = world.batches
        world.run(seconds)
        rates.append((world.batches - before) / seconds)
        if remote > 3 and max(rates[-3:]) < 1.01 * max(rates[:-3]):
            break
    fastest = max(rates)
    return fastest, next(count for count, rate in enumerate(rates) if rate >= 0.97 * fastest)
