"""The last minute, a point for each second: how fast the trainer took samples, and who waited. What `loader top` draws as curves."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

from loader.ipc.board import Board
from loader.measure.moments import Moment, Span, Spans, between, led, taken_by_anyone

_STEP_S = 1.0
_POINTS = 60


class _Point(NamedTuple):
    samples_per_s: float
    trainer_wait_ratio: float
    worker_wait_ratio: float


class LastMinute:
    """Looks once a second and remembers the last sixty points.

    Args:
        board: whose moments they are.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._points: deque[_Point] = deque(maxlen=_POINTS)
        self._before: Moment | None = None
        self._taken_at: float | None = None

    def look(self, moment: Moment) -> None:
        """Add a point if the last one is a second old."""
        before = self._before
        if before is not None and moment.at_s < before.at_s + _STEP_S:
            return
        self._before = moment
        if moment.taken != (before.taken if before else 0):
            self._taken_at = moment.at_s
        if before is None:
            return
        span, (_, seen) = Span(before, moment), led([before, moment])
        busy_s = Spans([span]).busy_s / max(1, sum(moment.running))
        pace = between(seen[0], seen[-1])
        self._points.append(_Point(pace.samples_per_s, pace.wait_ratio, max(0.0, 1 - busy_s / span.elapsed_s)))

    def seconds_since_last_batch(self, now: float) -> float | None:
        """Return how long ago the trainer took its last batch, to the second; None before the first one."""
        before = self._before
        if before is not None and before.taken != taken_by_anyone(self._board):
            return 0.0
        return None if self._taken_at is None else now - self._taken_at

    def as_dict(self) -> dict[str, Any]:
        """Return the points, the oldest first: a list for each quantity, and the seconds between two points."""
        lists = {name: [round(point[place], 3) for point in self._points] for place, name in enumerate(_Point._fields)}
        return {"step_s": _STEP_S, **lists}
