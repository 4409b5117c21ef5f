"""How the pipeline travels from the trainer to the supervisor: pickled once, its large arrays beside the pickle and not in it.

Pickle protocol 5 hands the buffers of numpy arrays out instead of copying them into its stream (PEP 574). They go into shared memory, each at a
multiple of 64 bytes; in the supervisor the arrays are views of that memory, and so they are in every worker that it forks. The index of
a million paths and arrays that the user holds in memory are stored once, whatever the number of workers.

    | length of the table | table: JSON [[offset, bytes], …] | texts of code without a file: JSON | pickle | buffer | buffer | …

Only the trainer writes it and only its own supervisor reads it: no pickle ever comes from elsewhere.

Code without a file, from a notebook cell or `python -c`, carries its text along, so that a traceback from a worker shows the line. The supervisor
puts the texts into `linecache` before it unpickles anything, and the workers are its forks.
"""

from __future__ import annotations

import dis
import functools
import json
import linecache
import os
import re
import sys
from collections.abc import Callable, Iterable
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any

from loader.data.layout import align
from loader.errors import PipelineError
from loader.ipc import memfd
from loader.ipc.payload.arrival import LENGTH_BYTES
from loader.ipc.payload.hdf5 import is_hdf5
from loader.ipc.payload.pickler import is_importable, pack, weigh


def dump(value: Any, admit: Callable[[int], None] = lambda nbytes: None, into: int | None = None) -> int:
    """Pickle `value` into shared memory and return its descriptor; the caller owns it.

    Args:
        value: to send.
        admit: is told the bytes that this will take before they are allocated, and may raise.
        into: descriptor of shared memory without pages; by default, there will be a new one.

    Raises:
        PipelineError: something in it can't travel; the message says which attribute, as far as that can be found.
    """
    try:
        packed = pack(value)
    except Exception as error:
        raise PipelineError(_blame(value, error)) from error
    texts = json.dumps(texts_without_file(packed.code_files)).encode()
    pieces = [memoryview(texts), packed.pickled, *packed.buffers]
    table: list[list[int]] = []
    offset = align(LENGTH_BYTES + 48 * len(pieces) + 64)
    for piece in pieces:
        table.append([offset, piece.nbytes])
        offset = align(offset + piece.nbytes)
    admit(offset)
    head = json.dumps(table).encode()
    fd = memfd.create("pipeline") if into is None else into
    os.ftruncate(fd, offset)
    os.pwrite(fd, len(head).to_bytes(LENGTH_BYTES, "little") + head, 0)
    for (start, _), piece in zip(table, pieces, strict=True):
        _write(fd, piece, start)
    return fd


def _write(fd: int, piece: memoryview, start: int) -> None:
    done = 0
    while done < piece.nbytes:
        done += os.pwrite(fd, piece[done:], start + done)


def _blame(value: Any, error: Exception) -> str:
    path, culprit = _culprit(value, "", set())
    what = f"{path.lstrip('.')}, a {type(culprit).__name__}," if path else f"a {type(culprit).__name__}"
    if isinstance(error, PipelineError):  # of a reducer of ours, which says what to do
        return f"the pipeline can't be sent to the workers: {what} {error}"
    return (
        f"the pipeline can't be sent to the workers: {what} can't be pickled ({error}). "
        "What to do: make it in the worker when it is first used, or leave it out with __getstate__"
    )


def _culprit(value: Any, path: str, seen: set[int]) -> tuple[str, Any]:
    """Return path and value of the innermost part of `value` that can't be pickled by itself."""
    seen.add(id(value))
    for name, part in parts(value):
        if id(part) in seen:
            continue
        try:
            weigh(part)
        except Exception:
            return _culprit(part, f"{path}{name}", seen)
    return path, value


def parts(value: Any) -> list[tuple[str, Any]]:
    """Return the named parts that a value is pickled with: attributes, items; of a function the variables, globals and defaults, ` (global x)`."""
    if isinstance(value, dict):
        return [(f"[{key!r}]", item) for key, item in value.items()]
    if isinstance(value, list | tuple | set | frozenset):
        return [(f"[{number}]", item) for number, item in enumerate(value)]
    if is_hdf5(value):
        return []
    # Types are asked, not attributes: an object's own __getattr__ may do anything.
    found = [(f".{name}", part) for name, part in value.__dict__.items()] if type(value).__dictoffset__ else []
    if isinstance(value, FunctionType):
        code = value.__code__
        cells = zip(code.co_freevars, value.__closure__ or (), strict=False)
        found += [(f" (variable {name})", cell.cell_contents) for name, cell in cells if cell != CellType()]  # an empty one has no contents
        found += [
            (f" (global {name})", value.__globals__[name]) for name in _names(code, exactly=not is_importable(value)) if name in value.__globals__
        ]
        found += [(f" (default of {name})", default) for name, default in _defaults(value)]
    if isinstance(value, functools.partial):
        found += [(".func", value.func), (".args", value.args), (".keywords", value.keywords)]
    if isinstance(value, MethodType):
        found += [(".__func__", value.__func__), (".__self__", value.__self__)]
    return found


def _names(code: CodeType, exactly: bool) -> list[str]:
    """Return the globals that a function uses, those of the functions inside it included.

    Args:
        code: of the function.
        exactly: or with the attributes that it uses, a tenth of the time; for a function of a module, which travels without its globals.
    """
    names = [step.argval for step in dis.get_instructions(code) if step.opname.endswith("_GLOBAL")] if exactly else code.co_names
    return list(dict.fromkeys([*names, *(name for part in code.co_consts if isinstance(part, CodeType) for name in _names(part, exactly))]))


def _defaults(function: FunctionType) -> list[tuple[str, Any]]:
    code, values = function.__code__, function.__defaults__ or ()
    names = code.co_varnames[: code.co_argcount][code.co_argcount - len(values) :]
    return [*zip(names, values, strict=True), *(function.__kwdefaults__ or {}).items()]


_COMMAND = "<string>"  # what Python calls the text of `-c`
_OPTION_C = re.compile(r"-[A-Za-z]*c")

# Longer than any cell that a person writes; what a program has written needs no traceback with its lines.
_LONGEST = 256 * 1024


def texts_without_file(names: Iterable[str]) -> dict[str, str]:
    """Return the text of those files that are not on disk, as far as it is known here, by the name that tracebacks have for them."""
    texts = {name: "".join(linecache.getlines(name)) or _command(name) for name in names if not os.path.exists(name)}
    return {name: text for name, text in texts.items() if 0 < len(text) <= _LONGEST}


def _command(name: str) -> str:
    """Return the text of `python -c`, if `name` means it and this process was started so; else nothing."""
    if name != _COMMAND or hasattr(sys.modules.get("__main__"), "__file__"):
        return ""
    place = next((place for place, word in enumerate(sys.orig_argv) if place and _OPTION_C.fullmatch(word)), len(sys.orig_argv))
    return "".join(sys.orig_argv[place + 1 : place + 2])
