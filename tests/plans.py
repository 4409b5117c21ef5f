"""Plans of epochs, for tests of what asks them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from loader.config import Config
from loader.data.order import Order
from loader.data.plans.batch_lengths import BatchLengths
from loader.data.plans.bucket_batches import BucketBatches
from loader.data.plans.buckets import Buckets
from loader.data.plans.choice import plan_of
from loader.data.plans.file_batches import FileBatches
from loader.data.plans.longest_batches import LongestBatches
from loader.data.plans.sample_batches import SampleBatches
from loader.data.sources.arrays.npy_arrays import NpyArrays
from loader.data.transforms import Pad


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


def longest_batches(lengths: Sequence[int], size: int, multiple_of: int = 1, rank: int = 0, world: int = 1, **more: Any) -> LongestBatches:
    """Return a plan of batches that are padded to their longest sample; `more` may have settings of a loader."""
    source = NpyArrays(np.zeros(len(lengths)))
    padded = BatchLengths.of_pad(Pad(length="batch", lengths=lengths, multiple_of=multiple_of), source, 0)
    plan = plan_of(source, Config(batch_size=size, bucket_by=padded, shard=(rank, world), **more))
    assert isinstance(plan, LongestBatches)
    return plan
