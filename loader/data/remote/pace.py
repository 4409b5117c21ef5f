"""When to try again, how many requests a store stands, and when one is taken for lost. Pure: time and chance are arguments."""

from __future__ import annotations

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 5.0

# A request that takes several times as long as usual is likely to hang: another one is sent, and the first answer is taken.
_HEDGE_TIMES = 4
_FIRST_GUESS_S = 0.5
_HEDGE_LEAST_S = 0.2
_HEDGE_MOST_S = 10.0
_SMOOTHING = 0.05
_HEDGES_PER_REQUEST = 0.15  # where all have become slow, more requests would make it worse
_MOST_HEDGES_SAVED = 32.0

_SHRINKING = 0.7
_SHRINKS_EVERY_S = 1.0
_LEAST_WINDOW = 2.0


def pause_s(failures: int, chance: float) -> float:
    """Return how long to wait before trying again.

    Args:
        failures: so far, at least 1.
        chance: between 0 and 1: requests that failed together are not to come back together.
    """
    return min(_FIRST_PAUSE_S * 2.0 ** (failures - 1), _LONGEST_PAUSE_S) * (0.5 + chance)


class Pace:
    """How many requests may be on their way, and when one is taken for lost.

    Args:
        most: requests on their way.

    Attributes:
        window: requests that may be on their way now.
    """

    def __init__(self, most: int) -> None:
        self._most = float(most)
        self.window = self._most
        self._shrunk_at = float("-inf")
        self._usual_s: float | None = None
        self._hedges = _MOST_HEDGES_SAVED / 4

    def answered(self, took_s: float) -> None:
        """A request was answered after `took_s`."""
        if self._usual_s is None:
            self._usual_s = took_s
        self._usual_s += _SMOOTHING * (min(took_s, _HEDGE_TIMES * self._usual_s) - self._usual_s)
        self._hedges = min(self._hedges + _HEDGES_PER_REQUEST, _MOST_HEDGES_SAVED)
        if self.window < self._most:
            self.window = min(self._most, self.window + 1 / self.window)

    def refused(self, now_s: float) -> None:
        """The store asked for fewer requests."""
        if now_s - self._shrunk_at >= _SHRINKS_EVERY_S:  # those on their way say the same
            self._shrunk_at = now_s
            self.window = max(_LEAST_WINDOW, self.window * _SHRINKING)

    def lost_after_s(self) -> float:
        """Return after how long a request is likely to hang."""
        usual = _FIRST_GUESS_S if self._usual_s is None else self._usual_s
        return min(max(_HEDGE_TIMES * usual, _HEDGE_LEAST_S), _HEDGE_MOST_S)

    def hedge(self) -> bool:
        """Return whether one more request may be sent for what is already on its way, and count it."""
        if self._hedges < 1:
            return False
        self._hedges -= 1
        return True
