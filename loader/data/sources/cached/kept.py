"""All samples that a cache keeps, as one process sees them: those that look like the first one in columns, and those of other sizes."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from loader.config import brief_size
from loader.data.rows import BadSample, Indices
from loader.data.sources.cached.other_sizes import OtherSizes
from loader.data.sources.cached.records import Records
from loader.data.spec import MAKE_ALIKE, Array, Sample, SampleSpec

_log = logging.getLogger("loader.cache")


class Kept:
    """Kept samples.

    Args:
        spec: of the first sample.
        records: those that look like it.
        others: those of other sizes; None where there is no place for them.
        most_bytes: that all may take; None for any number.
        counted_alike: whether that is so because all samples were taken to be like the first one.
    """

    def __init__(self, spec: SampleSpec, records: Records, others: OtherSizes | None, most_bytes: int | None, *, counted_alike: bool = False) -> None:
        self._spec = spec
        self.records = records
        self.others = others
        self._most_bytes = most_bytes
        self._counted_alike = counted_alike
        self._told = False
        self._shapes = [leaf.shape for leaf in spec.leaves]

    def find(self, index: int) -> Sample | None:
        """Return a sample as new arrays; None if it is not there."""
        other = None if self.others is None else self.others.find(index)
        if other is not None:
            return self._spec.unflatten([array[()] for array in other])
        row = [np.empty((1, *leaf.shape), leaf.dtype) for leaf in self._spec.leaves]
        if self.records.find(np.array([index]), row, None) is None:
            return self._spec.unflatten([array[0] for array in row])
        return None

    def refuse_others(self, indices: Indices) -> None:
        """Raise BadSample if one of some samples is here and does not fit into rows of the first one's size."""
        others = None if self.others is None else self.others.here(indices)
        if others is not None and others.any():
            raise BadSample(int(indices[others.argmax()])) from ValueError(f"it has another size than the first sample, {self._spec}; {MAKE_ALIKE}")

    def add_rows(self, indices: Indices, out: Sequence[Array], rows: Indices) -> None:
        """Keep samples that look like the first one: rows of `out`."""
        for index, row in zip(indices.tolist(), rows.tolist(), strict=True):
            self._add_row(index, [target[row : row + 1] for target in out])

    def add(self, index: int, arrays: Sequence[Array]) -> None:
        """Keep a sample of any size."""
        ordered = [np.asarray(array, order="C") for array in arrays]
        if [array.shape for array in ordered] == self._shapes:
            self._add_row(index, [array[None] for array in ordered])
        elif self.others is not None and self._is_room(sum(array.nbytes for array in ordered)):
            self.others.add(index, ordered)
        elif self._counted_alike and not self._told:
            self._told = True
            _log.warning(
                "the cache in memory is full: %s were counted, as if all samples had the size of the first one. Those that have no room are made "
                "each time. What to do: cache(folder)",
                brief_size(self._most_bytes or 0),
            )

    def will_read(self, indices: Indices, *, columns: bool) -> Indices:
        """Ask the system to fetch samples that are here; return the others.

        Args:
            indices: of samples.
            columns: whether the columns are files.
        """
        here = self.records.present.take(indices)
        for column in self.records.columns if columns else ():
            column.will_read(indices[here])
        left = indices[~here]
        return left if self.others is None or not len(left) else left[~self.others.will_read(left)]

    def _add_row(self, index: int, row: Sequence[Array]) -> None:
        if index < self.records.room and (self.others is None or not self.others.nbytes or self._is_room(sum(array.nbytes for array in row))):
            self.records.add(index, row)

    def _is_room(self, nbytes: int) -> bool:
        if self._most_bytes is None or self.others is None:
            return True
        return self.records.used * self._spec.nbytes + self.others.nbytes + nbytes <= self._most_bytes
