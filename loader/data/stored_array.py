"""Where an array lies in a file, and its mapping into a process. This is what travels instead of the array."""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from loader.data.file_io import OPEN_FLAGS, map_file
from loader.data.npy import inspect_file, name_path
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
        strides: in bytes, as numpy has them: they tell C from Fortran order, and the part of an `np.memmap` from the whole.
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
        lengths = header.shape if header.fortran_order else header.shape[::-1]
        strides = [header.itemsize]
        for length in lengths[:-1]:
            strides.append(strides[-1] * length)
        strides = strides[: len(lengths)]
        return cls(path, header.offset, header.dtype, header.shape, tuple(strides if header.fortran_order else strides[::-1]), size)

    @classmethod
    def of_memmap(cls, array: np.memmap[Any, Any]) -> StoredArray | None:
        """Describe what an `np.memmap`, or a part of one, shows of its file.

        Returns:
            None where the file does not hold what the array shows: it has no name, or the mapping keeps changes to itself (`mode="c"`).
        """
        base: Any = array
        while isinstance(base, np.ndarray):
            base = base.base
        if not isinstance(base, mmap.mmap) or array.filename is None or array.mode == "c" or array.size == 0:
            return None
        # A part has the `offset` attribute of its whole: only addresses tell where it begins. The mapping itself begins at a full page.
        page = array.offset - array.offset % mmap.ALLOCATIONGRANULARITY
        offset = page + array.ctypes.data - np.frombuffer(base, np.uint8).ctypes.data
        reach = sum(stride * (length - 1) for stride, length in zip(array.strides, array.shape, strict=True) if stride > 0)
        return cls(os.path.abspath(array.filename), offset, array.dtype, array.shape, array.strides, offset + reach + array.itemsize)

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
            size = os.fstat(fd).st_size
            if size < self.end:
                raise NpyError(self.path, f"truncated: it had {self.end:,} bytes when its header was read, now it has {size:,}")
            mapping = map_file(fd, self.end)
        except OSError as error:
            raise name_path(error, self.path) from None
        finally:
            os.close(fd)
        return np.ndarray(self.shape, self.dtype, mapping, self.offset, self.strides)
