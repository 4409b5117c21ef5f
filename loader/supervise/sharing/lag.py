"""When a slow reader stops holding up the others: a decision from time alone. Pure: the clock is an argument.

A reader that has more slots waiting than it may hold keeps them from being filled for the others. That costs nobody anything while it happens now
and then: readers of equal speed drift apart and together. Setting it apart costs work instead, because its batches are made once more.

    lag="split"    it may cost the others 2 % of their time, and at most 0.1 s at once
    lag="wait"     all go in step, except with a reader that pauses: that takes ten times longer than it used to
"""

from __future__ import annotations

from typing import Literal

from loader.supervise.schedule.fairness import HoldUp

LagMode = Literal["split", "wait"]

_SHARE = 0.02
_MOST_S = 0.1

_PAUSE_S = 1.0
_TIMES = 10
_FIRST_S = 10.0
_SMOOTHING = 0.2


class Lag:
    """Watches who holds up whom, and for how long.

    Args:
        mode: see the module.

    Attributes:
        holds: whether a reader held up others at the latest look.
    """

    def __init__(self, mode: LagMode = "split") -> None:
        self._mode = mode
        self._credit_s = _MOST_S
        self.holds = False
        self._looked = 0.0
        self._seen: dict[int, tuple[int, float]] = {}  # by reader: the delivery that it did not take, and since when
        self._usual_s: dict[int, float] = {}

    def ends(self, hold_up: HoldUp | None, now: float) -> bool:
        """Return whether the reader that holds up others is to be set apart now.

        Args:
            hold_up: who that is, if anybody.
            now: in seconds of a clock that never goes back.
        """
        elapsed, self._looked = now - self._looked if self._looked else 0.0, now
        self._credit_s = min(_MOST_S, self._credit_s + _SHARE * elapsed - (elapsed if self.holds else 0.0))
        self.holds = hold_up is not None
        if hold_up is None:
            return False
        return self._credit_s <= 0 if self._mode == "split" else self._pauses(hold_up, now)

    def _pauses(self, hold_up: HoldUp, now: float) -> bool:
        delivery, since = self._seen.setdefault(hold_up.reader, (hold_up.delivery, now))
        if delivery != hold_up.delivery:
            usual = self._usual_s.setdefault(hold_up.reader, now - since)
            self._usual_s[hold_up.reader] = usual + _SMOOTHING * (now - since - usual)
            self._seen[hold_up.reader], since = (hold_up.delivery, now), now
        known = self._usual_s.get(hold_up.reader)
        return now - since >= (_FIRST_S if known is None else max(_PAUSE_S, _TIMES * known))
