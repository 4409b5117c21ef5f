"""What the trainer counts: one batch after the other, on the board, where anyone may read it."""

from __future__ import annotations

import time

from loader.ipc.board import Board, TrainerCell
from loader.measure.stats import Meter, Stats

# As plain numbers: looking up a member of an enum takes longer than writing to its cell.
_BATCHES, _SAMPLES, _BATCH = int(TrainerCell.BATCHES), int(TrainerCell.SAMPLES), int(TrainerCell.BATCH_GAUGE)


class Counter:
    """Counts what is handed out. It runs once per batch, so it writes to the cells itself: through `Cells` it would take three times as long.

    Args:
        board: of the loader.
    """

    def __init__(self, board: Board) -> None:
        self._meter = Meter(board)
        self._cells = board.trainer.raw
        self._batches = self._samples = self._epoch = 0
        self._next_look = 0.0

    def count(self, rows: int, epoch: int, batch: int = 0) -> None:
        """Count one batch of `rows` rows; the next one is number `batch` of `epoch`."""
        cells = self._cells
        self._batches = batches = self._batches + 1
        self._samples = samples = self._samples + rows
        cells[_BATCHES] = batches
        cells[_SAMPLES] = samples
        cells[_BATCH] = batch
        if epoch != self._epoch:
            self._go_to(epoch)
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = self._meter.look(now)

    def stats(self, name: str, epoch: int) -> Stats:
        """Return a snapshot of the loader called `name`, whose next batch belongs to `epoch`."""
        self._go_to(epoch)
        return self._meter.stats(name)

    def _go_to(self, epoch: int) -> None:
        self._epoch = epoch
        self._cells[TrainerCell.EPOCH_GAUGE] = epoch
