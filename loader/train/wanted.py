"""What trainer, tuner and operators want of a supervisor: kept by the trainer, for the one that may have to follow."""

from __future__ import annotations

from loader.config import Config
from loader.ipc.board import Cells, SupervisorCell


class Wanted:
    """The workers and the memory that a supervisor shall run with.

    Args:
        config: of the loader.
        cells: of the supervisor, where it shows what it runs with.
    """

    def __init__(self, config: Config, cells: Cells) -> None:
        self._cells = cells
        self._workers = config.worker_count
        self._auto = config.workers == "auto"
        self._limit_bytes = 0  # where it is not that of `config`
        self._shown_before = 0  # when they were resized: while that many are shown, it has not been heard

    def resized(self, workers: int) -> None:
        """The trainer asks for so many workers."""
        self._workers, self._auto = workers, False
        self._shown_before = self._cells[SupervisorCell.WORKERS_GAUGE]

    def remember(self) -> None:
        """Take over what a supervisor that has died ran with, before its cells are cleared."""
        shown = self._cells[SupervisorCell.WORKERS_GAUGE]
        if shown and shown != self._shown_before:
            self._workers, self._auto = shown, bool(self._cells[SupervisorCell.AUTO_GAUGE])
        if not self._cells[SupervisorCell.LIMIT_IS_DEFAULT_GAUGE]:
            self._limit_bytes = self._cells[SupervisorCell.LIMIT_BYTES_GAUGE]

    def numbers(self) -> dict[str, int]:
        """Return the fields of `loader.supervise.boot.Inheritance` that say so."""
        return {"workers": self._workers, "auto": int(self._auto), "limit": self._limit_bytes}
