"""The pickler that the pipeline travels with: cloudpickle's, which takes functions and classes of a script by value, and what it leaves out.

Arrays that are mapped from a file travel by its path, all others beside the pickle, as they lie in memory. By itself, pickle takes only contiguous
arrays out of its stream, and knows no files: it would read an `np.memmap` whole, and write out a sliding window, each value as often as it is in one.
What h5py has opened travels by its path, too (`hdf5`).
"""

from __future__ import annotations

import functools
import io
import mmap
import pickle
import sys
import weakref
from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import CodeType
from typing import Any, Protocol

import cloudpickle
import numpy as np
from numpy.lib.stride_tricks import as_strided

from loader.data.proc_maps import Mappings
from loader.data.remote.options import StorageOptions, reduce_for_workers
from loader.data.sources.arrays.stored_array import StoredArray, extent, owns_memory
from loader.data.spec import Array
from loader.ipc.payload.arrival import MappedFile, cached_function, code_of_file, lay_out, look_into
from loader.ipc.payload.hdf5 import Hdf5Reducer

# To find out where an array lies costs more than to copy so little.
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
            array = np.asarray(array)  # no longer a memmap: pickle would put that into its stream
        return array.__reduce_ex__(5)


def _carry(array: Array) -> Any:
    """Return how to carry an array that is not contiguous: the memory that it looks at, or a copy where that is smaller."""
    low, high = extent(array)
    if high - low > array.nbytes:
        return np.asarray, (np.ascontiguousarray(array),)
    upwards = np.asarray(array)[tuple(slice(None, None, -1 if stride < 0 else 1) for stride in array.strides)]
    first = upwards[(slice(0, 1),) * array.ndim].reshape(-1).view(np.uint8)
    memory = as_strided(first, (high - low,), (1,), writeable=False)
    return lay_out, (memory, -low, array.dtype, array.shape, array.strides)


_CachedFunction = type(functools.lru_cache(len))


@dataclass
class Packed:
    """A value as it travels.

    Attributes:
        pickled: the pickle.
        buffers: memory of the arrays in it, which is not in the pickle.
        code_files: names of the files that the code in it was written in.
    """

    pickled: memoryview
    buffers: list[memoryview] = field(default_factory=list)
    code_files: set[str] = field(default_factory=set)


def pack(value: Any) -> Packed:
    """Pickle `value`. The memory of its arrays is not copied yet, so it must not change until it is.

    Raises whatever the pickling of the user's own classes raises.
    """
    file = io.BytesIO()
    packed = Packed(memoryview(b""))
    _pickle(value, file, packed)
    packed.pickled = file.getbuffer()
    return packed


def weigh(value: Any) -> int:
    """Return the bytes that `value` takes when it travels."""
    scale, packed = _Scale(), Packed(memoryview(b""))
    _pickle(value, scale, packed)
    return scale.nbytes + sum(buffer.nbytes for buffer in packed.buffers)


def is_importable(value: Any) -> bool:
    """Whether a function or a class is found in its module by its name, and so travels by that name. The script itself does not count as a module."""
    module = getattr(value, "__module__", None)
    if module in (None, "__main__") or any(module == name or module.startswith(f"{name}.") for name in cloudpickle.list_registry_pickle_by_value()):
        return False
    found: Any = sys.modules.get(module)
    for name in getattr(value, "__qualname__", "").split("."):
        found = getattr(found, name, None)
    return found is value


class _Writable(Protocol):
    def write(self, data: Any, /) -> int: ...


class _Scale:
    """A file that only counts what is written to it."""

    def __init__(self) -> None:
        self.nbytes = 0

    def write(self, data: Any) -> int:
        nbytes = memoryview(data).nbytes
        self.nbytes += nbytes
        return nbytes


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # it has no types
    """Asks `reducers` first, by the exact class of what is to be pickled (`dispatch_table`, as the pickle module has it)."""

    def __init__(self, file: _Writable, reducers: Mapping[type, Callable[[Any], Any]], take: Callable[[pickle.PickleBuffer], Any]) -> None:
        self.dispatch_table = ChainMap(dict(reducers), cloudpickle.Pickler.dispatch_table)
        super().__init__(file, protocol=5, buffer_callback=take)


def _pickle(value: Any, file: _Writable, packed: Packed) -> None:
    arrays = ArrayReducer()
    reducers: dict[type, Callable[[Any], Any]] = {
        CodeType: functools.partial(_reduce_code, packed.code_files),
        np.ndarray: arrays,
        np.memmap: arrays,
        _CachedFunction: _reduce_cached_function,
        functools.cached_property: _reduce_cached_property,
        weakref.WeakKeyDictionary: _reduce_weak_keys,
        StorageOptions: reduce_for_workers,
        **Hdf5Reducer().by_class(),
    }
    _Pickler(file, reducers, lambda buffer: packed.buffers.append(buffer.raw())).dump(value)


# What cloudpickle 3.1 loses or can't pickle.


def _reduce_code(files: set[str], code: CodeType) -> Any:
    """Keep the name of the file: cloudpickle 3.1.3 puts "<dynamic-code>" there, and a traceback would show neither file nor line."""
    files.add(code.co_filename)
    build, arguments, *_ = cloudpickle.Pickler.dispatch_table[CodeType](code)
    return code_of_file, (code.co_filename, build, arguments)


def _reduce_cached_function(function: Any) -> Any:
    """Take a function of the script under `functools.lru_cache` along without what is in its cache: by itself it would be looked up by name."""
    if is_importable(function):
        return function.__reduce__()
    return cached_function, (function.__wrapped__, function.cache_parameters()), vars(function)


def _reduce_cached_property(attribute: functools.cached_property[Any]) -> Any:
    """Leave out the lock that it has before Python 3.12."""
    return functools.cached_property, (attribute.func,), {key: value for key, value in vars(attribute).items() if key != "lock"}


def _reduce_weak_keys(mapping: weakref.WeakKeyDictionary[Any, Any]) -> Any:
    """Take along what a `functools.singledispatch` function of the script has found out."""
    return weakref.WeakKeyDictionary, (dict(mapping),)
