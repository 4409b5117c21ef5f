"""Plans of epochs, for tests of what asks them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from loader.config import Config
from loader.data.order import Order
from loader.data.plans.bucket_batches import BucketBatches
from loader.data.plans.buckets import Buckets
from loader.data.plans.file_batches import FileBatches
from loader.data.plans.sample_batches import SampleBatches


def sample_batches(samples: int, batch_size: int, drop_last: bool = False, rank: int = 0, world: int = 1) -> SampleBatches:
    """Return a plan of batches of samples in their order."""
    return SampleBatches(Order(samples, 0, False), batch_size, drop_last, rank, world)


def file_batches(rows: Sequence[int], rank: int = 0, world: int = 1, shuffle: bool = True) -> FileBatches:
    """Return a plan of batches that are files with so many rows."""
    return FileBatches(Order(len(rows), 7, shuffle), max(rows), False, rank, world, ends=np.cumsum(rows, dtype=np.int64))


def bucket_batches(
    lengths: Sequence[int], edges: Sequence[int], sizes: int | Sequence[int], rank: int = 0, world: int = 1, **more: Any
) -> BucketBatches:
    """Return a plan of batches of samples with these lengths; `more` may have `longer`, and settings of a loader."""
    buckets = Buckets(edges, lengths=np.array(lengths, np.int64), longer=more.pop("longer", "error"))
    return BucketBatches.of(buckets, Config(batch_size=sizes, bucket_by=buckets, shard=(rank, world), **more))
