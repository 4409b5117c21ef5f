"""When to try again, how many requests a store stands, and when one is taken for lost. Pure: time and chance are arguments."""

from __future__ import annotations

from loader.data.patience import Patience

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 5.0

# When a request is taken for lost, and another one sent: early, as batches leave in order, and it holds up all rows after it (docs/measurements.md).
_TIMES_USUAL = 1.25
_DEVIATIONS = 2.0
_FIRST_GUESS_S = 0.5
_HEDGE_LEAST_S = 0.2
_HEDGE_MOST_S = 10.0
_QUICKLY = 3  # requests for one thing; others follow at intervals that double: it may also be large, or its line slow

# A store that refuses one request in a hundred has its own troubles; one that refuses many gets too many.
_REFUSED = 0.05
_REFUSED_SMOOTHING = 0.01
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
        self._refused = 0.0  # share of the latest requests
        self._patience = Patience(_FIRST_GUESS_S, _HEDGE_LEAST_S, _HEDGE_MOST_S, _TIMES_USUAL, _DEVIATIONS)

    def answered(self, took_s: float) -> None:
        """A request was answered after `took_s`."""
        self._patience.answered(took_s)
        self._refused -= _REFUSED_SMOOTHING * self._refused
        if self.window < self._most:
            self.window = min(self._most, self.window + 1 / self.window)

    def refused(self, now_s: float) -> None:
        """The store asked for fewer requests."""
        self._refused += _REFUSED_SMOOTHING * (1 - self._refused)
        if self._refused > _REFUSED and now_s - self._shrunk_at >= _SHRINKS_EVERY_S:  # those on their way say the same
            self._shrunk_at = now_s
            self.window = max(_LEAST_WINDOW, self.window * _SHRINKING)

    def lost_after_s(self, attempts: int = 1) -> float:
        """Return after how long the latest of so many requests for one thing is likely to hang."""
        once_s = self._patience.late_after_s()
        return once_s if attempts < _QUICKLY else once_s * 2.0**attempts

    def hedge(self) -> bool:
        """Return whether one more request may be sent for what is already on its way, and count it."""
        return self._patience.repeat()
