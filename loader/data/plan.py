"""How an epoch is cut into batches, for one rank of a data-parallel job, and which samples each of them holds.

Everyone asks a plan: the supervisor for the rows that a batch has, the workers for the samples in them. A plan numbers the rows that this rank
delivers in an epoch ("rows of the plan"): batch b begins at row `b × batch_size`. Nothing in it depends on what has happened before.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np

from loader.config import Config
from loader.data.order import Order
from loader.data.rows import Indices
from loader.data.sources.source import Source
from loader.errors import ConfigError, LoaderError


@dataclass(frozen=True)
class EpochPlan(ABC):
    """The batches of any epoch of one rank.

    Attributes:
        order: of what is shuffled.
        batch_size: rows of a full batch of this rank, or of the largest one.
        drop_last: leave out the last batch if it is not full.
        rank: of this process, 0 ≤ rank < world.
        world: number of ranks.
        batches: in an epoch.
        rows: the number after that of the last row of an epoch.
        left_out: how many samples or files no rank delivers, at the end of an epoch.
        one_size: whether all batches but the last one of an epoch have `batch_size` rows.
    """

    order: Order
    batch_size: int
    drop_last: bool = False
    rank: int = 0
    world: int = 1
    batches: int = field(init=False)
    rows: int = field(init=False)
    left_out: int = field(init=False)
    one_size: bool = field(init=False)

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """Rows of a full batch, for each layout that batches can have."""
        return (self.batch_size,)

    def layout_of(self, epoch: int, batch: int) -> int:
        """Return the number of the layout that a batch has."""
        return 0

    @property
    @abstractmethod
    def samples(self) -> int:
        """Number of samples in the source."""

    @property
    @abstractmethod
    def in_blocks(self) -> bool:
        """Whether `indices` is cheap only if many are asked for at once, so that they are made in blocks and kept."""

    @abstractmethod
    def rows_of(self, epoch: int, batch: int) -> int:
        """Return the rows of batch number `batch` of an epoch."""

    @abstractmethod
    def indices(self, epoch: int, start: int, stop: int) -> Indices:
        """Return the samples in this rank's rows `start` to `stop` of an epoch."""


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

    @property
    def samples(self) -> int:
        return self.order.samples

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


@dataclass(frozen=True)
class FileBatches(EpochPlan):
    """Batches that are files: the rows of each file, in their order. The files are shuffled, if anything is.

    `batch_size` is that of the largest file, so that a slot can hold any of them. In an epoch, rank r takes the files at the positions r, r + world,
    r + 2 × world, …

    Attributes:
        ends: number of the sample after the last one of each file, of shape `(files,)`.
    """

    ends: Indices = field(kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "batches", len(self.ends) // self.world)
        object.__setattr__(self, "rows", self.batches * self.batch_size)
        object.__setattr__(self, "left_out", len(self.ends) % self.world)
        object.__setattr__(self, "one_size", False)

    @property
    def samples(self) -> int:
        return int(self.ends[-1])

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


def plan_of(source: Source, config: Config) -> EpochPlan:
    """Return the batches of an epoch. Raises ConfigError if files are to be batches, and the source has none that can be."""
    rank, world = config.shard
    if config.batch_size is not None:
        order = Order.as_set(len(source), config.seed, config.shuffle, lambda: _sample_bytes(source, config.on_error == "substitute"))
        return SampleBatches(order, config.batch_size, config.drop_last, rank, world)
    rows = source.file_rows()
    if rows is None:
        raise ConfigError(
            f"batch_size=None makes a batch of each file of NpyArrays; {source!r} has no such files. What to do: give a number of samples, "
            "such as batch_size=64; or, where each file is a batch, NpyArrays(list of files) or NpyArrays([RawArray(...), ...])"
        )
    if not rows.all():
        raise ConfigError(f"batch_size=None makes a batch of each file, but {int((rows == 0).sum()):,} of the {len(rows):,} files have no rows")
    order = Order(len(rows), config.seed, bool(config.shuffle))
    return FileBatches(order, int(rows.max()), False, rank, world, ends=np.cumsum(rows, dtype=np.int64))


def _sample_bytes(source: Source, may_be_bad: bool) -> int | None:
    """Return the bytes of a sample; None if no header tells them, or the first one can't be read, which may be if the first sample may be bad."""
    try:
        spec = source.header_spec()
    except (LoaderError, OSError):
        if not may_be_bad:
            raise
        return None
    return None if spec is None else spec.nbytes
