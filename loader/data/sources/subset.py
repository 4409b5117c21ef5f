"""Some samples of a source, in a given order, and which samples a subset means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from loader.data.rows import BadSample, Indices
from loader.data.sources.far_data import FarSpans
from loader.data.sources.members import paths_of, read_into
from loader.data.sources.source import Source, is_in_order
from loader.data.spec import Array, Sample, SampleSpec
from loader.errors import ConfigError


class Subset(Source):
    """Some samples of another source, in a given order.

    Attributes:
        is_side: whether a split has chosen them.
    """

    def __init__(self, source: Source, indices: npt.ArrayLike, *, is_side: bool = False) -> None:
        if is_in_order(source):
            raise ConfigError(
                f"{source!r} has no subsets and no split, because a generator is read from start to end; make a generator for each part"
            )
        self._indices: Indices = as_indices(indices, len(source))
        self._source = source
        self.is_side = is_side

    @property
    def whole(self) -> Source:
        """The source that the samples are some of."""
        return self._source

    def of(self, source: Source) -> Subset:
        """Return the same samples of another source."""
        return Subset(source, self._indices, is_side=self.is_side)

    def __len__(self) -> int:
        return len(self._indices)

    def sample(self, index: int) -> Sample:
        return self._source.sample(int(self._indices[index]))

    def fetch(self, index: int) -> Sample:
        try:
            return self._source.fetch(int(self._indices[index]))
        except BadSample as bad:
            raise bad.at(index) from bad.__cause__

    @cached_property
    def spec(self) -> SampleSpec:
        return self._source.spec

    def learn_from(self, index: int) -> None:
        super().learn_from(index)
        self._source.learn_from(int(self._indices[index]))

    def header_spec(self) -> SampleSpec | None:
        return self._source.header_spec()

    def members(self) -> Sequence[Source]:
        return (self._source,)

    def read(self, indices: Indices, out: Sequence[Array]) -> None:
        self._read(indices, out, None)

    def read_at(self, indices: Indices, out: Sequence[Array], places: Indices) -> None:
        self._read(indices, out, places)

    def _read(self, indices: Indices, out: Sequence[Array], places: Indices | None) -> None:
        try:
            read_into(self._source, self._indices[indices], out, places)
        except BadSample as bad:
            found = np.flatnonzero(self._indices[indices] == bad.index)
            raise bad.at(int(indices[found[0]])) from bad.__cause__

    def views(self, indices: Indices) -> list[list[Array]] | None:
        try:
            return self._source.views(self._indices[indices])
        except BadSample as bad:
            found = np.flatnonzero(self._indices[indices] == bad.index)
            raise bad.at(int(indices[found[0]])) from bad.__cause__

    def will_read(self, indices: Indices) -> None:
        self._source.will_read(self._indices[indices])

    def far_spans(self, indices: Indices) -> FarSpans:
        return self._source.far_spans(self._indices[indices])

    def name_of(self, index: int) -> str | None:
        return self._source.name_of(int(self._indices[index]))

    @property
    def paths(self) -> list[str]:
        """The paths of all samples, in order, where these are files."""
        paths = paths_of(self._source)
        return [paths[index] for index in self._indices.tolist()]

    def ids(self) -> list[str] | None:
        ids = self._source.ids()
        return None if ids is None else [ids[index] for index in self._indices.tolist()]

    def open(self) -> None:
        self._source.open()

    def shape_of(self, index: int) -> Sequence[tuple[int, ...]]:
        return self._source.shape_of(int(self._indices[index]))

    def shapes_at(self, indices: Indices, look: Callable[[Source, Indices], list[Indices]]) -> list[Indices]:
        return self._source.shapes_at(self._indices[indices], look)

    def labels(self) -> Array | None:
        labels = self._source.labels()
        return None if labels is None else labels[self._indices]

    def __repr__(self) -> str:
        return f"{self._source!r}.subset({len(self):,} of {len(self._source):,})"


def as_indices(given: npt.ArrayLike, samples: int) -> npt.NDArray[np.int64]:
    """Return indices as given to `subset`, from 0 up. Raises ConfigError for what are none.

    Args:
        given: indices, negative ones from the end, or a boolean mask.
        samples: in the source.
    """
    try:
        chosen: npt.NDArray[Any] = np.asarray(given)
    except ValueError:
        raise ConfigError(f"indices must be a flat list of integers or a boolean mask, not {given!r}") from None
    if chosen.dtype == bool:
        if chosen.shape != (samples,):
            raise ConfigError(f"a mask of shape {chosen.shape} for {samples} samples")
        chosen = np.flatnonzero(chosen)
    if chosen.ndim != 1 or (chosen.size and chosen.dtype.kind not in "iu"):
        what = f"shape {chosen.shape} of {chosen.dtype}" if chosen.ndim else repr(given)
        raise ConfigError(f"indices must be a flat list of integers or a boolean mask, not {what}; for the first n: range(n)")
    if chosen.size and not (-samples <= chosen.min() and chosen.max() < samples):
        raise ConfigError(f"indices from {chosen.min()} to {chosen.max()} for {samples} samples")
    return chosen.astype(np.int64) % max(samples, 1)
