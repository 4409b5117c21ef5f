"""What the adapters need to know of what they adapt."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Protocol

from loader.data.spec import Array, Sample, SampleSpec


class FlatBatches(Protocol):
    """Batches as flat arrays: an iterator over one epoch (`loader.train.epochs.EpochIterator`), or over no end of them."""

    def arrays(self) -> tuple[Array, ...]:
        """Return the arrays of the next batch, each at a multiple of 64 bytes. Raises StopIteration at the end."""


class Feed(ABC):
    """What feeds a model: a loader, or batches that are kept for it.

    Attributes:
        name: of the loader.
        batch_size: rows of a full batch.
        has_partial_batch: whether any batch has fewer rows.
        batch_shapes: shape of each array of a batch, with None for the axes in which batches differ.
        by_length: whether samples of similar length come together, and so not in the order of the source.
        batches_left: that a new iterator would hand out.
        shuffles: whether the order is new in every epoch.
        left_out: samples, or files that are batches, at the end of an epoch that nobody gets.
    """

    name: str

    @property
    @abstractmethod
    def spec(self) -> SampleSpec: ...

    @property
    @abstractmethod
    def batch_size(self) -> int: ...

    @property
    @abstractmethod
    def has_partial_batch(self) -> bool: ...

    @property
    @abstractmethod
    def batch_shapes(self) -> list[tuple[int | None, ...]]: ...

    @property
    @abstractmethod
    def by_length(self) -> bool: ...

    @property
    @abstractmethod
    def batches_left(self) -> int: ...

    @property
    @abstractmethod
    def shuffles(self) -> bool: ...

    @property
    @abstractmethod
    def left_out(self) -> int: ...

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __iter__(self) -> Iterator[Sample]: ...

    @abstractmethod
    def epoch_iterator(self, *, leased: bool, peek: bool = False) -> FlatBatches: ...
