"""Workers that make no progress: asked for their stacks, and killed a little later. What follows from their death is in `deaths`."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field

from loader.ipc import last_words
from loader.ipc.board import Board, Cells, WorkerCell
from loader.supervise.pool import Pool
from loader.supervise.schedule.schedule import Schedule

_MOVING = (WorkerCell.PID_GAUGE, WorkerCell.TICKET_STARTED_NS_GAUGE, WorkerCell.ROW_GAUGE, WorkerCell.ATTEMPT_GAUGE, WorkerCell.BAD)


@dataclass
class StallDetector:
    """Remembers when each worker last made progress. Pure: the clock is an argument.

    Attributes:
        timeout_s: a worker that holds a ticket and did not move for so long is stalled.
    """

    timeout_s: float
    _seen: dict[int, tuple[tuple[int, ...], float]] = field(default_factory=dict)

    def stalled(self, worker: int, cells: Cells, held: int, now: float) -> bool:
        """Return whether `worker`, which holds `held` tickets, is stalled at the time `now` (seconds, monotonic)."""
        state = tuple(cells[cell] for cell in _MOVING)
        known, since = self._seen.get(worker, (None, now))
        if not held or state != known:
            self._seen[worker] = (state, now)
            return False
        return now - since >= self.timeout_s


class StalledWorkers:
    """Ends the workers that are stalled.

    Args:
        schedule: knows who holds a ticket.
        board: counters.
        pool: the workers.
        timeout_s: setting `sample_timeout_s`.

    Attributes:
        timeout_s: as given.
    """

    def __init__(self, schedule: Schedule, board: Board, pool: Pool, timeout_s: float) -> None:
        self._schedule = schedule
        self._board = board
        self._pool = pool
        self.timeout_s = timeout_s
        self._detector = StallDetector(timeout_s)
        self._asked: dict[int, float] = {}  # those that were asked for their stacks, and when
        self._killed: set[int] = set()

    @property
    def asking(self) -> bool:
        """Whether workers have been asked for their stacks, so that `end` must be called again within `last_words.WRITING_S`."""
        return bool(self._asked)

    def end(self, now: float) -> None:
        """Ask workers that make no progress for their stacks, and kill them a little later, unless they have moved since."""
        for number, child in self._pool.children.items():
            if not self._detector.stalled(number, self._board.workers[number], len(self._schedule.tickets(number)), now):
                self._asked.pop(number, None)
            elif number not in self._asked.keys() | self._killed:
                self._asked[number] = now
                os.kill(child.pid, last_words.ASK)
            elif now - self._asked.get(number, now) >= last_words.WRITING_S:
                del self._asked[number]
                self._killed.add(number)
                os.kill(child.pid, signal.SIGKILL)

    def was_ended(self, number: int) -> bool:
        """Return whether a worker that has died did so because of this, and forget it. The question alone kills a process that does not handle it."""
        ended = number in self._killed or number in self._asked
        self._killed.discard(number)
        self._asked.pop(number, None)
        return ended
