"""Which plan the settings of a loader ask for."""

from __future__ import annotations

import numpy as np

from loader.config import Config
from loader.data.order import Order
from loader.data.plans.batch_lengths import BatchLengths
from loader.data.plans.epoch_plan import EpochPlan
from loader.data.plans.sample_batches import SampleBatches
from loader.data.sources.source import Source
from loader.errors import ConfigError, LoaderError


def plan_of(source: Source, config: Config) -> EpochPlan:
    """Return the batches of an epoch. Raises ConfigError if files are to be batches, and the source has none that can be."""
    rank, world = config.rank_and_world
    lengths = config.bucket_by if isinstance(config.bucket_by, BatchLengths) else None
    if config.bucket_by is not None and lengths is None:
        from loader.data.plans.bucket_batches import BucketBatches

        return BucketBatches.of(config.bucket_by, config)
    if isinstance(config.batch_size, int):
        order = Order.as_set(len(source), config.seed, config.shuffle, lambda: _sample_bytes(source, config.on_error == "substitute"))
        if lengths is not None:
            from loader.data.plans.longest_batches import LongestBatches

            return LongestBatches(order, config.batch_size, config.drop_last, rank, world, lengths=lengths)
        return SampleBatches(order, config.batch_size, config.drop_last, rank, world)
    rows = source.file_rows()
    if rows is None:
        raise ConfigError(
            f"batch_size=None makes a batch of each file of NpyArrays; {source!r} has no such files. What to do: give a number of samples, "
            "such as batch_size=64; or, where each file is a batch, NpyArrays(list of files) or NpyArrays([RawArray(...), ...])"
        )
    if not rows.all():
        raise ConfigError(f"batch_size=None makes a batch of each file, but {int((rows == 0).sum()):,} of the {len(rows):,} files have no rows")
    from loader.data.plans.file_batches import FileBatches

    order = Order(len(rows), config.seed, bool(config.shuffle))
    return FileBatches(order, int(rows.max()), False, rank, world, ends=np.cumsum(rows, dtype=np.int64))


def pool_plan_of(source: Source, config: Config) -> EpochPlan:
    """Return the batches of an epoch that a pool makes: those of all ranks where it is shared, as a reader may be any of them."""
    plan = plan_of(source, config)
    if not config.shared or plan.world == 1:
        return plan
    from loader.data.plans.rank_batches import RankBatches

    return RankBatches.of(plan)


def _sample_bytes(source: Source, may_be_bad: bool) -> int | None:
    """Return the bytes of a sample; None if no header tells them, or the first one can't be read, which may be if the first sample may be bad."""
    try:
        spec = source.header_spec()
    except (LoaderError, OSError):
        if not may_be_bad:
            raise
        return None
    return None if spec is None else spec.nbytes
