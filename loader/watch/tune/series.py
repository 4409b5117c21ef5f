"""The measurements of `loader tune`: one loader after the other, in interleaved rounds."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from loader.errors import MemoryLimitError
from loader.train.loader import Loader
from loader.watch.session import MeasurementSession, memory_of, slots_of, take_for
from loader.watch.tune.recommend import Point, climbs, recommend, worker_counts

_SETTLE_S = 0.3  # until the workers of a new count have begun; what the old ones have filled is taken in any case
_FEWEST_BATCHES = 5
_START_S = 1.0  # of a loader, to estimate the time that is left


@dataclass
class Series:
    """All measurements of one loader. What was measured stays in `points`, even if `run` ends with an exception.

    Attributes:
        loader: whose settings are changed; it is not used itself, and may be closed.
        seconds: of one measurement.
        sitting: shows how far it is.
        points: one for each configuration, in the order of their first measurement; those without a rate were only begun.
        refused: numbers of slots for which there is not enough memory.
    """

    loader: Loader
    seconds: float
    sitting: MeasurementSession
    points: list[Point] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)

    def run(self, counts: Sequence[int], slots: Sequence[int], rounds: int) -> None:
        """Measure over worker counts, then over numbers of slots at the best count.

        Every round measures all counts, in an order of its own: so other work on the machine, and any drift, affects all of them alike.

        Args:
            counts: worker counts to measure, 0 among them or not; where none are given, from 1 upwards as long as more of them help.
            slots: numbers of slots to measure.
            rounds: measurements of each configuration.
        """
        order = random.Random(0)
        inline = [0] if 0 in counts else []
        going_up = [count for count in counts or worker_counts(self.loader.worker_ceiling) if count]
        self._expect("workers", rounds * len(going_up) + rounds * len(slots), 2 * rounds)
        tried = [point.workers for point in self._upwards(going_up, all_of_them=bool(counts))]
        for number in range(rounds):
            self._expect("workers", (rounds - number) * len(tried + inline) + rounds * len(slots), rounds * (1 + len(slots)) - number)
            if number:
                self._measure(None, order.sample(tried, len(tried)))
            self._measure(None, inline)
        best = recommend(self.measured)[0].workers
        for number in range(rounds if best else 0):
            self._expect("slots", (rounds - number) * len(slots), (rounds - number) * len(slots))
            for chosen in order.sample(list(slots), len(slots)):
                self._try_slots(chosen, best)

    @property
    def measured(self) -> list[Point]:
        """The points that have a figure."""
        return [point for point in self.points if point.rates]

    def _expect(self, what: str, measurements: int, starts: int) -> None:
        self.sitting.expect(what, measurements * (self.seconds + _SETTLE_S) + starts * _START_S)

    def _upwards(self, counts: Sequence[int], *, all_of_them: bool) -> Iterator[Point]:
        rates: list[float] = []
        for point in self._measuring(None, counts):
            yield point
            rates.append(point.rate)
            if not all_of_them and not climbs(rates):
                return

    def _try_slots(self, slots: int, workers: int) -> None:
        if slots in self.refused:
            return
        try:
            self._measure(slots, [workers])
        except MemoryLimitError:
            self.refused.append(slots)

    def _measure(self, slots: int | None, counts: Sequence[int]) -> None:
        for _ in self._measuring(slots, counts):
            pass

    def _measuring(self, slots: int | None, counts: Sequence[int]) -> Iterator[Point]:
        """Measure each of `counts` workers once, in that order, with one loader; yield each point when it has a new figure.

        Args:
            slots: of that loader; None leaves the choice to it.
            counts: numbers of workers; 0 by itself only.
        """
        if not counts:
            return
        # The report of bad samples belongs to training. Nobody wants a dozen more copies of it.
        with self.loader.with_settings(workers=counts[0], max_workers=max(counts) or None, slots=slots, quarantine=None, remote=None) as loader:
            batches = loader.batches()
            next(batches)
            found = slots_of(loader)
            for workers in counts:
                if workers:
                    loader.resize(workers)
                take_for(batches, _SETTLE_S, 1 + found, self.sitting.tick)
                rate = take_for(batches, self.seconds, _FEWEST_BATCHES, self.sitting.tick).rate
                point = self._point(workers, found)
                point.memory_bytes = max(point.memory_bytes, memory_of(loader))
                point.rates.append(rate)
                yield point

    def _point(self, workers: int, slots: int) -> Point:
        for point in self.points:
            if (point.workers, point.slots) == (workers, slots):
                return point
        self.points.append(Point(workers, slots))
        return self.points[-1]
