"""What the trainer counts: one batch after the other, on the board, where anyone may read it."""

from __future__ import annotations

import time

from loader.ipc.board import Board, TrainerCell
from loader.ipc.stats import Meter, Stats


class Counter:
    """Counts what is handed out. It runs once per batch, so it writes to single cells, which costs a third of going through `Cells`.

    Args:
        board: of the loader.
    """

    def __init__(self, board: Board) -> None:
        self._meter = Meter(board)
        self._batches_cell = board.trainer.cell(TrainerCell.BATCHES)
        self._samples_cell = board.trainer.cell(TrainerCell.SAMPLES)
        self._epoch_cell = board.trainer.cell(TrainerCell.EPOCH_GAUGE)
        self._batch_cell = board.trainer.cell(TrainerCell.BATCH_GAUGE)
        self._batches = self._samples = self._epoch = 0

    def count(self, rows: int, epoch: int, batch: int = 0) -> None:
        """Count one batch of `rows` rows; the next one is number `batch` of `epoch`."""
        self._batches += 1
        self._samples += rows
        self._batches_cell[0] = self._batches
        self._samples_cell[0] = self._samples
        self._batch_cell[0] = batch
        if epoch != self._epoch:
            self._go_to(epoch)
        self._meter.look(time.monotonic())

    def stats(self, name: str, epoch: int) -> Stats:
        """Return a snapshot of the loader called `name`, whose next batch belongs to `epoch`."""
        self._go_to(epoch)
        return self._meter.stats(name)

    def _go_to(self, epoch: int) -> None:
        self._epoch = epoch
        self._epoch_cell[0] = epoch
