"""How an epoch is cut into batches, for one rank of a data-parallel job.

An epoch is cut into global batches of `batch_size × world` rows; rank r takes the r-th part of each. So all ranks see equally many batches,
and another world size with the same global batch gives the same global batches. This rank's rows, in the order of its batches, are numbered
0, 1, 2, … ("rows of the plan"); a row's position in the epoch's order follows by arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from loader.data.rows import Indices


@dataclass(frozen=True)
class EpochPlan:
    """The batches of any epoch of one rank.

    Attributes:
        samples: in the source.
        batch_size: rows of a full batch of this rank.
        drop_last: leave out the last batch if it is not full.
        rank: of this process, 0 ≤ rank < world.
        world: number of ranks.
        batches: in an epoch.
        rows: of this rank in an epoch.
        left_out: samples at the end of an epoch that no rank delivers.
    """

    samples: int
    batch_size: int
    drop_last: bool = False
    rank: int = 0
    world: int = 1
    batches: int = field(init=False)
    rows: int = field(init=False)
    left_out: int = field(init=False)
    _last: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        full, rest = divmod(self.samples, self.batch_size * self.world)
        last = 0 if self.drop_last or rest % self.world else rest // self.world
        object.__setattr__(self, "_last", last)
        object.__setattr__(self, "batches", full + (last > 0))
        object.__setattr__(self, "rows", full * self.batch_size + last)
        object.__setattr__(self, "left_out", rest - last * self.world)

    def rows_of(self, batch: int) -> int:
        """Return the rows of batch number `batch` of an epoch."""
        return min(self.batch_size, self.rows - batch * self.batch_size)

    def positions(self, start: int, stop: int) -> Indices:
        """Return the positions in the epoch's order of this rank's rows `start` to `stop`."""
        rows = np.arange(start, stop, dtype=np.int64)
        if self.world == 1:
            return rows
        batch, row = np.divmod(rows, self.batch_size)
        share = np.where(batch * self.batch_size + self.batch_size <= self.rows, self.batch_size, self._last)
        positions: Indices = batch * (self.batch_size * self.world) + self.rank * share + row
        return positions
