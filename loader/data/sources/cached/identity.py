"""What a source is made of, so that a cache can tell whether its samples are those of the source that it is used with.

A source is taken apart to plain values, each by the names that lead to it: `source.decoder.size` is `(224, 224)`. Of functions, and of classes that
are not of this package, the code counts; of files, the path below the source's root, the size and the time of the last change. What can't be looked
into counts by its type only; `version=` says what has changed there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from loader.data.remote.fetcher import Fetcher
from loader.data.rows import Indices
from loader.data.sources.arrays.far_rows import FarRows
from loader.data.sources.arrays.stored_array import StoredArray
from loader.data.sources.files.far_index import FarIndex
from loader.data.sources.files.path_index import PathIndex
from loader.data.sources.lines.far_lines import FarLines
from loader.data.sources.lines.line_index import LineIndex

_MOST_ITEMS = 32  # of a list, that are facts of their own; of a longer one, all together are one
_MOST_CHARACTERS = 80
_LEARNED = ("_example",)  # by a source, and no part of it
_NOT_OF_AN_ARRAY = ("path", "options", "cache")  # where it is, and how it comes
_PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic, np.dtype)


@dataclass(frozen=True)
class Identity:
    """What a source is made of.

    Attributes:
        facts: values, or hashes of them, by the names that lead to them.
        files: size and time of the last change, in ns, of each file, of shape `(files, 2)`; -1 where there is none.
        name_of: returns the path of a file by its number.
    """

    facts: dict[str, str]
    files: Indices
    name_of: Callable[[int], str]

    @classmethod
    def of(cls, source: object, version: str, files: Indices | None = None) -> Identity:
        """Take a source apart. Asks the system for the size and time of each of its files, unless given: some 2 µs a file on a local disk."""
        walk = _Walk()
        walk.add("source", source)
        paths = walk.paths
        if files is None or len(files) != len(paths):
            files = np.array([_size_and_time(path) for path in paths], np.int64).reshape(len(paths), 2)
        return cls(walk.facts | {"version": repr(version)}, files, lambda number: os.fsdecode(paths[number]))

    def difference(self, facts: Mapping[str, str], files: Indices) -> str | None:
        """Return in words what was otherwise, `facts` and `files`, when a cache was made; None if nothing was."""
        for name in sorted({*self.facts, *facts}):
            before, now = facts.get(name, "not there"), self.facts.get(name, "not there")
            if before != now:
                hashed = before.startswith("#") or now.startswith("#")
                return f"{name} has changed" if hashed else f"{name} was {before}, and now is {now}"
        changed = np.flatnonzero((files != self.files).any(1)) if len(files) == len(self.files) else np.arange(1)
        if not len(changed):
            return None
        first = int(changed[0])
        (size, _), (now_size, _) = files[first].tolist(), self.files[first].tolist()
        how = "it was written again" if size == now_size else f"it had {size:,} bytes, now it has {max(now_size, 0):,}"
        several = f"{len(changed):,} files have changed, such as " if len(changed) > 1 else ""
        return f"{several}{self.name_of(first)}{'' if several else ' has changed'}: {how}"


class _Walk:
    """Takes values apart.

    Attributes:
        facts: found so far.
        paths: of the files that were met, encoded for the file system or not.
    """

    def __init__(self) -> None:
        self.facts: dict[str, str] = {}
        self.paths: list[str | bytes] = []
        self._seen: dict[int, object] = {}  # kept, so that no other object gets the same id

    def add(self, name: str, value: Any) -> None:
        """Add what is known of a value."""
        if isinstance(value, _PLAIN):
            self.facts[name] = _short(repr(value))
            return
        if id(value) in self._seen:
            return
        self._seen[id(value)] = value
        if isinstance(value, os.PathLike):
            self.facts[name] = _short(os.fspath(value))
        elif isinstance(value, np.ndarray):
            self._add_array(name, value)
        elif isinstance(value, Mapping):
            self._add_items(name, [(f"[{key!r}]", item) for key, item in value.items()])
        elif isinstance(value, list | tuple):
            self._add_sequence(name, value)
        elif isinstance(value, set | frozenset):
            self._add_sequence(name, sorted(map(repr, value)))
        elif isinstance(value, FarIndex):
            self.facts[name] = _digest("\0".join(value.relative_paths()).encode("utf-8", "surrogateescape"), value.stamps().data)
        elif isinstance(value, PathIndex):
            self.facts[name] = _digest("\0".join(value.relative_paths()).encode("utf-8", "surrogateescape"))
            self.paths.extend(value.raw_paths(np.arange(len(value))))
        else:
            self._add_object(name, value)

    def _add_array(self, name: str, array: np.ndarray[Any, Any]) -> None:
        stored = StoredArray.of_view(array) if array.nbytes and not array.dtype.hasobject else None
        if stored is not None:
            self.add(name, stored)
        elif array.dtype.hasobject:
            self._add_sequence(name, array.ravel().tolist())
        else:
            self.facts[name] = _digest(f"{array.shape} {array.dtype}".encode(), np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)

    def _add_sequence(self, name: str, values: Sequence[Any]) -> None:
        if len(values) > _MOST_ITEMS and all(type(value) is str for value in values):
            self.facts[name] = _digest("\0".join(values).encode("utf-8", "surrogateescape"))
        elif all(isinstance(value, _PLAIN) for value in values):
            self.facts[name] = _short(repr(values))
        else:
            self._add_items(name, [(f"[{number}]", value) for number, value in enumerate(values)])

    def _add_items(self, name: str, items: Sequence[tuple[str, Any]]) -> None:
        if len(items) <= _MOST_ITEMS:
            self.facts[name] = f"of length {len(items)}"
            for suffix, item in items:
                self.add(name + suffix, item)
            return
        outer, self.facts = self.facts, {}
        for suffix, item in items:
            self.add(suffix, item)
        outer[name] = _digest(repr(self.facts).encode())
        self.facts = outer

    def _add_object(self, name: str, value: Any) -> None:
        if isinstance(value, FunctionType):
            self._add_function(name, value)
        elif isinstance(value, MethodType):
            self.add(f"{name}.function", value.__func__)
            self.add(f"{name}.self", value.__self__)
        elif isinstance(value, partial):
            self._add_items(name, [(".func", value.func), (".args", value.args), (".keywords", value.keywords)])
        elif isinstance(value, type):
            self._add_class(name, value)
        elif not isinstance(value, ModuleType):
            self._add_instance(name, value)

    def _add_instance(self, name: str, value: Any) -> None:
        if isinstance(value, (Fetcher, FarRows)):  # how data comes is no part of what it is
            return
        kind = type(value)
        self.facts[name] = kind.__qualname__
        if kind.__module__.startswith("h5py"):
            self.facts[f"{name}.name"] = str(value.name)
            self.paths.append(value.file.filename)
            return
        if isinstance(value, FarLines):
            self.add(f"{name}.objects", value.objects)
            return
        if isinstance(value, StoredArray):
            self.paths.append(value.path)
        if isinstance(value, LineIndex):
            self.paths.extend(value.paths)
            return
        self._add_class(name, kind)
        for key, item in _state_of(value).items():
            if (
                key not in _LEARNED
                and not isinstance(getattr(kind, key, None), cached_property)
                and not (isinstance(value, StoredArray) and key in _NOT_OF_AN_ARRAY)
            ):
                self.add(f"{name}.{key.lstrip('_')}", item)

    def _add_class(self, name: str, kind: type) -> None:
        """Add the code and the constants of a class and of those it derives from; of this package's own, the format of a cache has a number."""
        for each in kind.__mro__[:-1]:
            if each.__module__.startswith("loader."):
                continue
            where = name if each is kind else f"{name}: {each.__qualname__}"
            codes = {key: function.__code__ for key, item in vars(each).items() if isinstance(function := _function_of(item), FunctionType)}
            self._add_code(where, [(key, _plain_code(code)) for key, code in sorted(codes.items())])
            for key, item in vars(each).items():
                if not key.startswith("__") and isinstance(item, (*_PLAIN, list, tuple, dict, set, frozenset)):
                    self.add(f"{where}: {key}", item)

    def _add_code(self, name: str, code: object) -> None:
        self.facts[f"the code of {name}"] = _digest(repr(code).encode())
        self.facts["python"] = f"{sys.version_info[0]}.{sys.version_info[1]}"  # another one has other code for the same text

    def _add_function(self, name: str, function: FunctionType) -> None:
        """Add a function's code, and what it takes from around it: variables, defaults, and names of its own module."""
        code = function.__code__
        self._add_code(name, _plain_code(code))
        cells = zip(code.co_freevars, function.__closure__ or (), strict=False)
        around = {key: cell.cell_contents for key, cell in cells if _is_filled(cell)}
        around |= {f"default {number}": value for number, value in enumerate(function.__defaults__ or ())} | (function.__kwdefaults__ or {})
        for key in _names(code):
            value = function.__globals__.get(key)
            own = getattr(value, "__module__", None) == function.__module__
            if value is not None and (isinstance(value, (*_PLAIN, list, tuple, dict, os.PathLike)) or (own and isinstance(value, FunctionType))):
                around[key] = value
        for key, value in around.items():
            self.add(f"{name}: {key}", value)


def _state_of(value: Any) -> Mapping[str, Any]:
    """Return what an object would be pickled with, as far as that is a dict; else its attributes."""
    own = getattr(type(value), "__getstate__", None)
    try:
        state = value.__getstate__() if own is not None and own is not getattr(object, "__getstate__", None) else None
    except Exception:  # of the user's: then its pickling will tell
        state = None
    return state if isinstance(state, dict) else getattr(value, "__dict__", {})


def _function_of(item: object) -> object:
    """Return the function behind a property, a static method or a class method; anything else as it is."""
    if isinstance(item, property):
        return item.fget
    return item.func if isinstance(item, cached_property) else getattr(item, "__func__", item)


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _names(code: CodeType) -> list[str]:
    return list(dict.fromkeys([*code.co_names, *(name for part in code.co_consts if isinstance(part, CodeType) for name in _names(part))]))


def _plain_code(code: CodeType) -> list[Any]:
    """Return what a function does, without the place where it stands."""
    constants = [_plain_constant(part) for part in code.co_consts]
    return [code.co_code, code.co_names, code.co_varnames, constants]


def _plain_constant(part: object) -> object:
    if isinstance(part, CodeType):
        return _plain_code(part)
    return sorted(map(repr, part)) if isinstance(part, frozenset) else part


def _short(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else _digest(text.encode("utf-8", "surrogateescape"))


def _digest(*pieces: bytes | memoryview) -> str:
    import hashlib

    digest = hashlib.blake2b(digest_size=8)
    for piece in pieces:
        digest.update(piece)
    return f"#{digest.hexdigest()}"


def _size_and_time(path: str | bytes) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return -1, -1
    return found.st_size, found.st_mtime_ns
