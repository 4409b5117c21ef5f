"""One array of `NpyArrays`, a row per sample: in memory, in a file, or in several files one after the other."""

from __future__ import annotations

import math
import mmap
import sys
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from loader.data.copy_rows import by_part, gather, gather_at, is_direct, items_of
from loader.data.npy.file_io import will_read
from loader.data.rows import BadSample, Indices
from loader.data.sources.arrays.adjoined import adjoin
from loader.data.sources.arrays.stored_array import StoredArray
from loader.data.sources.far_data import FarSpans
from loader.data.spec import Array
from loader.errors import LabelError, NpyError
from loader.machine import page_cache_bytes

if TYPE_CHECKING:
    from loader.data.remote.fetcher import Fetcher

# Before 3.13, Python keeps a descriptor open for every mapping, and the usual limit is 1,024 of them in a process.
MAX_MAPPED = 4096 if sys.version_info >= (3, 13) else 192
"""Files of one column that a process has mapped at a time; where there are more, the one mapped first is given up for the next."""

_MAX_MAPPED_AHEAD = 64  # files that are mapped before the workers are forked; more of them are mapped when their turn comes
_MAX_COPIED_BYTES = 64 << 20  # 20 ms
_FETCHED_ALONE_BYTES = 64 << 10  # around smaller rows, the kernel reads more than asked for, which is faster (docs/measurements.md)
_MIN_ROWS_PER_PART = 8  # with fewer, rows of several files are copied one by one: sorting them by file costs some 5 µs a file


class ArrayColumn:
    """Rows from one or several parts of one row shape and dtype. Files are mapped read-only by each process; no mapping travels in a pickle.

    Args:
        parts: an array in memory (C-contiguous, native, aligned) or places in files, joined on axis 0.

    Attributes:
        shape: of a row.
        dtype: native byte order.
        parts: as given.
        ends: number of the row after the last one of each part, of shape `(parts,)`.
        fetcher: what brings the rows if they are far away; else None.
    """

    fetcher: Fetcher | None = None

    def versions(self) -> Indices | None:
        """Return None: files of this machine have none."""
        return None

    def far_spans(self, indices: Indices) -> FarSpans:
        """Return what is fetched for rows; nothing."""
        return ()

    def __init__(self, parts: Sequence[StoredArray | Array]) -> None:
        first = parts[0]
        self.shape = tuple(first.shape[1:])
        self.dtype: np.dtype[Any] = first.dtype.newbyteorder("=")
        for part in parts:
            self._check(part, first)
        self.parts = tuple(parts)
        self.ends: Indices = np.cumsum([part.shape[0] for part in parts], dtype=np.int64)
        self._known: dict[int, tuple[Array, Array | None]] = {}

    @classmethod
    def joined(cls, columns: Sequence[ArrayColumn]) -> ArrayColumn:
        """Return a column of the rows of several, which share row shape and dtype. Small arrays in memory become one, which is read fastest."""
        parts = [part for column in columns for part in column.parts]
        arrays = [part for part in parts if not isinstance(part, StoredArray)]
        if len(arrays) == len(parts) and sum(array.nbytes for array in arrays) <= _MAX_COPIED_BYTES:
            return cls([np.concatenate(arrays)])
        return cls(parts)

    def _check(self, part: StoredArray | Array, first: StoredArray | Array) -> None:
        if not part.shape:
            problem = "is a single value, shape (), that has no rows"
            raise NpyError(part.path, problem) if isinstance(part, StoredArray) else LabelError(f"an array of x, y or sample_weight {problem}")
        if isinstance(part, StoredArray) and (tuple(part.shape[1:]) != self.shape or part.dtype.newbyteorder("=") != self.dtype):
            there = first.path if isinstance(first, StoredArray) else "an array in memory"
            raise NpyError(
                part.path,
                f"has rows of shape {part.shape[1:]} and dtype {part.dtype.name}, but the first file, {there}, has rows of shape {self.shape} "
                f"and dtype {self.dtype.name}. Files that are joined must have rows of one kind: convert this one, or leave it out",
            )

    def __len__(self) -> int:
        return int(self.ends[-1])

    def read(self, indices: Indices, out: Array, places: Indices | None = None) -> None:
        """Copy the rows `indices` to `out`, C-contiguous and of the column's dtype; to its rows `places`, where these are given.

        Raises:
            BadSample: names the first row of a file that can't be mapped.
        """
        if len(self.parts) == 1:
            if len(indices):
                self._copy(0, indices, indices, out, places)
        elif self._adjoined is not None:
            array, items, shifts = self._adjoined
            _copy(array, items, indices + shifts[self.ends.searchsorted(indices, side="right")], out, places)
        elif len(indices) < _MIN_ROWS_PER_PART * len(self.parts):
            self._read_one_by_one(indices, out, range(len(indices)) if places is None else places.tolist())
        else:
            for part, rows, found in by_part(self.ends, indices):
                self._copy(part, indices[found], rows, out, found if places is None else places[found])

    def views(self, indices: Indices) -> list[Array] | None:
        """Return the rows `indices` where they lie, to be looked at; None if they would have to be converted. Raises BadSample as `read` does."""
        if len(self.parts) == 1:
            array = self._array(0, indices)[0]
            return [array[row] for row in indices.tolist()] if is_direct(array[:1]) else None
        parts = np.searchsorted(self.ends, indices, side="right")
        rows = indices - self.ends[parts]  # counted from the end of the part: negative, as numpy understands it
        found = [self._array(part, indices[number:])[0][row] for number, (part, row) in enumerate(zip(parts.tolist(), rows.tolist(), strict=True))]
        return found if all(map(is_direct, found)) else None

    def will_read(self, indices: Indices) -> None:
        """Ask the kernel to fetch rows of files, as `Source.will_read` says; scattered small ones only if memory can't hold all rows."""
        for number, rows, _ in by_part(self.ends, indices):
            part = self.parts[number]
            if isinstance(part, StoredArray):
                if self._exceeds_memory and number in self._known and isinstance(mapping := self._known[number][0].base, mmap.mmap):
                    # Data read around a row would push out what was asked for: 1,500 rows/s instead of 5,900 (docs/measurements.md).
                    mapping.madvise(mmap.MADV_RANDOM)
                spans = part.spans(rows)
                if self._row_bytes >= _FETCHED_ALONE_BYTES or 2 * len(spans) <= len(rows) or self._exceeds_memory:
                    will_read(part.path, spans)

    def row(self, index: int) -> Any:
        """Return a copy of one row: an array, or a scalar if rows have the shape (). Raises NpyError, OSError."""
        part = int(np.searchsorted(self.ends, index, side="right")) if len(self.parts) > 1 else 0
        value = self._part(part)[0][index - self.ends.item(part)]  # counted from the part's end, so negative
        return np.array(value, self.dtype, order="C") if self.shape else value  # a scalar is native and nobody's to change

    def whole(self) -> Array | None:
        """Return one array of all rows, if their bytes suit a slot: C-contiguous, native, aligned; else None. Several parts are copied."""
        arrays = [self._part(part)[0] for part in range(len(self.parts))]
        if not all(map(is_direct, arrays)):
            return None
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)

    def open(self) -> None:
        """Map the files, unless they are very many. Raises NpyError, OSError."""
        if len(self.parts) <= _MAX_MAPPED_AHEAD and self._adjoined is None:
            for part in range(len(self.parts)):
                self._part(part)

    def name_of(self, index: int) -> str | None:
        """Return the file and the row in it that a row comes from; None for an array in memory."""
        part, row = self.locate(index)
        return f"{part.path}, row {row}" if isinstance(part, StoredArray) else None

    def locate(self, index: int) -> tuple[StoredArray | Array, int]:
        """Return the part that a row is in, and its number there."""
        number = int(np.searchsorted(self.ends, index, side="right"))
        part = self.parts[number]
        return part, index - int(self.ends[number]) + part.shape[0]

    def describe(self) -> str:
        """Return in a few words where the rows are."""
        first = self.parts[0]
        if not isinstance(first, StoredArray):
            return f"an array {first.shape} {first.dtype.name}"
        return first.path if len(self.parts) == 1 else f"{first.path} and {len(self.parts) - 1:,} more"

    @property
    def _row_bytes(self) -> int:
        return int(math.prod(self.shape) * self.dtype.itemsize)

    @cached_property
    def _exceeds_memory(self) -> bool:
        """Whether the page cache can't hold all rows: then what lies around a row is gone before anyone reads it."""
        return len(self) * self._row_bytes > page_cache_bytes()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_adjoined"} | {"_known": {}}

    @cached_property
    def _adjoined(self) -> tuple[Array, Array | None, Indices] | None:
        """An array of the rows of all files and of gaps between them, its `items_of`, and what to add to a row of each file; None without one."""
        stored = [part for part in self.parts if isinstance(part, StoredArray)]
        if len(stored) < len(self.parts) or not 1 < len(stored) <= _MAX_MAPPED_AHEAD or (adjoined := adjoin(stored)) is None:
            return None
        starts = adjoined.starts.tolist()
        views = [adjoined.array[start : start + part.shape[0]] for start, part in zip(starts, stored, strict=True)]
        self._known = {number: (view, items_of(view)) for number, view in enumerate(views)}
        return adjoined.array, items_of(adjoined.array), adjoined.starts - np.append(0, self.ends[:-1])

    def _copy(self, part: int, indices: Indices, rows: Indices, out: Array, places: Indices | None) -> None:
        """Copy `rows` of a part, which are the column's rows `indices`."""
        _copy(*self._array(part, indices), rows, out, places)

    def _read_one_by_one(self, indices: Indices, out: Array, places: Iterable[int]) -> None:
        parts = np.searchsorted(self.ends, indices, side="right")
        rows = indices - self.ends[parts]  # counted from the end of the part: negative, as numpy understands it
        for number, (place, part, row) in enumerate(zip(places, parts.tolist(), rows.tolist(), strict=True)):
            out[place] = self._array(part, indices[number:])[0][row]

    def _array(self, part: int, indices: Indices) -> tuple[Array, Array | None]:
        """Return a part for the rows `indices`, the first of which is accused if it can't be mapped."""
        try:
            return self._part(part)
        except (NpyError, OSError) as error:
            raise BadSample(int(indices[0])) from error

    def _part(self, number: int) -> tuple[Array, Array | None]:
        """Return the array of a part, and its `items_of`."""
        known = self._known.get(number)
        if known is None:
            part = self.parts[number]
            array = part.map() if isinstance(part, StoredArray) else part
            if len(self._known) >= MAX_MAPPED:
                self._known.pop(next(iter(self._known)))
            known = self._known[number] = array, items_of(array)
        return known


def _copy(array: Array, items: Array | None, rows: Indices, out: Array, places: Indices | None) -> None:
    if places is None:
        gather(array, items, rows, out)
    else:
        gather_at(array, items, rows, out, places)
