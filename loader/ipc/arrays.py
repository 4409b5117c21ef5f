"""How arrays travel: what is mapped from a file by its path, all else beside the pickle, as it lies in memory.

Pickle takes only contiguous arrays out of its stream, and knows no files: an `np.memmap` would be read whole, and a sliding window would be
written out, each value as often as it is in a window.
"""

from __future__ import annotations

import mmap
import os
from functools import cached_property
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from loader.data.descriptors import is_descriptor_limit
from loader.data.mappings import Mappings
from loader.data.spec import Array
from loader.data.stored_array import StoredArray, extent, owns_memory
from loader.errors import NpyError, PipelineError

# Finding out where an array lies costs more than copying so little.
_SMALL_BYTES = mmap.PAGESIZE


class ArrayReducer:
    """Says how pickle takes the arrays of one pipeline apart: `ndarray` and `memmap`, but no other class that derives from them."""

    def __init__(self) -> None:
        self._files: dict[str, MappedFile] = {}

    @cached_property
    def _mappings(self) -> Mappings:
        return Mappings()

    def __call__(self, array: Array) -> Any:
        """Return what `__reduce__` would."""
        if array.nbytes >= _SMALL_BYTES and not array.dtype.hasobject:
            stored = None if owns_memory(array) else StoredArray.of_view(array, self._mappings)
            if stored is not None:
                return look_into, (self._files.setdefault(stored.path, MappedFile(stored.path)), stored, type(array) is np.memmap)
            if not array.flags.forc:
                return _carry(array)
            array = np.asarray(array)  # no memmap any more: pickle would take that into its stream
        return array.__reduce_ex__(5)


class MappedFile:
    """A file that arrays look into. It travels by its path, and is mapped once where it arrives."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __getstate__(self) -> dict[str, Any]:
        return {"_path": self._path}

    @cached_property
    def memory(self) -> np.memmap[Any, np.dtype[np.uint8]]:
        """The whole file, read-only. Raises OSError, with the path in it."""
        return np.memmap(self._path, np.uint8, "r")


def look_into(file: MappedFile, stored: StoredArray, memmap: bool) -> Array:
    """Return an array of `file`, as a `memmap` or as a plain one.

    Raises:
        OSError: this process has as many files open as it may.
        PipelineError: the file can't be opened, or has become too short.
    """
    try:
        stored.check_size(os.stat(stored.path).st_size)
        memory = file.memory
    except (NpyError, OSError) as error:
        if is_descriptor_limit(error):
            raise
        raise PipelineError(
            f"the pipeline can't start in the workers: a file that the script has mapped can't be mapped there: {error}. "
            "What to do: leave it in its place, and as long as it is, while the loader is in use"
        ) from error
    if not memmap:
        return np.ndarray(stored.shape, stored.dtype, memory, stored.offset, stored.strides)
    first = memory[stored.offset : stored.offset + stored.dtype.itemsize].view(stored.dtype)
    return as_strided(first, stored.shape, stored.strides, subok=True)  # keeps the attributes, such as `filename`


def lay_out(memory: Array, offset: int, dtype: np.dtype[Any], shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    """Return an array of any strides in `memory`, the bytes that it looks at."""
    return np.ndarray(shape, dtype, memory, offset, strides)


def _carry(array: Array) -> Any:
    """Return how to carry an array that is not contiguous: the memory that it looks at, or a copy where that is smaller."""
    low, high = extent(array)
    if high - low > array.nbytes:
        return np.asarray, (np.ascontiguousarray(array),)
    upwards = np.asarray(array)[tuple(slice(None, None, -1 if stride < 0 else 1) for stride in array.strides)]
    first = upwards[(slice(0, 1),) * array.ndim].reshape(-1).view(np.uint8)
    memory = as_strided(first, (high - low,), (1,), writeable=False)
    return lay_out, (memory, -low, array.dtype, array.shape, array.strides)
