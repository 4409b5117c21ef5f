"""What the counters of one reader of a shared loader say at one time."""

from __future__ import annotations

from typing import NamedTuple

from loader.ipc.board import Board, TrainerCell
from loader.ipc.who_reads import Present


class Reading(NamedTuple):
    """The counters of a reader of a shared loader at one time."""

    number: int
    pid: int
    wait_ns: int = 0
    samples: int = 0
    batches: int = 0
    copies: int = 0
    lent: int = 0
    rank: int | None = None

    @classmethod
    def of(cls, reader: Present, board: Board) -> Reading:
        """Read them."""
        cells = board.reader(reader.number)
        return cls(
            number=reader.number,
            pid=reader.pid,
            wait_ns=cells[TrainerCell.WAIT_NS],
            samples=cells[TrainerCell.SAMPLES],
            batches=cells[TrainerCell.BATCHES],
            copies=cells[TrainerCell.COPIES],
            lent=cells[TrainerCell.LENT_GAUGE],
            rank=reader.rank,
        )
