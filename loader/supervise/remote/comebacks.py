"""When a gateway that has ended may be forked again. Pure: the clock is an argument.

it found no cluster     after 10 s, 20 s, … up to 5 minutes: one may come, and to look for it takes a second of a core
it died                 after 1 s, 2 s, …; no more after three deaths within a minute in which its workers made nothing
"""

from __future__ import annotations

from collections import deque

_DEATHS, _WINDOW_S = 3, 60.0
_FIRST_S, _LONGEST_S = 10.0, 300.0


class Comebacks:
    """Counts how gateways ended.

    Attributes:
        given_up: whether there will be no other one.
        in_vain: whether the last one found no cluster, and has said so.
    """

    def __init__(self) -> None:
        self.given_up = self.in_vain = False
        self._next = 0.0
        self._pause_s = _FIRST_S
        self._deaths: deque[float] = deque()

    def may_start(self, now: float) -> bool:
        """Return whether one may be forked now."""
        return not self.given_up and now >= self._next

    def found_nothing(self, now: float) -> None:
        """One has ended because it found no cluster."""
        self.in_vain = True
        self._next = now + self._pause_s
        self._pause_s = min(2 * self._pause_s, _LONGEST_S)

    def died(self, now: float, made: bool) -> None:
        """One has died; `made`: after its workers had made something."""
        if made:
            self._deaths.clear()
        self._pause_s, self.in_vain = _FIRST_S, False
        self._deaths.append(now)
        while self._deaths[0] <= now - _WINDOW_S:
            self._deaths.popleft()
        self.given_up = len(self._deaths) >= _DEATHS
        self._next = now + len(self._deaths)
