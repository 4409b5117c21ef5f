"""Where the pipeline arrives: what reads it, and what its pickle calls by name. It leaves the trainer by `payload` and `pickler`.

Without cloudpickle, which the pickle itself names where it carries functions or classes by value.
"""

from __future__ import annotations

import functools
import json
import linecache
import os
import pickle
from collections.abc import Callable
from functools import cached_property
from types import CodeType
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from loader.data.npy.file_io import is_descriptor_limit
from loader.data.sources.arrays.stored_array import StoredArray
from loader.data.spec import Array
from loader.errors import NpyError, PipelineError
from loader.ipc import memfd

LENGTH_BYTES = 8
"""For the length of the table."""


def load(fd: int) -> Any:
    """Unpickle what `payload.dump` wrote. Arrays in it are read-only views of the shared memory.

    Raises whatever the unpickling of the user's own classes raises.
    """
    return unpack(memfd.attach_readonly(fd).data)


def unpack(memory: memoryview) -> Any:
    """Do the same with a copy of that memory, which may be on another machine."""
    length = int.from_bytes(memory[:LENGTH_BYTES], "little")
    table = json.loads(bytes(memory[LENGTH_BYTES : LENGTH_BYTES + length]))
    texts, pickled, *buffers = [memory[start : start + nbytes] for start, nbytes in table]
    remember_texts(json.loads(bytes(texts)))
    return pickle.loads(pickled, buffers=buffers)


def remember_texts(texts: dict[str, str]) -> None:
    """Have tracebacks of this process and its forks find these texts."""
    for name, text in texts.items():
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)  # None: never compared with a file


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
            "What to do: do not move, shorten or delete it while the loader is in use"
        ) from error
    if not memmap:
        return np.ndarray(stored.shape, stored.dtype, memory, stored.offset, stored.strides)
    first = memory[stored.offset : stored.offset + stored.dtype.itemsize].view(stored.dtype)
    return as_strided(first, stored.shape, stored.strides, subok=True)  # keeps the attributes, such as `filename`


def lay_out(memory: Array, offset: int, dtype: np.dtype[Any], shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    """Return an array of any strides in `memory`, the bytes that it looks at."""
    return np.ndarray(shape, dtype, memory, offset, strides)


def code_of_file(name: str, build: Callable[..., CodeType], arguments: tuple[Any, ...]) -> CodeType:
    """Return code that knows the name of its file."""
    return build(*arguments).replace(co_filename=name)


def cached_function(function: Callable[..., Any], parameters: dict[str, Any]) -> Any:
    """Return a function under `functools.lru_cache`, with nothing in its cache."""
    return functools.lru_cache(**parameters)(function)
