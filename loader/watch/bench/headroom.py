"""What `loader bench` says about three speeds: the loader alone, the model alone, both together. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

# Within this factor, two speeds are the same: neither side waits long enough for anybody to notice.
_ALIKE = 1.1
# Both together reach less than this share of the slower one only if they take something from each other.
_UNDISTURBED = 0.9

_RESIZED = 'workers="auto" still changed the number of workers during a measurement; a larger --seconds gives it more time to settle before'


@dataclass(frozen=True)
class Stamp:
    """A moment of a measurement: when it was in seconds, and what had been done until then.

    Attributes:
        at: by a clock that never goes back.
        batches: done.
        rows: in all of them.
        waited: for the loader, in seconds.
    """

    at: float
    batches: int
    rows: int
    waited: float = 0.0


@dataclass(frozen=True)
class Speed:
    """One of the three speeds.

    Attributes:
        rates: samples per second, of stretches of about the same time.
        bytes_per_sample: of the arrays of a batch.
        batches: that were measured, in all.
        rows: in all these batches.
        wait: share of the time that training waited for the loader, 0 to 1, where that means something.
        workers: that ran at the end, where that means something.
        resized: whether their number changed meanwhile.
    """

    rates: list[float] = field(default_factory=list)
    bytes_per_sample: float = 0.0
    batches: int = 0
    rows: int = 0
    wait: float | None = None
    workers: int | None = None
    resized: bool = False

    @classmethod
    def of(
        cls, stamps: Sequence[Stamp], *, bytes_per_sample: float = 0.0, wait: bool = False, workers: int | None = None, resized: bool = False
    ) -> Speed:
        """Return the speed between stamps, of which there are two or more.

        Args:
            stamps: edges of the stretches.
            bytes_per_sample: of the arrays of a batch.
            wait: whether the waits in the stamps mean something.
            workers: that ran at the end.
            resized: whether their number changed meanwhile.
        """
        first, last = stamps[0], stamps[-1]
        return cls(
            rates=[(after.rows - before.rows) / (after.at - before.at) for before, after in itertools.pairwise(stamps)],
            bytes_per_sample=bytes_per_sample,
            batches=last.batches - first.batches,
            rows=last.rows - first.rows,
            wait=min(1.0, (last.waited - first.waited) / (last.at - first.at)) if wait else None,
            workers=workers,
            resized=resized,
        )

    @property
    def rate(self) -> float:
        """Median of the rates, in samples per second."""
        return median(self.rates) if self.rates else 0.0

    @property
    def spread(self) -> float:
        """Distance between the slowest and the fastest stretch, as a share of the median."""
        return (max(self.rates) - min(self.rates)) / self.rate if self.rate else 0.0

    @property
    def batches_per_s(self) -> float:
        """Batches per second."""
        return self.rate * self.batches / self.rows if self.rows else 0.0

    @property
    def bytes_per_s(self) -> float:
        """Bytes of batches per second."""
        return self.rate * self.bytes_per_sample

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON-able data."""
        found: dict[str, Any] = {
            "samples_per_s": round(self.rate, 1),
            "batches_per_s": round(self.batches_per_s, 2),
            "bytes_per_s": round(self.bytes_per_s),
            "spread": round(self.spread, 4),
            "rates": [round(rate, 1) for rate in self.rates],
            "batches": self.batches,
        }
        if self.wait is not None:
            found["wait_ratio"] = round(self.wait, 4)
        return found if self.workers is None else found | {"workers": self.workers}


def verdict(loader: Speed | None, model: Speed | None, together: Speed | None) -> list[str]:
    """Say in words which side limits, what the other one could do, and what to do about it. What was not measured is None."""
    if loader is None or not loader.rate:
        return []
    resized = [_RESIZED] if loader.resized or (together is not None and together.resized) else []
    if model is None or not model.rate:
        return [f"the loader alone makes {loader.rate:,.0f} samples/s; with --model, its speed is compared with what the model takes", *resized]
    both = f"the model alone makes {model.rate:,.0f} samples/s, the loader alone {loader.rate:,.0f}: "
    times = loader.rate / model.rate
    if times >= _ALIKE:
        lines = [f"{both}the model is the limit, and the loader could deliver {times:.1f} times as much"]
    elif times > 1 / _ALIKE:
        lines = [f"{both}both are about equally fast, so each waits whenever the other one is late"]
    else:
        lines = [
            f"{both}the loader is the limit, and the model could take {1 / times:.1f} times as much; `loader tune` shows whether more workers help"
        ]
    if together is not None and together.rate:
        lines[0] += f"; together {together.rate:,.0f}"
        if together.wait is not None:
            lines[0] += f": training waits {together.wait:.0%} of the time"
        lines += _loss(min(loader.rate, model.rate), together)
    return lines + resized


def _loss(slower: float, together: Speed) -> list[str]:
    if together.rate >= _UNDISTURBED * slower:
        return []
    share = f"together they reach {together.rate / slower:.0%} of the speed of the slower one alone: they take something from each other"
    return [f"{share}, usually cores; fewer workers or cheaper transforms may be faster"]
