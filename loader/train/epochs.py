"""The epochs of a loader, and one of them as an iterator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

from loader.data.layout import common_shape
from loader.data.plans.epoch_plan import EpochPlan
from loader.data.plans.plan_facts import PlanFacts
from loader.data.spec import Array, Sample, SampleSpec
from loader.errors import IterationError, LoaderClosed
from loader.train.position import Position, Stage


class Epochs(ABC):
    """Batches, one epoch after the other: what a loop, an adapter or a progress bar sees of a Loader.

    Attributes:
        name: of the loader.
        plan: batches of an epoch.
    """

    name: str
    plan: EpochPlan | PlanFacts
    _position: Position

    @property
    @abstractmethod
    def _specs(self) -> Sequence[SampleSpec]:
        """Specs of a sample, one for each layout that batches can have. Blocks until the first sample has been run."""

    @property
    def spec(self) -> SampleSpec:
        """Names, shapes (without the batch axis) and dtypes of the arrays in a batch; in one of the largest, where these differ.

        Blocks until the first sample has been run.
        """
        return self._specs[-1]

    @abstractmethod
    def _check_open(self) -> None:
        """Raise LoaderClosed if there are no more batches."""

    def __iter__(self) -> Iterator[Sample]:
        """Return an iterator over one epoch, which begins with its first `next`."""
        return EpochIterator(self)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return self.plan.batches

    @property
    def batch_size(self) -> int:
        """Rows of a full batch; of the largest one where files are batches."""
        return self.plan.batch_size

    @property
    def has_partial_batch(self) -> bool:
        """Whether any batch has fewer rows."""
        return self.plan.has_partial

    @property
    def batch_shapes(self) -> list[tuple[int | None, ...]]:
        """Shape of each array of a batch, with None for the axes in which batches differ. Blocks as `spec` does."""
        rows = None if self.has_partial_batch else self.batch_size
        return [(rows, *common_shape(leaf.shape for leaf in leaves)) for leaves in zip(*(spec.leaves for spec in self._specs), strict=True)]

    @property
    def by_length(self) -> bool:
        """Whether samples of similar length come together, and so not in the order of the source."""
        return self.plan.by_length

    @property
    def batches_left(self) -> int:
        """Batches that a new iterator would hand out: fewer than in an epoch after `load_state_dict`."""
        return self.plan.batches - self._position.upcoming[1]

    @property
    def left_out(self) -> int:
        """Samples (or files that are batches) that nobody gets in an epoch: `drop_last`, ranks can't share them equally, or too long."""
        return self.plan.left_out

    def epoch_iterator(self, *, leased: bool, peek: bool = False) -> EpochIterator:
        """Return an iterator over one epoch, as `iter` does.

        Args:
            leased: leaves small arrays in the slot, for those who let go of them at once.
            peek: only looks; when it is closed, the same epoch starts again.
        """
        return EpochIterator(self, leased, peek)

    def batches(self) -> Iterator[Sample]:
        """Yield batches endlessly, epoch after epoch: a plain generator."""
        while True:
            yield from self


class EpochIterator:
    """One epoch of a loader. Nothing happens before the first `next`; closing it in the middle ends its epoch.

    Args:
        epochs: to take one of.
        leased: whether small arrays, too, may lie in the slot.
        peek: whether it only looks: then the epoch starts again when this is closed.
    """

    def __init__(self, epochs: Epochs, leased: bool = False, peek: bool = False) -> None:
        self._epochs = epochs
        self._position = epochs._position
        self._leased = leased
        self._peek = peek
        self._token: int | None = None  # that of the position, from the first `next` on
        self._over = False
        self._plain = False

    def __iter__(self) -> EpochIterator:
        return self

    def __next__(self) -> Sample:
        arrays = self.arrays()
        return arrays if self._plain else self._epochs.spec.unflatten(arrays)

    def arrays(self) -> tuple[Array, ...]:
        """Return the arrays of the next batch, flat. Raises StopIteration at the end."""
        if self._over:
            raise StopIteration
        position = self._position
        if self._token != position.token:
            self._enter()
        try:
            arrays = position.take(self._leased)
        except IterationError:  # two threads at once: this one has taken nothing, and the other one continues
            raise
        except LoaderClosed:  # in a fork, or closed by a signal handler meanwhile; the next call raises it again
            raise
        except BaseException:  # Ctrl-C, too, may have hit in the middle of a batch
            self.close(failed=True)
            raise
        if position.stage is Stage.OUTSIDE:
            self._over = True
        return arrays

    def _enter(self) -> None:
        self._epochs._check_open()
        if self._token is not None:
            raise IterationError(f"this iterator has ended: a newer iterator of {self._epochs.name} has started its epoch, or a state was loaded")
        self._token = self._position.begin(self._peek)
        self._plain = self._epochs.spec.plain

    def close(self, *, failed: bool = False) -> None:
        """End the epoch, if it has begun and is not over; or start it again, if this only looked.

        Args:
            failed: whether taking a batch did.
        """
        self._over = True
        if self._token == self._position.token:
            self._position.leave(failed=failed)

    def __reduce__(self) -> Any:
        return self._epochs.__reduce__()  # an error; a copy would end the epoch of this one

    def __del__(self) -> None:
        self.close()
