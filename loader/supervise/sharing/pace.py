"""How fast a trainer goes, and would go if its data were always there, from what it counts. Pure: the clock is an argument."""

from __future__ import annotations

from typing import NamedTuple

# So many batches, and so much time, tell how long one takes.
_ENOUGH_BATCHES = 4
_ENOUGH_S = 0.1

# It pauses when it is at one batch for so many times as long as usual.
_PAUSE_STEPS = 4
_PAUSE_S = 0.1


class Counted(NamedTuple):
    """What a trainer has counted at one time.

    Attributes:
        at_s: in seconds of a clock that never goes back.
        batches: that it has taken.
        waited_s: for them.
    """

    at_s: float
    batches: int
    waited_s: float


class Step(NamedTuple):
    """How long a batch takes a trainer.

    Attributes:
        own_s: what it waits for the next one not counted. Less than it seems where a step overlaps that wait.
        all_s: from one to the next.
    """

    own_s: float
    all_s: float


class Pace:
    """Follows one trainer."""

    def __init__(self) -> None:
        self._since: Counted | None = None  # it took a batch just before
        self._latest: Counted | None = None  # it took another one just before, the last one until now
        self._steps: list[Step] = []

    def look(self, counted: Counted, waits: bool) -> Step | None:
        """Return how long a batch takes it; None if that is not known, or it pauses.

        The quicker one of the last two measurements counts: a pause, or the compilation of a model, is in one of them only.

        Args:
            counted: now. It is to be looked at several times during a batch, or as often as the lag is.
            waits: whether it waits for a batch.
        """
        latest, self._latest = self._latest or counted, self._latest or counted
        if counted.batches != latest.batches:
            self._took(counted)
        elif not waits and self._steps and counted.at_s - latest.at_s - (counted.waited_s - latest.waited_s) > self._longest_s:
            return None
        return min(self._steps, default=None)

    @property
    def _longest_s(self) -> float:
        return _PAUSE_STEPS * min(self._steps).own_s + _PAUSE_S

    def _took(self, counted: Counted) -> None:
        self._latest = counted
        since = self._since = self._since or counted
        batches, elapsed_s = counted.batches - since.batches, counted.at_s - since.at_s
        if batches >= _ENOUGH_BATCHES and elapsed_s >= _ENOUGH_S:
            self._since = counted
            own_s = max(0.0, elapsed_s - (counted.waited_s - since.waited_s))
            self._steps = [*self._steps[-1:], Step(own_s / batches, elapsed_s / batches)]
