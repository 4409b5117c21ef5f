"""The head of a pipeline whose source is a cache: the transforms that run before samples are kept.

It ends with the last built-in transform that is worth it (`LeafTransform.kept`), and nothing in it draws or is code of the user's, which might. Each
head has a cache of its own, so that training may cut at another place than validation.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from loader.data.pipeline.leaf_segment import LeafSegment
from loader.data.pipeline.segments import Rows, Transform
from loader.data.pipeline.sizing import first_segment
from loader.data.rng import SampleGenerator
from loader.data.rows import Indices, gauge_of
from loader.data.sources.cached.cached import Cached
from loader.data.sources.cached.identity import Identity
from loader.data.sources.source import Source
from loader.data.sources.subset import Subset
from loader.data.spec import Array, Sample, SampleSpec
from loader.data.transforms import LeafTransform

_CHUNK_BYTES = 1024 * 1024


def cut(source: Source, transforms: Sequence[Transform]) -> tuple[Source, int]:
    """Return a source that does the first of some transforms itself, before it keeps samples, and how many of them.

    A source that keeps none, or is made of several that do, is returned as it is, with 0.
    """
    if isinstance(source, Subset):
        inner, taken = cut(source.whole, transforms)
        return (source.of(inner), taken) if taken else (source, 0)
    taken = head(transforms) if isinstance(source, Cached) else 0
    if not taken or not isinstance(source, Cached):
        return source, 0
    first = [transform for transform in transforms[:taken] if isinstance(transform, LeafTransform)]
    return source.of(
        Headed(source.made_of, first), "-".join(type(transform).__name__ for transform in first), repr(Identity.of(first, "").facts)
    ), taken


def head(transforms: Sequence[Transform]) -> int:
    """Return how many transforms run before samples are kept."""
    taken = 0
    for number, transform in enumerate(transforms, 1):
        if not isinstance(transform, LeafTransform) or transform.random:
            break
        taken = number if transform.kept else taken
    return taken


class Headed(Source):
    """The samples of another source, behind built-in transforms that draw nothing.

    Args:
        source: of the samples.
        transforms: in this order.
    """

    decodes = True  # as for what it tells `watch`

    def __init__(self, source: Source, transforms: Sequence[LeafTransform]) -> None:
        self._source = source
        self._transforms = transforms

    @cached_property
    def _segment(self) -> LeafSegment:
        return first_segment(list(enumerate(self._transforms)), self._source, self._source.spec, SampleGenerator(0))

    def __len__(self) -> int:
        return len(self._source)

    @cached_property
    def spec(self) -> SampleSpec:
        return self._segment.result

    def learn_from(self, index: int) -> None:
        super().learn_from(index)
        vars(self).pop("_segment", None)
        self._source.learn_from(index)

    def sample(self, index: int) -> Sample:
        row = [np.empty((1, *leaf.shape), leaf.dtype) for leaf in self.spec.leaves]
        self.read(np.array([index]), row)
        return self.spec.unflatten([array[0] for array in row])

    def read(self, indices: Indices, out: Sequence[Array]) -> None:
        cell, first = gauge_of(out)
        step = max(1, _CHUNK_BYTES // max(1, self._segment.scratch_bytes))
        for start in range(0, len(indices), step):
            rows = Rows(self._source, indices[start : start + step], 0, cell, first + start, watch=self.watch)
            self._segment.run(rows, [target[start : start + step] for target in out])

    def open(self) -> None:
        self._source.open()
        for transform in self._transforms:
            transform.open()

    def will_read(self, indices: Indices) -> None:
        self._source.will_read(indices)

    def members(self) -> Sequence[Source]:
        return (self._source,)

    def name_of(self, index: int) -> str | None:
        return self._source.name_of(index)

    def ids(self) -> list[str] | None:
        return self._source.ids()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_segment"}

    def __repr__(self) -> str:
        return f"{self._source!r} behind {', '.join(map(repr, self._transforms))}"
