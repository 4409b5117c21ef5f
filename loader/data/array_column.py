"""One array of `NpyArrays`, a row per sample: in memory, in a file, or in several files one after the other."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from loader.data.source import BadSample, Indices
from loader.data.spec import Array
from loader.data.stored_array import StoredArray
from loader.errors import LabelError, NpyError

# Before 3.13, Python keeps a descriptor open for every mapping, and the usual limit is 1,024 of them in a process.
MAX_MAPPED = 4096 if sys.version_info >= (3, 13) else 192
"""Files of one column that a process has mapped at a time; where there are more, the one mapped first is given up for the next."""

_MAX_MAPPED_AHEAD = 64  # files that are mapped before the workers are forked; more of them are mapped when their turn comes
# With several files, rows are gathered file by file (2.5 µs a file, two copies) or one by one (0.4 µs a row, one copy).
_MAX_GATHERED_ROW_BYTES = 2048
_MIN_ROWS_PER_GATHER = 8


class ArrayColumn:
    """Rows from one or several parts of one row shape and dtype. Files are mapped read-only by each process; no mapping travels in a pickle.

    Args:
        parts: an array in memory (C-contiguous, native, aligned) or places in files, joined on axis 0.

    Attributes:
        shape: of a row.
        dtype: native byte order.
    """

    def __init__(self, parts: Sequence[StoredArray | Array]) -> None:
        first = parts[0]
        self.shape = tuple(first.shape[1:])
        self.dtype: np.dtype[Any] = first.dtype.newbyteorder("=")
        for part in parts:
            self._check(part, first)
        self._parts = tuple(parts)
        self._ends: Indices = np.cumsum([part.shape[0] for part in parts], dtype=np.int64)
        self._mapped: dict[int, Array] = {}

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
        return int(self._ends[-1])

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return int(self.dtype.itemsize * np.prod(self.shape, dtype=np.int64))

    def read(self, indices: Indices, out: Array) -> None:
        """Copy the rows `indices` to `out`, C-contiguous and of the column's dtype.

        Raises:
            BadSample: names the first row of a file that can't be mapped.
        """
        if len(self._parts) > 1:
            self._read_parts(indices, out)
        elif len(indices):
            gather(self._array(0, indices), indices, out)

    def row(self, index: int) -> Any:
        """Return a copy of one row: an array, or a scalar where rows have the shape (). Raises NpyError, OSError."""
        part = int(np.searchsorted(self._ends, index, side="right"))
        array = self._part(part)
        return np.array(array[index - int(self._ends[part])], self.dtype, order="C")[()]  # counted from the part's end, so negative

    def whole(self) -> Array | None:
        """Return the one array that all rows are in, if its bytes are what a slot wants: C-contiguous, native, aligned; else None."""
        array = self._part(0) if len(self._parts) == 1 else None
        return array if array is not None and is_direct(array) else None

    def open(self) -> None:
        """Map the files, unless they are very many. Raises NpyError, OSError."""
        if len(self._parts) <= _MAX_MAPPED_AHEAD:
            for part in range(len(self._parts)):
                self._part(part)

    def name_of(self, index: int) -> str | None:
        """Return the file and the row in it that a row comes from; None for an array in memory."""
        number = int(np.searchsorted(self._ends, index, side="right"))
        part = self._parts[number]
        if not isinstance(part, StoredArray):
            return None
        return f"{part.path}, row {index - int(self._ends[number]) + part.shape[0]}"

    def describe(self) -> str:
        """Return in a few words where the rows are."""
        first = self._parts[0]
        if not isinstance(first, StoredArray):
            return f"an array {first.shape} {first.dtype.name}"
        return first.path if len(self._parts) == 1 else f"{first.path} and {len(self._parts) - 1:,} more"

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_mapped": {}}

    def _read_parts(self, indices: Indices, out: Array) -> None:
        parts = np.searchsorted(self._ends, indices, side="right")
        rows = indices - self._ends[parts]  # counted from the end of the part: negative, as numpy understands it
        order = np.argsort(parts, kind="stable")
        cuts = np.flatnonzero(np.diff(parts[order])) + 1
        if self.row_bytes > _MAX_GATHERED_ROW_BYTES or len(indices) < _MIN_ROWS_PER_GATHER * (len(cuts) + 1):
            for place, (part, row) in enumerate(zip(parts.tolist(), rows.tolist(), strict=True)):
                out[place] = self._array(part, indices[place:])[row]
            return
        for places in np.split(order, cuts):
            array = self._array(int(parts[places[0]]), indices[places])
            if is_direct(array):
                out[places] = array.take(rows[places], axis=0)
            else:
                for place in places.tolist():
                    out[place] = array[rows[place]]

    def _array(self, part: int, indices: Indices) -> Array:
        """Return a part for the rows `indices`, the first of which is accused if it can't be had."""
        try:
            return self._part(part)
        except (NpyError, OSError) as error:
            raise BadSample(int(indices[0])) from error

    def _part(self, number: int) -> Array:
        part = self._parts[number]
        if not isinstance(part, StoredArray):
            return part
        array = self._mapped.get(number)
        if array is None:
            array = part.map()
            if len(self._mapped) >= MAX_MAPPED:
                self._mapped.pop(next(iter(self._mapped)))
            self._mapped[number] = array
        return array


def is_direct(array: Array) -> bool:
    """Whether `np.take` may be given this array: any other kind it would first copy whole, a mapped file of any size included."""
    return array.flags.c_contiguous and array.flags.aligned and array.dtype.isnative


def gather(array: Array, rows: Indices, out: Array) -> None:
    """Copy rows of an array to `out`, converting byte order and axis order."""
    if is_direct(array):
        np.take(array, rows, axis=0, out=out, mode="clip")  # the default mode would buffer `out`
    else:
        for place, row in enumerate(rows.tolist()):
            out[place] = array[row]
