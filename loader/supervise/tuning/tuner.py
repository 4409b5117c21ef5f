"""How many workers: the policy behind `workers="auto"`. Pure: intervals in, advice out; no clock, no process (docs/tuning.md).

    wanted      the fewest workers at which the trainer does not wait; where no number achieves that, the fewest with which it is as fast as it gets
    estimate    workers = samples per second × seconds of a worker per sample (the utilisation law), so the right count is a jump away
    proof       a count is kept for what was measured at it, never for the estimate: `_known` remembers what each count came to
    rest        when nothing is left to try, only a change of the load, or the end of a pause that doubles each time, starts a new search

What computing needs is bounded by the cores; what waits for storage is not. Time in which a worker is ready but has no core is taken off its time
per sample: it measures the crowd, not the work.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from loader.measure.moments import Moment
from loader.measure.worker_count import COMPUTING, WAIT_NOTICED, Load
from loader.supervise.tuning.intervals import Intervals, Measure

# A count is as good as another that is at most this much faster.
GAIN_NOTICED = 0.03
# If the trainer does not wait, its speed varies for its own reasons, unless more workers take the cores that it computes on.
_SLOWED = 0.1
# A trial that is neither clearly better nor clearly not is looked at for longer.
_UNCLEAR = (0.93, 1.08)
_UNCLEAR_S = 2.5
# Before workers are dismissed, or the load counts as changed: the evidence must then include a bad moment or two.
_SHRINK_S = 2.0
# A first jump may quadruple the workers; a second look at what failed before takes a smaller step.
_JUMP = 4.0
_STEP = 1.5
# The load has changed when the rate, or a worker's or the trainer's time per sample has changed by this factor, or waiting appears where none was.
_CHANGED = 1.3
_WAIT_APPEARED = 0.08
# Pauses between searches that found nothing new.
_FIRST_PAUSE_S = 30.0
_LONGEST_PAUSE_S = 300.0
# Changes: this many at once, and one more after each such time.
_CHANGES_AT_ONCE = 10.0
_CHANGE_EVERY_S = 20.0


@dataclass(frozen=True, slots=True)
class Advice:
    """Another number of workers.

    Attributes:
        workers: how many.
        reason: why, in words.
    """

    workers: int
    reason: str


class Allowance:
    """Limits how often numbers of workers are changed, whatever happens: so many times at once, and once more after each while."""

    def __init__(self) -> None:
        self._changes = _CHANGES_AT_ONCE
        self._last = -math.inf

    def pass_time(self, now: float) -> None:
        """Time has passed."""
        self._changes = min(_CHANGES_AT_ONCE, self._changes + max(0.0, now - max(self._last, 0.0)) / _CHANGE_EVERY_S)
        self._last = now

    @property
    def left(self) -> bool:
        """Whether there may be a change now."""
        return self._changes >= 1

    def take(self) -> None:
        """There is a change."""
        self._changes -= 1


class Tuner:
    """Finds the number of workers for one loader.

    Args:
        cores: that the loader may use.
    """

    def __init__(self, cores: int) -> None:
        self._cores = cores
        self._intervals = Intervals()
        self._workers = 0
        self._known: dict[int, Measure] = {}  # by number of workers, while the load stays as it is
        self._first: dict[int, Measure] = {}  # the first measurement at each: what a drift is compared with
        self._open: set[int] = set()  # the count whose first visit goes on
        self._factor = _JUMP
        self._pause_s = _FIRST_PAUSE_S
        self._retry_at: float | None = None
        self._retry_more = True
        self._allowance = Allowance()

    @property
    def rests(self) -> bool:
        """Whether nothing is left to try, for now."""
        return self._retry_at is not None

    def interrupted(self) -> None:
        """Not everything was seen since the last look."""
        self._intervals.restart()

    def observe(self, moment: Moment, workers: int, ceiling: int) -> Advice | None:
        """Take in what the counters say now; return another number of workers, or None.

        Args:
            moment: the counters; its time may count from any start.
            workers: that were wanted until now.
            ceiling: most that are allowed now, 1 or more.
        """
        now = moment.at_s
        self._allowance.pass_time(now)
        if workers > ceiling:
            return self._go(ceiling, f"memory or max_workers allow {ceiling}")
        if workers != self._workers:
            self._workers = workers
            self._intervals.restart()
            return None
        self._intervals.add(moment)
        measure = self._intervals.measure(workers)
        if measure is None or self._changed(measure) or self._unclear(measure):
            return None
        self._known = {count: known for count, known in self._known.items() if count <= ceiling}
        self._learn(measure)
        return self._decide(measure, ceiling, now)

    def _go(self, workers: int, reason: str) -> Advice:
        self._allowance.take()
        self._workers = workers
        self._retry_at = None
        self._open = set()
        self._intervals.restart()
        return Advice(workers, reason)

    # What is known.

    def _learn(self, measure: Measure) -> None:
        """Remember what a count achieved. Its first visit counts until it is left or a search ends, so that no verdict flips back and forth."""
        self._first.setdefault(measure.workers, measure)
        if measure.workers in self._open or measure.workers not in self._known:
            self._known[measure.workers] = measure
            self._open = {measure.workers}

    def _changed(self, measure: Measure) -> bool:
        """Forget what was measured under another load; return whether there was one."""
        first = self._first.get(measure.workers)
        if first is None or self._intervals.elapsed_s < _SHRINK_S:
            return False
        step = 0.1 / measure.rate  # a trainer that hardly works has no step to speak of,
        service = 0.001 / measure.rate  # and workers that only stand in line for a core have no time per sample
        # Cores that other programs take, or give back, make workers stand in line; how many workers are best does not follow from it.
        crowd = (1 - measure.line) / (1 - first.line) if measure.wait > WAIT_NOTICED else 1.0
        ratios = [
            measure.rate / first.rate / crowd,
            max(measure.service_s, service) / max(first.service_s, service),
            max(measure.cpu_s, 0.1 * measure.service_s, service) / max(first.cpu_s, 0.1 * first.service_s, service),
            max(measure.step_s, step) / max(first.step_s, step),
        ]
        appeared = first.wait <= WAIT_NOTICED and measure.wait > _WAIT_APPEARED and measure.workers == self._home()
        if not appeared and all(1 / _CHANGED <= ratio <= _CHANGED for ratio in ratios):
            return False
        self._known.clear()
        self._first.clear()
        self._intervals.restart()
        self._factor, self._pause_s, self._retry_at = _JUMP, _FIRST_PAUSE_S, None
        return True

    def _unclear(self, measure: Measure) -> bool:
        if self._intervals.elapsed_s >= _UNCLEAR_S or not self._known or measure.workers in self._known:
            return False
        gain = measure.rate / max(known.rate for known in self._known.values())
        return _UNCLEAR[0] < gain < _UNCLEAR[1]

    def _home(self) -> int:
        """Return the fewest workers, among the counts that were tried, that are as good as any."""
        best = max(known.rate for known in self._known.values())
        return min(workers for workers, known in self._known.items() if self._good(known, best))

    @staticmethod
    def _good(known: Measure, best: float) -> bool:
        return known.rate >= best * (1 - GAIN_NOTICED) or (known.wait <= WAIT_NOTICED and known.rate >= best * (1 - _SLOWED))

    # What follows from it.

    def _decide(self, measure: Measure, ceiling: int, now: float) -> Advice | None:
        home = self._home()
        load = self._load(home, ceiling)
        target = self._fewer(load) or self._more(load) or self._half(home) or home
        if target == measure.workers:
            self._rest(measure, now)
            return None
        if not self._allowance.left or (target < measure.workers and home == measure.workers and self._intervals.elapsed_s < _SHRINK_S):
            return None
        return self._go(target, self._reason(measure, home, target))

    def _rest(self, measure: Measure, now: float) -> None:
        """Nothing is left to try. When the pause is over, forget what was found above or, by turns, below this count."""
        if self._retry_at is None:
            self._retry_at = now + self._pause_s
        if now < self._retry_at:
            return
        here = measure.workers
        change = measure.rate / self._known[here].rate
        kept = [known for workers, known in self._known.items() if (workers < here if self._retry_more else workers > here)]
        self._known = {known.workers: replace(known, rate=known.rate * change) for known in kept} | {here: measure}
        self._open = set()
        self._retry_more = not self._retry_more
        self._factor = _STEP
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        self._retry_at = None

    def _fewer(self, load: Load) -> int | None:
        """Return fewer workers that may do as well, or None."""
        home, least = load.workers, load.least
        less = [workers for workers in self._known if workers < home]
        if less:  # none of them was enough: the law was too optimistic, and what they delivered says by how much
            most = max(less)
            least = max(least, most + 1, math.ceil(most * self._known[home].rate / self._known[most].rate - 0.05))
        return least if least <= load.worth else None

    def _more(self, load: Load) -> int | None:
        """Return more workers that may do better, or None."""
        if not load.most:
            return None
        home = load.workers
        higher = min((workers for workers in self._known if workers > home), default=None)
        if higher is not None:
            between = round(math.sqrt(home * higher))
            worse = self._known[higher].rate < self._known[home].rate * (1 - GAIN_NOTICED)
            return between if worse and between >= 1.4 * home and between not in self._known and between <= load.ceiling else None
        allowed = min(max(load.needed, home + 1), math.ceil(self._factor * home), load.most)
        return allowed if allowed > home else None

    def _load(self, home: int, ceiling: int) -> Load:
        """Return the input of the law. If workers crowd each other, the work of a sample shows best at the count that needed least of it."""
        known = self._known[home]
        lone = min(self._known.values(), key=lambda one: one.service_s)
        return Load(
            workers=home,
            busy=home * known.busy,
            work=known.rate * lone.service_s,
            wait=known.wait,
            computing=lone.cpu_s / lone.service_s,
            cores_used=known.rate * known.cpu_s,
            cores=self._cores,
            ceiling=ceiling,
        )

    def _half(self, home: int) -> int | None:
        """Return half of `home` if the trainer waits whatever is done, or None.

        Only a trial tells whether the workers share the work or get in each other's way.
        """
        known = self._known[home]
        alone = home <= self._cores and known.cpu_s >= COMPUTING * known.service_s
        tried = any(workers < home for workers in self._known)
        return home // 2 if home > 1 and known.wait > WAIT_NOTICED and not tried and not alone else None

    def _reason(self, measure: Measure, home: int, target: int) -> str:
        if target == home:
            gain = self._known[home].rate / measure.rate
            found = f"{gain:.2f} times as fast as" if gain > 1 + GAIN_NOTICED else "as fast as"
            return f"{home} workers are {found} {measure.workers}"
        computing = measure.cpu_s / measure.service_s
        waits = f"the trainer waits {measure.wait:.0%} of the time"
        if target > measure.workers or target > home:
            return f"{waits}, workers are busy {measure.busy:.0%} of theirs and compute {computing:.0%} of that"
        rate = self._known[home].rate
        work = rate * min(one.service_s for one in self._known.values())
        return f"{waits}, and {rate:,.0f} samples/s are the work of {work:.1f} workers"
