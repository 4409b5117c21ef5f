"""The trainer that made the loader, as one of its readers, and what its end means for the others."""

from __future__ import annotations

import logging
import os

from loader.ipc.board import Board, Phase, SupervisorCell
from loader.supervise.schedule.schedule import Schedule

_log = logging.getLogger("loader.supervisor")


class Owner:
    """The trainer that made the loader, which is reader 0.

    Args:
        board: counters.
        schedule: is told what the owner does.

    Attributes:
        pid: its process id.
        has_left: whether it has closed the loader, or died, and others read on.
    """

    def __init__(self, board: Board, schedule: Schedule) -> None:
        self.pid = os.getppid()
        self.has_left = False
        self._board = board
        self._schedule = schedule
        self._serves = False  # for others alone
        self._holds = False  # what it had taken when it left

    def serve(self) -> None:
        """It reads nothing from now on, and has the pool for others, as `loader serve` does. So its end is everybody's."""
        if not (self._serves or self.has_left):
            self._serves = True
            self._schedule.reader_left(0)

    def end(self, *, died: bool, others: bool) -> bool:
        """It has closed the loader, or has died, which may follow. Return whether the pool goes on without it.

        Args:
            died: which of the two.
            others: whether anybody else reads.
        """
        if self._serves or not others:
            return False
        if not self.has_left:
            self.has_left = self._holds = True
            self._schedule.reader_retires(0)
            self._board.supervisor[SupervisorCell.PHASE_GAUGE] = Phase.ORPHANED
            _log.info("the script that made the loader has closed it, or has ended; others read on")
        self.look(died=died)
        return True

    def look(self, *, died: bool = False) -> None:
        """Let it go, once it has left and its script uses no batch of the loader any more. To be called once in a while."""
        if self._holds and (died or not self._schedule.reader_retires(0)):
            self._holds = False
            self._schedule.reader_left(0)
