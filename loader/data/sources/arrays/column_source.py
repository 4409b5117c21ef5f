"""A source whose samples are rows of columns: how `NpyArrays`, `RawArray` and `Windows` are read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from loader.data.rows import BadSample, Indices
from loader.data.sources.arrays.array_column import ArrayColumn
from loader.data.sources.far_data import FarSpans
from loader.data.sources.joined import sums_differ
from loader.data.sources.shapes.shape_table import same_shapes
from loader.data.sources.source import Source, with_members
from loader.data.spec import Array, Leaf, Sample, SampleSpec

if TYPE_CHECKING:
    from loader.data.remote.fetcher import Fetcher

# A larger row is copied once more sooner than it is looked up by itself (docs/measurements.md).
_GATHERED_BYTES = 8192


def is_of_rows(source: Source) -> bool:
    """Whether all samples of a source are rows of arrays, and so of one shape."""
    return all(isinstance(member, ColumnSource) for member in with_members(source) if not member.members())


def gathers_rows(source: Source) -> bool:
    """Whether rows of a source are read sooner together than one by one, and come out the same: small ones of one kind, on this machine."""
    if not is_of_rows(source) or source.rows_at_once or sums_differ(source):
        return False
    own = [type(member) for member in with_members(source) if not member.members()]
    return source.spec.nbytes <= _GATHERED_BYTES and all(kind.sample is ColumnSource.sample and kind.fetch is Source.fetch for kind in own)


class ColumnSource(Source):
    """Samples that are rows: row n of each of its columns, one for each array of a sample.

    A subclass says in its constructor which columns there are.
    """

    _leaves: list[Leaf]
    _columns: list[ArrayColumn]

    def __len__(self) -> int:
        return len(self._columns[0])

    def sample(self, index: int) -> Sample:
        return self.spec.unflatten([column.row(index) for column in self._columns])

    @cached_property
    def spec(self) -> SampleSpec:
        """Names, shapes and dtypes of a sample, from the headers."""
        return SampleSpec(tuple(self._leaves))

    def header_spec(self) -> SampleSpec:
        return self.spec

    def read(self, indices: Indices, out: Sequence[Array]) -> None:
        try:
            self._read(indices, out, None)
        except BadSample as bad:
            # A later column, or a file that came earlier, may be unread in rows before the bad one; they must be whole.
            row = int(np.flatnonzero(indices == bad.index)[0])
            self.read(indices[:row], [target[:row] for target in out])
            raise

    def read_at(self, indices: Indices, out: Sequence[Array], places: Indices) -> None:
        self._read(indices, out, places)

    def _read(self, indices: Indices, out: Sequence[Array], places: Indices | None) -> None:
        for leaf, column, target in zip(self._leaves, self._columns, out, strict=True):
            try:
                column.read(indices, target, places)
            except BadSample as bad:
                raise BadSample(bad.index, leaf.name, column.name_of(bad.index)) from bad.__cause__

    def views(self, indices: Indices) -> list[list[Array]] | None:
        found = []
        for leaf, column in zip(self._leaves, self._columns, strict=True):
            try:
                rows = column.views(indices)
            except BadSample as bad:
                raise BadSample(bad.index, leaf.name, column.name_of(bad.index)) from bad.__cause__
            if rows is None:
                return None
            found.append(rows)
        return found

    def shapes_at(self, indices: Indices, look: object) -> list[Indices]:
        return same_shapes(self.spec.leaves, len(indices))

    def will_read(self, indices: Indices) -> None:
        for column in self._columns:
            column.will_read(indices)

    def far_spans(self, indices: Indices) -> FarSpans:
        return [found for column in self._columns for found in column.far_spans(indices)]

    def fetchers(self) -> list[Fetcher]:
        return [column.fetcher for column in self._columns if column.fetcher is not None]

    def versions(self) -> Indices | None:
        found = [versions for column in self._columns if (versions := column.versions()) is not None]
        return np.concatenate(found) if found else None

    def name_of(self, index: int) -> str | None:
        return self._columns[0].name_of(index)

    def open(self) -> None:
        for column in self._columns:
            column.open()

    def labels(self) -> Array | None:
        found = [column for leaf, column in zip(self._leaves, self._columns, strict=True) if leaf.part == 1]
        return found[0].whole() if len(found) == 1 else None

    def single_column(self) -> ArrayColumn | None:
        """Return the column of a source whose samples are one array, and not in a dict; None for any other."""
        return self._columns[0] if len(self._columns) == 1 and self._leaves[0].key is None else None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self):,} rows, {', '.join(map(str, self._leaves))})"
