"""How many workers help, judged from a few seconds: the one law that the verdict reports and `workers="auto"` tries out. Pure.

    enough    work per second over what a worker does in a second (the utilisation law), with some room
    served    what the cores can serve, by the share of its time that a worker computes; what waits for storage is not bounded by them

A law knows nothing of disks that serve three readers at a time. What "auto" makes of it is in `loader.supervise.tuning`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

MOST_GAIN = 10.0
"""Beyond that, a figure promises more than a measurement of waiting can tell."""

WAIT_NOTICED = 0.03
"""A trainer that waits for less of its time than this does not wait: less is noise, and removing it would gain as little."""

# Workers that idle this much while the trainer waits are held up by something that more of them would not cure.
_BUSY_ENOUGH = 0.6
# A worker that is always busy is late, because of queueing. So there is a tenth to spare, at most half a worker.
_ROOM_SHARE = 0.9
_ROOM_WORKERS = 0.5
# If the trainer waits, a reduction is worth a trial if it leaves at most this share of the workers.
_WORTH_A_TRIAL = 0.8
# A worker that computes for this share of its time counts as computing all the time.
COMPUTING = 0.9
# Beyond what the cores can serve on average, reads and computing still overlap better with more workers, until this share of the cores is used.
_CORES_USED = 0.95
_STEP_BEYOND = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What some workers and a trainer did.

    Attributes:
        workers: that there are.
        busy: of them that had work, on average.
        work: the same without those that stood in line for a core: a crowd on the cores looks as busy as one that gets work done.
        wait: share of the time that the trainer waited, 0 to 1.
        computing: share of its time with work that a worker computes, time in line for a core left out, 0 to 1.
        cores_used: by all of them, on average.
        cores: that they may use.
        ceiling: most workers that are allowed.
    """

    workers: int
    busy: float
    work: float
    wait: float
    computing: float
    cores_used: float
    cores: int
    ceiling: int

    @property
    def gain(self) -> float:
        """How many times as fast training would run with data always there."""
        return most_gain(self.wait)

    @property
    def needed(self) -> int:
        """Workers with which the trainer would not wait, if each did as much as now."""
        return enough(self.busy * self.gain)

    @property
    def least(self) -> int:
        """Workers that would do the same work."""
        return enough(self.work)

    @property
    def worth(self) -> int:
        """The most workers to which a reduction is worth it. If the trainer waits anyway, fewer may cost speed, so the reduction must be large."""
        return self.workers - 1 if self.wait <= WAIT_NOTICED else int(_WORTH_A_TRIAL * self.workers)

    @property
    def most(self) -> int:
        """Workers beyond which more would not help, or are not allowed; 0 if no more than there are would help."""
        if self.wait <= WAIT_NOTICED or self.busy < _BUSY_ENOUGH * self.workers:
            return 0
        return min(self.ceiling, self._served)

    @property
    def helpful(self) -> int:
        """How many workers would be best: as many as there are, or more. If they crowd each other, no more."""
        return self.workers if self.least <= self.worth else max(self.workers, min(self.needed, self.most))

    def gain_with(self, workers: int) -> float:
        """Return how many times as fast training would run with another number of workers, if each does as much as now."""
        return max(1.0, min(self.gain, busy_at_most(workers) / max(self.busy, 1e-9)))

    @property
    def _served(self) -> int:
        """Workers that the cores can serve."""
        if self.computing >= COMPUTING:
            return self.cores
        served = int(min(self.cores / max(self.computing, 1e-3), 1e6))
        unused = self.cores_used < _CORES_USED * self.cores
        return max(served, self.workers + max(1, int(_STEP_BEYOND * self.workers)) if unused else 0)


def enough(busy: float) -> int:
    """Return the fewest workers for work that keeps `busy` of them busy all the time."""
    return max(1, math.ceil(with_room(busy) - 1e-6))


def with_room(busy: float) -> float:
    """Return how many workers, or parts of one, are enough for work that keeps `busy` of them busy all the time."""
    return min(busy / _ROOM_SHARE, busy + _ROOM_WORKERS)


def busy_at_most(workers: int) -> float:
    """Return how many of `workers` workers may be busy on average; with more work, they are not enough."""
    return max(workers * _ROOM_SHARE, workers - _ROOM_WORKERS)


def most_gain(wait: float) -> float:
    """Return how many times as fast a trainer that waits for a share `wait` of its time would run without waiting."""
    return min(MOST_GAIN, 1 / max(1 - wait, 1e-9))
