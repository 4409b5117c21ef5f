"""The lengths that batches have if each is padded to its longest sample (`Pad(length="batch")`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np

from loader.data.plans.buckets import Buckets
from loader.data.sources.shapes.shape_table import UNKNOWN
from loader.data.sources.source import Source
from loader.data.transforms import Pad
from loader.errors import ConfigError

# Each length is a layout that all processes know, which takes 0.1 ms at the start (docs/measurements.md).
_MOST_LENGTHS = 4096


class BatchLengths(Buckets):
    """All lengths that a batch can have, as if each were a bucket: a sample needs a batch of its own number, or a later one."""

    setting: ClassVar[str] = "Pad(length='batch')"
    name: ClassVar[str] = "Pad"
    value_name: ClassVar[str] = "value"
    by_length: ClassVar[bool] = False

    @classmethod
    def of_pad(cls, pad: Pad, source: Source, workers: int | Literal["auto"], substitute: bool = False) -> BatchLengths:
        """Return the lengths that batches of `source` have. Blocks as `known` does.

        Args:
            pad: has the settings, of the form `Pad(length="batch")`.
            source: of the samples.
            workers: that look at shapes.
            substitute: whether other samples take the place of bad ones. Then those that have no shape are as long as the longest.

        Raises:
            ConfigError: there is not one length for each sample, or there are too many different ones.
            SampleError: samples have no shape.
        """
        wanted = pad.longest
        assert wanted is not None
        asking = cls([1], wanted.axis, pad.fields, wanted.lengths)
        lengths, step = asking.lengths_of(source, workers, substitute), wanted.multiple_of
        lengths[lengths == UNKNOWN] = lengths.max()
        edges = np.unique(np.maximum(-(-lengths // step), 1)) * step
        if len(edges) > _MOST_LENGTHS:
            fewer = int(edges[-1]) // _MOST_LENGTHS + 1
            raise ConfigError(
                f"{cls.setting}: batches could have {len(edges):,} different lengths, and at most {_MOST_LENGTHS:,} are kept apart. "
                f"What to do: round them up, Pad(..., multiple_of={1 << (fewer - 1).bit_length()})"
            )
        return cls(edges.tolist(), wanted.axis, pad.fields, lengths, "error", pad.value, wanted.mask)

    def fingerprint(self, sizes: Sequence[int]) -> str:
        """Return a hash of everything that decides what is in a batch, other than that of buckets of the same lengths."""
        return f"batch-{super().fingerprint(sizes)}"

    def __repr__(self) -> str:
        return self.setting
