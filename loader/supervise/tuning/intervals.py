"""What the tuner knows: the moments since the last change, as far as they are worth judging. Pure: no clock.

A gap in which the trainer takes nothing is a long step, a wait for slow workers, or a pause (an evaluation, a checkpoint, a debugger). Only the
next batch tells which, so nothing is said about a gap before it has ended.
"""

from __future__ import annotations

from dataclasses import dataclass

from loader.measure.moments import Moment, Span, Spans, without_pauses
from loader.measure.worker_count import WAIT_NOTICED, most_gain

# The first steps of a trainer compile its model, and the first batches are those that the workers made meanwhile.
WARM_UP_BATCHES = 2
# With fewer batches, or less time, the result would be chance.
ENOUGH_BATCHES = 4
ENOUGH_S = 1.0
# The share of time in line for a core is known no better.
_MOST_LINE = 0.95
# Older moments say nothing about now.
_WINDOW_S = 3.0


@dataclass(frozen=True, slots=True)
class Measure:
    """What one number of workers achieved, those on other machines left out.

    Attributes:
        workers: how many.
        rate: samples per second: made, if the trainer waits for them (they count one by one); otherwise taken.
        wait: share of the time that it waited, 0 to 1.
        busy: share of the workers' time that they had work, 0 to 1.
        service_s: a worker's time for one sample, waiting for a core not counted.
        cpu_s: of it, computing.
        step_s: the trainer's own time for one sample.
        line: share of their time with work that the workers stood in line for a core, 0 to less than 1.
    """

    workers: int
    rate: float
    wait: float
    busy: float
    service_s: float
    cpu_s: float
    step_s: float
    line: float


@dataclass(frozen=True, slots=True)
class Shares:
    """What local and remote workers achieved together.

    Attributes:
        local, remote: how many.
        rate, wait: as `Measure` has them, of all.
        busy: share of the time of all workers that they had work, 0 to 1.
        local_rate: samples per second that the local ones make if they always have work.
        each: the same of one remote worker; 0 if there is none.
    """

    local: int
    remote: int
    rate: float
    wait: float
    busy: float
    local_rate: float
    each: float

    @property
    def wanted(self) -> float:
        """Samples per second that the trainer would take if it did not wait."""
        return self.rate * most_gain(self.wait)


class Intervals:
    """The intervals between the moments since the last change, as far as they count."""

    def __init__(self) -> None:
        self._moments: list[Moment] = []
        self._counted = Spans([])
        self._warm_up = WARM_UP_BATCHES

    def restart(self) -> None:
        """Forget everything, including the interval until the next moment, during which the change takes effect."""
        self._moments = []
        self._counted = Spans([])

    def add(self, moment: Moment) -> None:
        """Add the next moment."""
        moments = self._moments
        if not moments:
            moments.append(moment)
            return
        if self._warm_up > 0:
            self._warm_up -= moment.batches - moments[-1].batches
            self._moments = [moment] if self._warm_up > 0 else []
            return
        if len(moments) > 1 and moment.batches == moments[-2].batches:
            moments.pop()  # a gap that continues is one interval, however often it was looked at
        moments.append(moment)
        if moment.batches > moments[-2].batches:
            self._counted = Spans(_latest(without_pauses(moments)))
            if self._counted.each:
                del moments[: moments.index(self._counted.each[0].then)]

    @property
    def elapsed_s(self) -> float:
        """Time that counts."""
        return self._counted.elapsed_s

    def measure(self, workers: int) -> Measure | None:
        """Return what `workers` workers achieved, or None while too little is known."""
        counted = self._counted
        elapsed, samples, made = counted.elapsed_s, counted.pace.samples, counted.made - counted.made_remotely
        if not self._enough or not made:
            return None
        wait, local = counted.pace.wait_ratio, made / counted.made
        return Measure(
            workers=workers,
            rate=(made if wait > WAIT_NOTICED else samples * local) / elapsed,
            wait=wait,
            busy=min(1.0, counted.local_busy_s / (elapsed * workers)),
            service_s=max(counted.local_busy_s - counted.queue_s, counted.cpu_s, 1e-9) / made,
            cpu_s=counted.cpu_s / made,
            step_s=elapsed * (1 - wait) / samples,
            line=min(_MOST_LINE, counted.queue_s / max(counted.local_busy_s, 1e-9)),
        )

    def shares(self, local: int, remote: int) -> Shares | None:
        """Return what so many local and remote workers achieved together, or None while too little is known."""
        counted = self._counted
        elapsed, samples, made, afar = counted.elapsed_s, counted.pace.samples, counted.made, counted.made_remotely
        if not self._enough or made <= afar or (remote and not afar):
            return None
        wait, afar_s = counted.pace.wait_ratio, counted.busy_s - counted.local_busy_s
        return Shares(
            local=local,
            remote=remote,
            rate=(made if wait > WAIT_NOTICED else samples) / elapsed,
            wait=wait,
            busy=min(1.0, counted.busy_s / (elapsed * (local + remote))),
            local_rate=(made - afar) * local / max(counted.local_busy_s, 1e-9),
            each=afar / max(afar_s, 1e-9) if remote else 0.0,
        )

    @property
    def _enough(self) -> bool:
        counted = self._counted
        return counted.elapsed_s >= ENOUGH_S * 0.95 and counted.batches >= ENOUGH_BATCHES and counted.pace.samples > 0


def _latest(spans: Spans) -> list[Span]:
    """Return the last spans that add up to enough time and batches."""
    each, elapsed_s, batches = list(spans.each), spans.elapsed_s, spans.batches
    while each and elapsed_s - each[0].elapsed_s >= _WINDOW_S and batches - each[0].batches >= 2 * ENOUGH_BATCHES:
        first = each.pop(0)
        elapsed_s, batches = elapsed_s - first.elapsed_s, batches - first.batches
    return each
