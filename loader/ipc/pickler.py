"""The pickler that the pipeline travels with: cloudpickle's, which takes functions and classes of a script by value, and what that leaves out."""

from __future__ import annotations

import functools
import io
import pickle
import sys
import weakref
from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import CodeType
from typing import Any, Protocol

import cloudpickle
import numpy as np

from loader.ipc.arrays import ArrayReducer

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
    """Pickle `value`. The memory of arrays in it is only looked at: it must not change until it was copied.

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
    """Whether a function or a class is what its module has under its name, and travels by that name. The script itself is no such module."""
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
    }
    _Pickler(file, reducers, lambda buffer: packed.buffers.append(buffer.raw())).dump(value)


# What cloudpickle 3.1 loses or can't pickle.


def _reduce_code(files: set[str], code: CodeType) -> Any:
    """Keep the name of the file: cloudpickle 3.1.3 puts "<dynamic-code>" there, and a traceback would show neither file nor line."""
    files.add(code.co_filename)
    build, arguments, *_ = cloudpickle.Pickler.dispatch_table[CodeType](code)
    return _code_of_file, (code.co_filename, build, arguments)


def _code_of_file(name: str, build: Callable[..., CodeType], arguments: tuple[Any, ...]) -> CodeType:
    return build(*arguments).replace(co_filename=name)


def _reduce_cached_function(function: Any) -> Any:
    """Take a function of the script under `functools.lru_cache` along without what is in its cache: by itself it would be looked up by name."""
    if is_importable(function):
        return function.__reduce__()
    return _cached, (function.__wrapped__, function.cache_parameters()), vars(function)


def _cached(function: Callable[..., Any], parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(function)


def _reduce_cached_property(attribute: functools.cached_property[Any]) -> Any:
    """Leave out the lock that it has before Python 3.12."""
    return functools.cached_property, (attribute.func,), {key: value for key, value in vars(attribute).items() if key != "lock"}


def _reduce_weak_keys(mapping: weakref.WeakKeyDictionary[Any, Any]) -> Any:
    """Take along what a `functools.singledispatch` function of the script has found out."""
    return weakref.WeakKeyDictionary, (dict(mapping),)
