"""The usual plan: the order of the samples, cut into batches of one size."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from loader.data.plans.epoch_plan import EpochPlan
from loader.data.rows import Indices


@dataclass(frozen=True)
class SampleBatches(EpochPlan):
    """Batches of `batch_size` samples.

    An epoch is cut into global batches of `batch_size × world` samples; rank r takes the r-th part of each. So all ranks see equally many batches,
    and another world size with the same global batch gives the same global batches.
    """

    _last: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        full, rest = divmod(self.order.samples, self.batch_size * self.world)
        last = 0 if self.drop_last or rest % self.world else rest // self.world
        object.__setattr__(self, "_last", last)
        object.__setattr__(self, "batches", full + (last > 0))
        object.__setattr__(self, "rows", full * self.batch_size + last)
        object.__setattr__(self, "left_out", rest - last * self.world)
        object.__setattr__(self, "one_size", True)
        object.__setattr__(self, "has_partial", last > 0)

    @property
    def samples(self) -> int:
        return self.order.samples

    @property
    def whole_batches(self) -> int:
        return self.rows // self.batch_size

    @property
    def in_blocks(self) -> bool:
        return bool(self.order.shuffle)

    def rows_of(self, epoch: int, batch: int) -> int:
        return min(self.batch_size, self.rows - batch * self.batch_size)

    def indices(self, epoch: int, start: int, stop: int) -> Indices:
        return self.order.indices(epoch, self.positions(start, stop))

    def positions(self, start: int, stop: int) -> Indices:
        """Return the positions in the epoch's order of this rank's rows `start` to `stop`."""
        rows = np.arange(start, stop, dtype=np.int64)
        if self.world == 1:
            return rows
        batch, row = np.divmod(rows, self.batch_size)
        share = np.where(batch * self.batch_size + self.batch_size <= self.rows, self.batch_size, self._last)
        positions: Indices = batch * (self.batch_size * self.world) + self.rank * share + row
        return positions
