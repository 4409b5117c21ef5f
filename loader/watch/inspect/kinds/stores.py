"""HDF5 files and Zarr folders: the arrays in them, opened by their own libraries where these are installed."""

from __future__ import annotations

import importlib
import importlib.util
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from loader.data.npy.header import NpyHeader
from loader.errors import ConfigError
from loader.watch.inspect.finding import Finding, batch_bytes, batch_lines, class_counts
from loader.watch.inspect.kinds.archives import choose
from loader.watch.inspect.snippet import write

_SHOWN = 20  # arrays
_PIECE_BYTES = 8 << 20


def hdf5_file(path: str) -> Finding:
    """Return which datasets an HDF5 file has. Raises ConfigError if h5py is not installed, OSError."""
    with open_store(path) as arrays:
        return _finding(path, "HDF5 file", arrays, "import h5py", f"h5py.File({path!r}, 'r')")


def zarr_folder(path: str) -> Finding:
    """Return which arrays a Zarr folder has. Raises ConfigError if zarr is not installed, OSError."""
    with open_store(path) as arrays:
        return _finding(path, "Zarr folder", arrays, "import zarr", f"zarr.open({path!r}, mode='r')")


@contextmanager
def open_store(path: str) -> Iterator[dict[str, Any]]:
    """Open an HDF5 file or a Zarr folder; return the arrays in it by name, which can be read until the end.

    Raises:
        ConfigError: its library is not installed.
        OSError: it can't be opened.
    """
    with _opened(path) as store:
        if hasattr(store, "shape"):
            yield {"": store}
        elif os.path.isdir(path):
            yield _arrays_in(store)
        else:
            arrays: dict[str, Any] = {}
            store.visititems(lambda name, thing: arrays.update({name: thing} if hasattr(thing, "shape") else {}))
            yield arrays


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    if os.path.isdir(path):
        _check_installed("zarr", path)
        yield importlib.import_module("zarr").open(path, mode="r")
    else:
        _check_installed("h5py", path)
        with importlib.import_module("h5py").File(path, "r") as file:
            yield file


class Piece(NamedTuple):
    """Some rows of an array; all of one without rows, or of one that is stored in one piece."""

    array: str
    start: int
    stop: int


def pieces_of(path: str) -> list[Piece]:
    """Return the arrays of a store, cut into pieces of some megabytes that end where its chunks end. Raises as `open_store` does."""
    found = []
    with open_store(path) as arrays:
        for name, array in sorted(arrays.items()):
            rows = array.shape[0] if array.shape else 1
            chunk = (array.chunks or (1,))[0] if array.shape else 1
            chunk_bytes = max(1, chunk * array.dtype.itemsize * math.prod(array.shape[1:]))
            step = chunk * max(1, _PIECE_BYTES // chunk_bytes)
            found += [Piece(name, start, min(start + step, rows)) for start in range(0, rows, step)]
    return found


def read_piece(path: str, piece: Piece) -> Any:
    """Return a piece of an array as NumPy's. Raises OSError, or what else the library raises, if it can't be read."""
    with _opened(path) as store:
        array = store[piece.array] if piece.array else store
        return np.asarray(array[piece.start : piece.stop] if array.shape else array[()])


def _arrays_in(group: Any, prefix: str = "") -> dict[str, Any]:
    found = {f"{prefix}{name}": array for name, array in group.arrays()}
    for name, inner in group.groups():
        found |= _arrays_in(inner, f"{prefix}{name}/")
    return found


def _check_installed(name: str, path: str) -> None:
    if importlib.util.find_spec(name) is None:
        raise ConfigError(f"{path}: to look into it takes {name}, not installed here. What to do: pip install {name}")


def _finding(path: str, kind: str, arrays: dict[str, Any], import_line: str, call: str) -> Finding:
    listed = {name: [str(array.dtype), list(array.shape)] for name, array in sorted(arrays.items())}
    facts: dict[str, Any] = {"path": path, "kind": kind, "bytes": _bytes_of(path), "arrays": listed}
    lines = {"path": path, "kind": kind, "arrays": f"{len(listed):,}"}
    lines |= {f"  {name or '(one array)'}": f"{tuple(shape)} {dtype}" for name, (dtype, shape) in list(listed.items())[:_SHOWN]}
    rows = {
        name: NpyHeader(array.dtype, tuple(array.shape), False, 0)
        for name, array in arrays.items()
        if array.shape and array.shape[0] and array.dtype.kind in "biufc"
    }
    if not rows:
        raise ConfigError(f"{path} has no array of numbers with rows: {', '.join(listed) or 'it is empty'}")
    x, y = choose(rows, rows=True)
    sample = rows[x].nbytes // rows[x].shape[0]
    several = bool(next(iter(arrays)))
    labels = "" if y is None else f", labels=store[{y!r}][:]"
    source = f"MapSource(store[{x!r}]{labels})" if several else "MapSource(store)"
    parts = ("x",) if y is None else ("x", "y")
    histogram = {} if y is None else class_counts(rows[y], lambda: arrays[y][:])
    script = write(source, "MapSource", imports=[import_line], code=f"store = {call}", parts=parts)
    return Finding(facts | batch_bytes(sample), lines | batch_lines(sample), script, histogram)


def _bytes_of(path: str) -> int:
    """Return the size of a file, or of all files in a folder."""
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(path) for name in names)
