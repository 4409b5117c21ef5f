"""Stretches of training that the caller chooses: an epoch, a validation, the loop so far. `Stats` looks back ten seconds instead."""

from __future__ import annotations

import time

from loader.ipc.board import Board, TrainerCell
from loader.measure.moments import Moment, Pace, between

# Steps that are left out of the first stretch: workers start and the framework compiles. Two, because some compile the second step as well.
_WARM_UP = 2


class Probe:
    """Reads what the trainer counts, in any thread: two words of memory and a clock.

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
    """Steps between a `begin` and an `end`, which may be repeated. The very first steps are left out, if others follow them.

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
