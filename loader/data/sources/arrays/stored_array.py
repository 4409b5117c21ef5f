"""Where an array lies in a file, and its mapping into a process. This is what travels instead of the array."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loader.data.layout import c_strides
from loader.data.npy.file_io import OPEN_FLAGS, map_file
from loader.data.npy.header import inspect_file, name_path
from loader.data.proc_maps import Mappings
from loader.data.rows import Indices
from loader.data.spec import Array
from loader.errors import NpyError


@dataclass(frozen=True)
class StoredArray:
    """An array in a file, not yet mapped.

    Attributes:
        path: absolute.
        offset: bytes from the start of the file to the array's first element.
        dtype: as in the file, of either byte order.
        shape: of the array.
        strides: in bytes, as numpy has them: they tell C from Fortran order, a part of a mapped array from the whole, and windows that overlap.
        end: bytes that the file must have for the array to be in it.
    """

    path: str
    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    end: int

    @classmethod
    def of_file(cls, path: str) -> StoredArray:
        """Describe the array of a `.npy` file from its header and size. Raises NpyError, OSError."""
        header, size = inspect_file(path)
        header.check_size(size, path)
        strides = c_strides(header.shape[::-1], header.dtype)[::-1] if header.fortran_order else c_strides(header.shape, header.dtype)
        return cls(path, header.offset, header.dtype, header.shape, strides, size)

    @classmethod
    def of_view(cls, array: Array, mappings: Mappings | None = None) -> StoredArray | None:
        """Describe what an array in memory shows of a mapped file: an `np.memmap`, a part or a window of one, a buffer of another library.

        Args:
            array: of any strides.
            mappings: of this process, if many arrays are looked up.

        Returns:
            None if no file holds what the array shows: it is in memory, the file was deleted, or the mapping keeps changes to itself
            (`mode="c"`).
        """
        if array.nbytes == 0 or array.dtype.hasobject or owns_memory(array):
            return None
        address = int(array.__array_interface__["data"][0])
        low, high = extent(array)
        region = (mappings or Mappings()).find(address + low, address + high)
        if region is None:
            return None
        offset = address - region.start + region.offset
        return cls(region.path, offset, array.dtype, array.shape, array.strides, offset + high)

    def map(self) -> Array:
        """Map the file read-only; the mapping lives as long as the array or a view of it.

        Raises:
            NpyError: the file has become too short: touching what is missing would kill the process.
            OSError: with the path in it.
        """
        if 0 in self.shape:
            return np.empty(self.shape, self.dtype)
        fd = os.open(self.path, OPEN_FLAGS)
        try:
            self.check_size(os.fstat(fd).st_size)
            mapping = map_file(fd, self.end)
        except OSError as error:
            raise name_path(error, self.path) from None
        finally:
            os.close(fd)
        return np.ndarray(self.shape, self.dtype, mapping, self.offset, self.strides)

    def spans(self, rows: Indices) -> list[tuple[int, int]]:
        """Return where rows begin and end in the file, adjacent ones joined; empty if each is scattered over the file.

        Args:
            rows: at least one.
        """
        low, high = _reach(self.shape[1:], self.strides[1:])
        high += self.dtype.itemsize
        stride, width = self.strides[0], high - low
        if width > 2 * math.prod(self.shape[1:]) * self.dtype.itemsize:
            return []
        ends = np.flatnonzero(np.diff(rows) != 1) if 0 < stride <= width else np.arange(len(rows) - 1)
        firsts, lasts = rows[np.append(0, ends + 1)], rows[np.append(ends, len(rows) - 1)]
        return list(zip((firsts * stride + self.offset + low).tolist(), (lasts * stride + self.offset + high).tolist(), strict=True))

    def check_size(self, size: int) -> None:
        """Raise NpyError if the file, which has `size` bytes, is too short."""
        if size < self.end:
            raise NpyError(self.path, f"truncated: it had {self.end:,} bytes when the loader was made, now it has {size:,}")


def owns_memory(array: Array) -> bool:
    """Whether the memory that an array looks into was allocated for it, or for another array."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array.base is None


def extent(array: Array) -> tuple[int, int]:
    """Return where the bytes begin and end that an array, which is not empty, looks at, counted from its first element."""
    low, high = _reach(array.shape, array.strides)
    return low, high + array.itemsize


def _reach(shape: Sequence[int], strides: Sequence[int]) -> tuple[int, int]:
    """Return where the first and the last element begin, in bytes from the one at index 0 of each axis."""
    reaches = [stride * (length - 1) for stride, length in zip(strides, shape, strict=True)]
    return sum(reach for reach in reaches if reach < 0), sum(reach for reach in reaches if reach > 0)


def overlaps(array: Array) -> bool:
    """Whether an array shows some of its memory more than once, as a sliding window does: a copy would be larger than what it looks at."""
    low, high = extent(array) if array.size else (0, 0)
    return high - low < array.nbytes
