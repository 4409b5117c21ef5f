"""The shapes of samples as samples themselves, so that a loader's pool finds them out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from loader.data.rows import Indices
from loader.data.sources.shapes.shape_table import UNKNOWN, flattened, width_of
from loader.data.sources.source import Source
from loader.data.spec import Leaf, Sample, SampleSpec


class ShapeSource(Source):
    """For each of some samples of a source, its shapes in a row of int64. A sample that has none is a row of UNKNOWN: all of them are found at once.

    Args:
        source: whose first sample, at least, can be read.
        indices: which of its samples.
    """

    def __init__(self, source: Source, indices: Indices) -> None:
        self._source = source
        self._indices = indices
        self._leaves = source.spec.leaves
        self._width = width_of(self._leaves)
        self._spec = SampleSpec((Leaf(0, None, (self._width,), np.dtype(np.int64)),))

    def __len__(self) -> int:
        return len(self._indices)

    @property
    def spec(self) -> SampleSpec:
        """One row."""
        return self._spec

    def header_spec(self) -> SampleSpec:
        return self.spec

    def members(self) -> Sequence[Source]:
        return (self._source,)

    def open(self) -> None:
        self._source.open()

    def sample(self, index: int) -> Sample:
        try:
            return (self.row(index),)
        except MemoryError:  # of this worker, not of the sample: the pool tries it again with more
            raise
        except Exception:
            return (np.full(self._width, UNKNOWN, np.int64),)

    def row(self, index: int) -> Indices:
        """Return the shapes of a sample, or raise what is wrong with it."""
        return np.array(flattened(self._source.shape_of(int(self._indices[index])), self._leaves), np.int64)

    def name_of(self, index: int) -> str | None:
        return self._source.name_of(int(self._indices[index]))
