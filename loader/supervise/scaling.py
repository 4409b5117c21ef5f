"""How many workers run: as many as the script, an operator or the tuner wants and memory allows. Starts them and lets them go.

wanted      workers=4, resize(6), `loader set`, or, with workers="auto", what the tuner finds; on other machines, always that
staying     fewer, where the memory limit allows no more
leaving     has been told to go, and has its place until it has gone: after what it holds
"""

from __future__ import annotations

import time

from loader.ipc.board import Board, SupervisorCell
from loader.supervise.memory.control import MemoryControl
from loader.supervise.pool import Pool
from loader.supervise.remote.remote_workers import RemoteWorkers
from loader.supervise.schedule.schedule import Schedule
from loader.supervise.tuning.crew import Crew
from loader.supervise.tuning.tuning import Tuning

_FOR_ONE_MORE = 8  # at a time, one worker is started, and one more for each so many that there are


class Scaling:
    """Keeps the number of workers.

    Args:
        schedule: is told who comes and who goes.
        board: counters; has a row for each worker that may come.
        pool: the workers.
        memory: may allow fewer workers than are wanted, and replace one.
        tuning: may change the numbers that are wanted; the one of remote workers is always its own.
        crew: who is to work at first.
        remote: those on other machines.

    Attributes:
        wanted: how many workers should run on this machine.
        wanted_remote: how many should run on others.
        short: whether more are to be started, by calls of `adjust` with time for others in between.
    """

    def __init__(
        self, *, schedule: Schedule, board: Board, pool: Pool, memory: MemoryControl, tuning: Tuning, crew: Crew, remote: RemoteWorkers
    ) -> None:
        self.wanted, self.wanted_remote = crew.local, crew.remote
        self.short = False
        self._remote = remote
        self._schedule = schedule
        self._board = board
        self._pool = pool
        self._memory = memory
        self._tuning = tuning
        self._leaving: set[int] = set()

    def adjust(self) -> None:
        """Take a step towards as many workers as are wanted and memory allows. To be called when either may have changed, or one has died.

        Dismisses all that are too many, but starts only some, and is `short` of the rest until the next step: a fork takes some milliseconds, in
        which nobody is served, and the first workers may make the first batch before the last one is there (docs/measurements.md).
        """
        self._leaving.intersection_update(self._pool.children)
        count = self._memory.count(self.wanted)
        staying = sorted(number for number in self._pool.children if number not in self._leaving)
        self._dismiss(staying[count:])
        unused = [number for number in range(self._board.first_remote) if number not in self._pool.children]
        missing = max(0, count - len(self._pool.children))
        for number in unused[: min(missing, 1 + len(self._pool.children) // _FOR_ONE_MORE)]:
            child = self._pool.start(number)
            self._memory.born(number, child.pid)
            self._schedule.worker_joined(number)
            missing -= 1
        self.short = missing > 0
        self._schedule.expect_workers(missing)
        self._memory.share_out(self.wanted)
        self._remote.adjust(self.wanted_remote, time.monotonic())
        self._board.supervisor[SupervisorCell.AUTO_GAUGE] = self._tuning.active
        self._board.supervisor[SupervisorCell.WORKERS_GAUGE] = self.wanted
        self._board.supervisor[SupervisorCell.REMOTE_GAUGE] = self.wanted_remote

    def resize(self, workers: int | str) -> None:
        """From now on so many workers are wanted, or as many as the tuner finds ("auto")."""
        self._tuning.active = workers == "auto"
        if isinstance(workers, int):
            self.wanted = workers
        self.adjust()

    def limit_memory(self, nbytes: int, now: float) -> None:
        """Change the memory limit."""
        self._memory.set_limit(nbytes, now)
        self.adjust()

    def tune(self, now: float) -> None:
        """Let the tuner change the numbers, if it is its turn."""
        if not self._tuning.due(now):
            return
        self._tuning.ceiling = self._memory.count(self._board.first_remote)
        crew = Crew(self.wanted, self.wanted_remote, self._remote.working)
        if change := self._tuning.look(now, crew, self._schedule.company):
            self.wanted, self.wanted_remote = change.local, change.remote
            self.adjust()

    def watch_memory(self, now: float) -> None:
        """Measure; replace the workers that take too much, after what they hold, and adjust their number."""
        self._dismiss(self._memory.look(now, self._leaving, self.wanted))
        if not self.short:  # else, the loop's next turn does
            self.adjust()

    def in_words(self) -> int | str:
        """Return what `workers` is set to."""
        return f"auto ({self.wanted} now)" if self._tuning.active else self.wanted

    def _dismiss(self, numbers: list[int]) -> None:
        for number in numbers:
            self._leaving.add(number)
            self._schedule.worker_leaving(number)
