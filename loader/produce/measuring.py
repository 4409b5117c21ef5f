"""What workers do for `source.statistics()`: in the place of each array of a sample, they deliver what `measure_rows` says of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from loader.data.spec import PART_NAMES, Array, Leaf, Sample, SampleSpec
from loader.data.statistics.row_moments import channels_of, measure_rows, width_of
from loader.data.transforms import LeafTransform
from loader.errors import ConfigError


class RowMeasure(LeafTransform):
    """Measures rows of one shape, many at once.

    Args:
        spec: of the samples.
    """

    def __init__(self, spec: SampleSpec) -> None:
        super().__init__(PART_NAMES[: len(spec.parts)])

    def result(self, leaf: Leaf) -> Leaf:
        if leaf.dtype.kind == "c":
            raise ConfigError(f"statistics: {leaf} is complex; split it in a transform, statistics(transforms=[...])")
        return Leaf(leaf.part, leaf.key, (width_of(leaf.shape),), np.dtype(np.int64))

    def apply(self, rows: Array, out: Array, draws: Sequence[Any]) -> None:
        measure_rows(rows, out)


class SampleMeasure:
    """Measures one sample after the other, whose sizes may differ.

    Args:
        spec: of the first sample, which has the dtypes, dimensions and channels of all.
    """

    def __init__(self, spec: SampleSpec) -> None:
        self._first = spec
        self._measure = RowMeasure(spec)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return the measures. Raises ValueError if the sample differs in more than its sizes."""
        spec = SampleSpec.of(sample)
        for leaf, first in zip_longest(spec.leaves, self._first.leaves):
            if leaf is None or first is None or _form(leaf) != _form(first):
                raise ValueError(
                    f"it is {spec}, but the first sample is {self._first}; statistics need the same arrays in all samples, each with one dtype, "
                    "number of dimensions and number of channels"
                )
        return self._measure(sample, rng)


def _form(leaf: Leaf) -> tuple[object, ...]:
    return leaf.part, leaf.key, leaf.dtype, len(leaf.shape), channels_of(leaf.shape)
