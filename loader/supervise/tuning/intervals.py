"""What the tuner knows: counters of short intervals, joined to a window that is worth a judgement. Pure: no clock.

An interval in which the trainer took nothing while no slot was being filled is either a long step or a pause (an evaluation, a checkpoint, a
debugger). It is kept aside until the next batch tells which: a pause is left out, with the interval that ends it, a step is counted.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields

# The first steps of a trainer compile its model, and the first batches are those that the workers made meanwhile.
WARM_UP_BATCHES = 2
# Waiting less than this is noise; removing it would gain as little.
WAIT_NOTICED = 0.03
# A judgement on fewer batches, or less time, is a judgement on chance.
ENOUGH_BATCHES = 4
ENOUGH_S = 1.0
# What is older says nothing about now.
_WINDOW_S = 3.0
# A gap without batches shorter than this hardly moves a window; a longer one is a pause, unless steps are that long.
_PAUSE_S = 1.0
_PAUSE_STEPS = 4.0


@dataclass(frozen=True, slots=True)
class Observation:
    """What happened in an interval.

    Attributes:
        elapsed_s: its length.
        wait_s: the trainer's time waiting for data.
        batches, samples: taken by the trainer.
        made: samples that workers finished.
        busy_s: time of all workers on tickets.
        cpu_s: of it, computing.
        queue_s: of it, ready to compute but without a core.
        filling: slots that were being filled at its end.
    """

    elapsed_s: float = 0.0
    wait_s: float = 0.0
    batches: int = 0
    samples: int = 0
    made: int = 0
    busy_s: float = 0.0
    cpu_s: float = 0.0
    queue_s: float = 0.0
    filling: int = 0

    def joined(self, later: Observation) -> Observation:
        """Return this interval and a later one as one."""
        sums = {name: getattr(self, name) + getattr(later, name) for name in _SUMS}
        return Observation(**sums, filling=later.filling)


_SUMS = [field.name for field in fields(Observation) if field.name != "filling"]


@dataclass(frozen=True, slots=True)
class Measure:
    """What one number of workers came to.

    Attributes:
        workers: how many.
        rate: samples per second: made, where the trainer waits for them (they count one by one), else taken.
        wait: share of the time that it waited, 0 to 1.
        busy: share of the workers' time that they had work, 0 to 1.
        service_s: a worker's time for one sample, waiting for a core not counted.
        cpu_s: of it, computing.
        step_s: the trainer's own time for one sample.
    """

    workers: int
    rate: float
    wait: float
    busy: float
    service_s: float
    cpu_s: float
    step_s: float


class Intervals:
    """The intervals since the last change, as far as they count."""

    def __init__(self) -> None:
        self._kept: deque[Observation] = deque()
        self._gap = Observation()
        self._skip = True
        self._warm_up = WARM_UP_BATCHES
        self._single = False

    def restart(self) -> None:
        """Forget everything, and the next interval too: in it the change takes effect."""
        self._kept.clear()
        self._gap = Observation()
        self._skip = True

    def add(self, seen: Observation) -> None:
        """Add the next interval."""
        if self._warm_up > 0:
            self._warm_up -= seen.batches
            return
        self._gap = self._gap.joined(seen)
        if not seen.batches and not seen.filling:
            return
        gap, self._gap = self._gap, Observation()
        pause = gap.elapsed_s - seen.elapsed_s
        long_step = self._single and seen.batches <= 1
        self._single = seen.batches <= 1
        if pause > _PAUSE_S and not (long_step and pause <= self._longest_step_s()):
            return
        if self._skip:
            self._skip = False
            return
        self._kept.append(gap)
        self._forget()

    @property
    def elapsed_s(self) -> float:
        """Time that is kept."""
        return sum(one.elapsed_s for one in self._kept)

    def measure(self, workers: int) -> Measure | None:
        """Return what `workers` workers came to, or None while too little is known."""
        total = Observation()
        for one in self._kept:
            total = total.joined(one)
        if total.elapsed_s < ENOUGH_S * 0.95 or total.batches < ENOUGH_BATCHES or not total.samples or not total.made:
            return None
        elapsed, wait = total.elapsed_s, min(total.wait_s, total.elapsed_s)
        return Measure(
            workers=workers,
            rate=(total.made if wait > WAIT_NOTICED * elapsed else total.samples) / elapsed,
            wait=wait / elapsed,
            busy=min(1.0, total.busy_s / (elapsed * workers)),
            service_s=max(total.busy_s - total.queue_s, total.cpu_s, 1e-9) / total.made,
            cpu_s=total.cpu_s / total.made,
            step_s=(elapsed - wait) / total.samples,
        )

    def _longest_step_s(self) -> float:
        batches = sum(one.batches for one in self._kept)
        return _PAUSE_STEPS * self.elapsed_s / batches if batches else float("inf")

    def _forget(self) -> None:
        batches, elapsed = sum(one.batches for one in self._kept), self.elapsed_s
        while elapsed - self._kept[0].elapsed_s >= _WINDOW_S and batches - self._kept[0].batches >= 2 * ENOUGH_BATCHES:
            first = self._kept.popleft()
            elapsed, batches = elapsed - first.elapsed_s, batches - first.batches
