"""The last minute, a point for each second: how fast the trainer took samples, and who waited. What `loader top` draws as curves."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, NamedTuple

from loader.ipc.board import Board, TrainerCell, WorkerCell, WorkerState, busy_ns

_STEP_S = 1.0
_POINTS = 60


class _Point(NamedTuple):
    samples_per_s: float
    trainer_wait_ratio: float
    worker_wait_ratio: float


class _Moment(NamedTuple):
    at: float
    samples: int
    wait_ns: int
    busy_ns: int


class LastMinute:
    """Reads a board once a second, and remembers sixty points. Costs some µs each time, and nobody else anything.

    Args:
        board: whose counters to read.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._points: deque[_Point] = deque(maxlen=_POINTS)
        self._before: _Moment | None = None
        self._taken_at: float | None = None

    def look(self, now: float) -> None:
        """Add a point, where the last one is a second old. `now` is time.monotonic()."""
        before = self._before
        if before is not None and now < before.at + _STEP_S:
            return
        self._before = moment = self._moment(now)
        if moment.samples != (before.samples if before else 0):
            self._taken_at = now
        if before is None:
            return
        elapsed = now - before.at
        workers = sum(cells[WorkerCell.STATE_GAUGE] != WorkerState.ABSENT for cells in self._board.workers)
        busy = (moment.busy_ns - before.busy_ns) / 1e9 / elapsed / max(1, workers)
        self._points.append(
            _Point((moment.samples - before.samples) / elapsed, _ratio((moment.wait_ns - before.wait_ns) / 1e9 / elapsed), _ratio(1 - busy))
        )

    def seconds_since_last_batch(self, now: float) -> float | None:
        """Return for how long the trainer has taken nothing, to a second; None before its first batch."""
        before = self._before
        if before is not None and before.samples != self._board.trainer[TrainerCell.SAMPLES]:
            return 0.0
        return None if self._taken_at is None else now - self._taken_at

    def as_dict(self) -> dict[str, Any]:
        """Return the points, the oldest first: a list for each quantity, and the seconds between two points."""
        lists = {name: [round(point[place], 3) for point in self._points] for place, name in enumerate(_Point._fields)}
        return {"step_s": _STEP_S, **lists}

    def _moment(self, now: float) -> _Moment:
        trainer, now_ns = self._board.trainer, time.monotonic_ns()
        busy = sum(busy_ns(cells, now_ns) for cells in self._board.workers)
        return _Moment(now, trainer[TrainerCell.SAMPLES], trainer[TrainerCell.WAIT_NS], busy)


def _ratio(value: float) -> float:
    return min(1.0, max(0.0, value))
