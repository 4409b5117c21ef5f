"""How a stretch of training went: the share of it that was spent waiting for data, and the samples per second.

`Stats` looks back ten seconds; this looks at stretches that its user chooses: an epoch, a validation, the loop until now.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from loader.ipc.board import Board, TrainerCell

# Steps that are left out of the first stretch: workers start and the framework compiles. Two, because some compile the second step as well.
_WARM_UP = 2


class Moment(NamedTuple):
    """What the counters said, and when."""

    at_s: float
    wait_ns: int
    samples: int


class Pace(NamedTuple):
    """What lies between two moments.

    Attributes:
        elapsed_s: seconds.
        waited_s: seconds of them that the trainer waited for data.
        samples: that it took.
    """

    elapsed_s: float
    waited_s: float
    samples: int

    @property
    def wait_ratio(self) -> float:
        """Share of the time that the trainer waited for data, 0 to 1."""
        return min(1.0, self.waited_s / self.elapsed_s) if self.elapsed_s > 0 else 0.0

    @property
    def samples_per_s(self) -> float:
        """Samples that the trainer took per second."""
        return self.samples / self.elapsed_s if self.elapsed_s > 0 else 0.0


def between(then: Moment, now: Moment) -> Pace:
    """Return the pace from one moment to a later one."""
    return Pace(now.at_s - then.at_s, (now.wait_ns - then.wait_ns) / 1e9, now.samples - then.samples)


class Probe:
    """Reads the trainer's counters, in any thread: two words of memory and a clock.

    Args:
        board: of the loader.
    """

    def __init__(self, board: Board) -> None:
        self._wait_ns = board.trainer.cell(TrainerCell.WAIT_NS)
        self._samples = board.trainer.cell(TrainerCell.SAMPLES)

    def moment(self) -> Moment:
        """Return what the counters say now."""
        return Moment(time.monotonic(), self._wait_ns[0], self._samples[0])


class TimedStretch:
    """Steps between a `begin` and an `end`, again and again. The first steps of all are left out, as long as others follow them.

    Args:
        probe: of the loader.
    """

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._cold_steps = 0
        self._begun = self._warm = probe.moment()
        self._pace: Pace | None = None

    @property
    def running(self) -> bool:
        """Whether it has begun and not ended."""
        return self._pace is None

    @property
    def warm(self) -> bool:
        """Whether the first steps are over."""
        return self._cold_steps > _WARM_UP

    @property
    def pace(self) -> Pace:
        """From the beginning to the end, or to now."""
        if self._pace is not None:
            return self._pace
        now = self._probe.moment()
        pace = between(self._warm, now)
        return pace if pace.samples else between(self._begun, now)  # whose batch was taken before its step began

    def begin(self) -> None:
        """Start anew."""
        self._begun = self._warm = self._probe.moment()
        self._pace = None

    def step(self) -> None:
        """Note that a step begins."""
        if self._cold_steps <= _WARM_UP:
            self._cold_steps += 1
            if self._cold_steps > _WARM_UP:
                self._warm = self._probe.moment()

    def end(self) -> Pace:
        """Stop the clock; return the pace of the whole."""
        self._pace = self.pace
        return self._pace
