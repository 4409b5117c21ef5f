"""Follows what a loader is doing, and makes a snapshot of it.

All of it comes from the board. Reading that costs the other processes nothing. So trainer and supervisor make the same snapshot, each with its own
meter, and the supervisor can make one even while the trainer hangs.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from loader.ipc.board import Board
from loader.machine import available_cores
from loader.measure.moments import Moment, led

if TYPE_CHECKING:
    from loader.measure.stats import Stats

_WINDOW_S = 10.0
_STEP_S = 0.5


class Meter:
    """Reads a board and remembers the last ten seconds of it. It takes no part in the counting, so any process may have one.

    Args:
        board: whose counters to read.
        leads: whether it looks with the eyes of the reader that took most in these seconds, not of the one whose board it is.
    """

    def __init__(self, board: Board, leads: bool = False) -> None:
        self._board = board
        self._leads = leads
        self._cores = available_cores()
        self._begun = False  # whether anything had been handed out at the first moment
        self._next = 0.0
        self._moments: deque[Moment] = deque()
        self.look(time.monotonic())

    def look(self, now: float) -> float:
        """Remember the counters, unless that was done less than half a second ago. To be called about twice a second.

        The wait for the first batch is not remembered: it is the start of the workers, not their speed.

        Returns:
            When to look again, by the monotonic clock; before that, nothing would happen.
        """
        if self._begun and now < self._next:
            return self._next
        moment = Moment.of(self._board, now)
        if not self._begun:
            self._moments.clear()
            self._begun = moment.batches > 0 or (self._leads and any(reader.batches for reader in moment.readers))
        self._moments.append(moment)
        self._next = now + _STEP_S
        while len(self._moments) > 1 and self._moments[1].at_s <= now - _WINDOW_S:
            self._moments.popleft()
        return self._next if self._begun else now

    @property
    def latest(self) -> Moment:
        """What the counters were at the last look."""
        return self._moments[-1]

    def stats(self, name: str) -> Stats:
        """Return a snapshot of the loader called `name`."""
        from loader.measure.snapshot import snapshot  # only now: with all that a verdict takes

        at = time.monotonic()
        self.look(at)
        moments = [*self._moments, Moment.of(self._board, at)]
        number, seen = led(moments) if self._leads else (self._board.seen_from, moments)
        return snapshot(name, self._board.seen_by(number), seen, self._cores)
