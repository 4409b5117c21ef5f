"""The plan of files that are batches (`batch_size=None`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from loader.data.plans.epoch_plan import EpochPlan
from loader.data.rows import Indices


@dataclass(frozen=True)
class FileBatches(EpochPlan):
    """Batches that are files: the rows of each file, in their order. The files are shuffled, if anything is.

    `batch_size` is that of the largest file, so that a slot can hold any of them. In an epoch, rank r takes the files at the positions r, r + world,
    r + 2 × world, …

    Attributes:
        ends: number of the sample after the last one of each file, of shape `(files,)`.
    """

    unit: ClassVar[str] = "files"

    ends: Indices = field(kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "batches", len(self.ends) // self.world)
        object.__setattr__(self, "rows", self.batches * self.batch_size)
        object.__setattr__(self, "left_out", len(self.ends) % self.world)
        object.__setattr__(self, "one_size", False)
        object.__setattr__(self, "has_partial", True)

    @property
    def samples(self) -> int:
        return int(self.ends[-1])

    @property
    def mean_rows(self) -> float:
        return self.samples / len(self.ends)

    @property
    def in_blocks(self) -> bool:
        return False

    def rows_of(self, epoch: int, batch: int) -> int:
        start, stop = self._samples_of(epoch, batch)
        return stop - start

    def indices(self, epoch: int, start: int, stop: int) -> Indices:
        batch, row = divmod(start, self.batch_size)
        first, _ = self._samples_of(epoch, batch)
        return np.arange(first + row, first + row + stop - start, dtype=np.int64)

    def _samples_of(self, epoch: int, batch: int) -> tuple[int, int]:
        position = np.array([batch * self.world + self.rank], np.int64)
        file = int(self.order.indices(epoch, position)[0])
        return int(self.ends[file - 1]) if file else 0, int(self.ends[file])
