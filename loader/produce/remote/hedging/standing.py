"""How quick an actor is, measured by the others; one that is slow ticket after ticket is parked, and tried again later. Pure: times are arguments.

working ── slow three times in a row, or stuck ──▶ parked ── when its pause is over ──▶ on trial
   ▲                                                  ▲                                    │  │
   │                                                  └──────── slow, a longer pause ──────┘  │
   └──────────────────────────────────── not slow ────────────────────────────────────────────┘

If no other one works when its pause is over, a slow one is better than none: it works again without a trial.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from enum import Enum

_TIMES_SLOWER = 4  # an actor that takes so many times as long hinders more than it helps, because batches leave in order
_SLOW_IN_A_ROW = 3  # one slow ticket may have slow samples
_SMOOTHING = 0.5
_FIRST_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 60.0
_FORGETTING = 0.95  # of the pause, by each ticket that is not slow


class State(Enum):
    """What an actor is used for."""

    WORKING = "working"
    """It gets tickets."""
    PARKED = "parked"
    """It gets none."""
    ON_TRIAL = "on trial"
    """It has got one that somebody else does as well."""


class Standing:
    """How an actor stands among the others.

    Attributes:
        state: what it is used for.
        row_s: the time that it takes for a row; None if it has done none.
    """

    def __init__(self) -> None:
        self.state = State.WORKING
        self.row_s: float | None = None
        self._slow_in_a_row = 0
        self._pause_s = _FIRST_PAUSE_S
        self._until_s = 0.0

    def did(self, row_s: float, others: Sequence[float], late: bool, now_s: float) -> None:
        """It has done a ticket. What it was given before it was parked counts for nothing.

        Args:
            row_s: time that each of its rows took.
            others: the times that the actors that work take for a row.
            late: whether that was later than usual.
            now_s: the time.
        """
        if self.state is State.PARKED:
            return
        slow = late and bool(others) and row_s > _TIMES_SLOWER * statistics.median_low(others)
        if slow:
            self._slow_in_a_row += 1
        else:
            self._slow_in_a_row = 0
            self._pause_s = max(_FIRST_PAUSE_S, _FORGETTING * self._pause_s)
        if self.row_s is None or self.state is State.ON_TRIAL:
            self.row_s = row_s
        else:
            self.row_s += _SMOOTHING * (row_s - self.row_s)
        if self._slow_in_a_row >= (_SLOW_IN_A_ROW if self.state is State.WORKING else 1):
            self.park(now_s)
        else:
            self.state = State.WORKING

    def park(self, now_s: float) -> None:
        """It is of no use for some time."""
        self.state = State.PARKED
        self._slow_in_a_row = 0
        self._until_s = now_s + self._pause_s
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

    def try_it(self, now_s: float) -> bool:
        """Return whether it is time to try it with a ticket that somebody else does as well; if so, it is on trial from now on."""
        if self.state is not State.PARKED or now_s < self._until_s:
            return False
        self.state = State.ON_TRIAL
        return True

    def use_again(self, now_s: float) -> bool:
        """Return whether its pause is over; if so, it works from now on, without a trial: there is nobody to compare it with."""
        if self.state is not State.PARKED or now_s < self._until_s:
            return False
        self.state = State.WORKING
        return True
