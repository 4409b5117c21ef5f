"""The surroundings of the tuners: reads the board for them twice a second, and keeps their decisions. The policy is in `crew`."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from loader.ipc.board import Board
from loader.supervise.tuning.crew import Crew, CrewTuner, Limits
from loader.supervise.tuning.demand import Demand

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
        remote: whether they are those on other machines.
    """

    at: float
    before: int
    after: int
    reason: str
    remote: bool = False

    @property
    def who(self) -> str:
        """Which workers they are."""
        return "remote workers" if self.remote else "workers"


class Tuning:
    """Looks at a running loader, and says how many workers it should have.

    Args:
        board: counters of all processes.
        cores: that the loader may use.
        active: whether the number of workers on this machine is to be tuned; may be changed at any time.
        fewest_remote: fewest workers on other machines. Their number is always tuned, where there may be any.

    Attributes:
        active, fewest_remote: see above.
        ceiling: most workers on this machine; may be lowered and raised again, for instance when memory allows fewer.
        decisions: the latest ones, oldest first.
    """

    def __init__(self, board: Board, cores: int, *, active: bool, fewest_remote: int = 0) -> None:
        self._board = board
        self._cores = cores
        self._most_remote = len(board.workers) - board.first_remote
        self.fewest_remote = fewest_remote
        self._tuner: CrewTuner | None = None
        self._next = 0.0
        self._demand = Demand()
        self.active = active
        self.ceiling = board.first_remote
        self.decisions: deque[Decision] = deque(maxlen=_REMEMBERED)

    def due(self, now: float) -> bool:
        """Return whether it is time for `look`; to be asked at every turn of the loop."""
        return now >= self._next if self.active or self._most_remote else self._tuner is not None

    def look(self, now: float, crew: Crew, company: Callable[[], Mapping[int, int]]) -> Crew | None:
        """Return other numbers of workers, or None. To be called when `due` says so: twice a second, a few µs for each worker.

        Args:
            now: time.monotonic().
            crew: workers that are wanted at present.
            company: returns, for each reader, the number of one of those that are handed the same batches.
        """
        if not (self.active or self._most_remote):
            self._tuner = None
            return None
        self._next = now + _EVERY_S
        limits = Limits(max(1, self.ceiling), self.fewest_remote, self._most_remote)
        self._tuner = self._tuner or CrewTuner(self._cores, limits)
        change = self._tuner.observe(self._demand.moment(self._board, now, company()), crew, limits, auto=self.active)
        if change is None:
            return None
        after = change.crew
        remote = after.local == crew.local
        made = Decision(now, crew.remote, after.remote, change.reason, True) if remote else Decision(now, crew.local, after.local, change.reason)
        self.decisions.append(made)
        _log.info("%s %d → %d: %s", made.who, made.before, made.after, made.reason)
        return after
