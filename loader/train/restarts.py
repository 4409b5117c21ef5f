"""How often a supervisor may be replaced. Pure: the clock is passed in."""

from __future__ import annotations

from collections import deque

# An operator or the OOM killer may hit more than once. What has killed four supervisors within a minute, each of which needs less than a second to
# start, kills the fifth as well; whoever waits for the batch should hear of it.
MOST_RESTARTS = 3
WINDOW_S = 60.0


class Restarts:
    """Allows at most `most` restarts within any `window_s` seconds.

    Args:
        most: how many.
        window_s: length of the window.
    """

    def __init__(self, most: int = MOST_RESTARTS, window_s: float = WINDOW_S) -> None:
        self._window_s = window_s
        self._most = most
        self._times: deque[float] = deque()

    def allow(self, now: float) -> bool:
        """Return whether a restart at `now`, in seconds of a clock that never goes back, is within the limit; if so, it counts."""
        while self._times and self._times[0] <= now - self._window_s:
            self._times.popleft()
        if len(self._times) >= self._most:
            return False
        self._times.append(now)
        return True
