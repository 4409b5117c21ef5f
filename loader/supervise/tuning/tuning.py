"""The tuner's surroundings: reads the board for it twice a second, and keeps its decisions. The policy is in `tuner`."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from loader.ipc.board import Board
from loader.supervise.tuning.demand import Demand
from loader.supervise.tuning.tuner import Tuner

_EVERY_S = 0.5
_REMEMBERED = 64
_log = logging.getLogger("loader.supervisor")


@dataclass(frozen=True)
class Decision:
    """A change of the number of workers.

    Attributes:
        at: time.monotonic() in seconds.
        before, after: workers.
        reason: in words.
    """

    at: float
    before: int
    after: int
    reason: str


class Tuning:
    """Looks at a running loader, and says how many workers it should have.

    Args:
        board: counters of all processes.
        cores: that the loader may use.
        active: whether the number of workers is to be tuned; may be changed at any time.

    Attributes:
        active: see above.
        ceiling: most workers; may be lowered and raised again, for instance when memory allows fewer.
        decisions: the latest ones, oldest first.
    """

    def __init__(self, board: Board, cores: int, *, active: bool) -> None:
        self._board = board
        self._cores = cores
        self._tuner: Tuner | None = None
        self._next = 0.0
        self._demand = Demand()
        self.active = active
        self.ceiling = board.first_remote
        self.decisions: deque[Decision] = deque(maxlen=_REMEMBERED)

    def look(self, now: float, workers: int, company: Callable[[], Mapping[int, int]]) -> int | None:
        """Return another number of workers, or None. Costs a few µs for each worker, twice a second, and nothing in between.

        Args:
            now: time.monotonic().
            workers: that are wanted at present.
            company: returns, for each reader, the number of one of those that are handed the same batches.
        """
        if not self.active:
            self._tuner = None
            return None
        if now < self._next:
            return None
        self._next = now + _EVERY_S
        self._tuner = self._tuner or Tuner(self._cores)
        advice = self._tuner.observe(self._demand.moment(self._board, now, company()), workers, max(1, self.ceiling))
        if advice is None:
            return None
        self.decisions.append(Decision(now, workers, advice.workers, advice.reason))
        _log.info("workers %d → %d: %s", workers, advice.workers, advice.reason)
        return advice.workers
