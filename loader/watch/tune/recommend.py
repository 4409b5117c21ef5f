"""What a series of measurements shows: medians, spreads, and which setting to choose. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

# If a setting is less than this below the best one, nobody would notice the difference in training.
_AS_GOOD_AS_THE_BEST = 0.95
_AS_LIGHT = 1.1
# A model that is fed exactly as fast as it takes data waits at every hiccup.
_HEADROOM = 1.1
# Between the slowest and the fastest of five rounds; a quiet machine has 2 to 10 %.
_NOISE = 0.3


@dataclass
class Point:
    """One configuration and what was measured with it.

    Attributes:
        workers: worker processes.
        slots: of the arena.
        rates: samples per second, one figure per round.
        memory_bytes: arena and processes together, the most that was seen.
    """

    workers: int
    slots: int
    rates: list[float] = field(default_factory=list)
    memory_bytes: int = 0

    @property
    def rate(self) -> float:
        """Median of the rates, in samples per second."""
        return median(self.rates) if self.rates else 0.0

    @property
    def spread(self) -> float:
        """Distance between the slowest and the fastest round, as a share of the median."""
        return (max(self.rates) - min(self.rates)) / self.rate if self.rate else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON-able data."""
        return {
            "workers": self.workers,
            "slots": self.slots,
            "samples_per_s": round(self.rate, 1),
            "spread": round(self.spread, 4),
            "rates": [round(rate, 1) for rate in self.rates],
            "memory_bytes": self.memory_bytes,
        }


def recommend(points: Sequence[Point], needed: float | None = None) -> tuple[Point, str]:
    """Return the point to choose, and why.

    It is as good as the best, or delivers what the model needs, with the fewest workers, and among those the least memory to within a tenth.
    Never the one with 0 workers if there is another: its work would be done in turn with the model's, not beside it.

    Args:
        points: at least one with a measurement.
        needed: samples per second that the model takes, if known.
    """
    points = [point for point in points if point.workers] or points
    best = max(points, key=lambda point: point.rate)
    enough = _AS_GOOD_AS_THE_BEST * best.rate
    if needed is not None and best.rate >= _HEADROOM * needed:
        enough = min(enough, _HEADROOM * needed)
    good = [point for point in points if point.rate >= enough]
    fewest = [point for point in good if point.workers == min(point.workers for point in good)]
    lightest = min(point.memory_bytes for point in fewest)
    chosen = max((point for point in fewest if point.memory_bytes <= _AS_LIGHT * lightest), key=lambda point: point.rate)
    return chosen, _reason(chosen, best, needed)


def _reason(chosen: Point, best: Point, needed: float | None) -> str:
    share = f"{chosen.rate / best.rate:.0%} of the best" if best.rate else "nothing was delivered"
    words = f"{_count(chosen.workers, 'worker')}: {share}"
    if chosen is best:
        words = f"{_count(chosen.workers, 'worker')}: the best of all"
    elif chosen.workers < best.workers:
        words += f", which takes {_count(best.workers, 'worker')}"
    elif chosen.slots != best.slots:
        words += f", which takes {_count(best.slots, 'slot')}"
    if _AS_LIGHT * chosen.memory_bytes < best.memory_bytes:
        words += f" and {best.memory_bytes / chosen.memory_bytes:.1f} times the memory"
    if needed is None:
        return words
    if chosen.rate >= needed:
        return f"{words}, and {chosen.rate / needed:.1f} times what the model takes"
    return f"{words}; the model takes {needed:,.0f} samples/s, so it will wait {1 - chosen.rate / needed:.0%} of its time"


def doubt(points: Sequence[Point], rounds: int) -> str:
    """Return a warning if the rounds differ so much that the choice depends on chance; otherwise an empty text."""
    spreads = [point.spread for point in points if len(point.rates) > 1]
    if not spreads or median(spreads) < _NOISE:
        return ""
    return (
        f"the rounds differ by {median(spreads):.0%}: something else uses this machine, or its storage, at times; "
        f"wait until it is quiet, or use --rounds {2 * rounds}"
    )


def climbs(rates: Sequence[float]) -> bool:
    """Return whether more workers may still help: one of the last two steps up brought 5 % or more.

    Args:
        rates: at growing numbers of workers, in samples per second.
    """
    if len(rates) < 3:
        return True
    return max(rates[-2:]) >= 1.05 * max(rates[:-2])


def worker_counts(ceiling: int) -> Iterable[int]:
    """Yield the counts to try: each one up to 4, then steps of about a third, up to `ceiling`."""
    count = 1
    while count < ceiling:
        yield count
        count = count + 1 if count < 4 else max(count + 2, count * 4 // 3 // 2 * 2)
    yield ceiling


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
