"""A model by itself: a few batches in memory, fed again and again in the way that a loader feeds them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from loader.data.layout import aligned_empty, common_shape
from loader.data.spec import Array, Sample, SampleSpec
from loader.train.keras.adapter import KerasAdapter
from loader.train.keras.feed import FlatBatches
from loader.train.loader import Loader
from loader.watch.session import leaves

_MOST_BATCHES = 16
_MOST_BYTES = 256 << 20


class Replay(KerasAdapter):
    """What `fit` gets instead of a loader: the same conversion to the framework's arrays, and no waiting. It has no end.

    Args:
        batches: arrays of one batch or more, flat; each at a multiple of 64 bytes.
        spec: of the loader that they came from.
    """

    def __init__(self, batches: Sequence[tuple[Array, ...]], spec: SampleSpec) -> None:
        self.name = "a replay"
        self._spec = spec
        self._batches = batches

    @classmethod
    def of(cls, loader: Loader) -> Replay:
        """Copy the batches of a loader's next epoch: 16 of them, or what fits into 256 MiB, or all."""
        taken: list[tuple[Array, ...]] = []
        for batch in itertools.islice(loader, _MOST_BATCHES):
            taken.append(tuple(_copy(leaf) for leaf in leaves(batch)))
            if sum(leaf.nbytes for arrays in taken for leaf in arrays) > _MOST_BYTES:
                break
        return cls(taken, loader.spec)

    def batches(self) -> Iterator[Sample]:
        """Yield the batches as numpy arrays, endlessly."""
        return map(self.spec.unflatten, itertools.cycle(self._batches))

    def epoch_iterator(self, *, leased: bool, peek: bool = False) -> FlatBatches:
        """Return what `Loader.epoch_iterator` does, for the adapter."""
        return _Cycle(self._batches)

    @property
    def spec(self) -> SampleSpec:
        """Names, shapes and dtypes, as those of the loader."""
        return self._spec

    @property
    def batch_size(self) -> int:
        """Rows of the first batch."""
        return len(self._batches[0][0])

    @property
    def has_partial_batch(self) -> bool:
        """Whether batches differ in size."""
        return len({len(arrays[0]) for arrays in self._batches}) > 1

    @property
    def batch_shapes(self) -> list[tuple[int | None, ...]]:
        """Shape of each array of a batch, with None for the axes in which batches differ."""
        return [common_shape(array.shape for array in arrays) for arrays in zip(*self._batches, strict=True)]

    @property
    def shapes(self) -> int:
        """How many shapes batches have."""
        return len({tuple(array.shape for array in arrays) for arrays in self._batches})

    @property
    def by_length(self) -> bool:
        """Whether samples come in another order than that of a source: they come as they are."""
        return False

    @property
    def batches_left(self) -> int:
        """Batches until the first one comes again."""
        return len(self._batches)

    @property
    def shuffles(self) -> bool:
        """Whether the order is new each time: it is not."""
        return False

    @property
    def left_out(self) -> int:
        """Samples that are not handed out: none."""
        return 0

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Sample]:
        return map(self.spec.unflatten, self._batches)

    def on_epoch_begin(self) -> None:
        """Do nothing: nothing is resumed here."""


class _Cycle:
    def __init__(self, batches: Sequence[tuple[Array, ...]]) -> None:
        self._endless = itertools.cycle(batches)

    def arrays(self) -> tuple[Array, ...]:
        return next(self._endless)


def _copy(leaf: Array) -> Array:
    copied = aligned_empty(leaf.shape, leaf.dtype)
    copied[...] = leaf
    return copied
