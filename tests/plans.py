"""Plans of epochs, for tests of what asks them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from loader.data.order import Order
from loader.data.plan import FileBatches, SampleBatches


def sample_batches(samples: int, batch_size: int, drop_last: bool = False, rank: int = 0, world: int = 1) -> SampleBatches:
    """Return a plan of batches of samples in their order."""
    return SampleBatches(Order(samples, 0, False), batch_size, drop_last, rank, world)


def file_batches(rows: Sequence[int], rank: int = 0, world: int = 1, shuffle: bool = True) -> FileBatches:
    """Return a plan of batches that are files with so many rows."""
    return FileBatches(Order(len(rows), 7, shuffle), max(rows), False, rank, world, ends=np.cumsum(rows, dtype=np.int64))
