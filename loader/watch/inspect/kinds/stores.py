"""HDF5 files and Zarr folders: the arrays in them, opened by their own libraries where these are installed."""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import Any

from loader.data.npy.header import NpyHeader
from loader.errors import ConfigError
from loader.watch.inspect.finding import Finding, batch_bytes, batch_lines, class_counts
from loader.watch.inspect.kinds.archives import choose
from loader.watch.inspect.snippet import write

_SHOWN = 20  # arrays


def hdf5_file(path: str) -> Finding:
    """Return which datasets an HDF5 file has. Raises ConfigError if h5py is not installed, OSError."""
    _check_installed("h5py", path)
    h5py = importlib.import_module("h5py")
    arrays: dict[str, Any] = {}

    def note(name: str, thing: Any) -> None:
        if isinstance(thing, h5py.Dataset):
            arrays[name] = thing

    with h5py.File(path, "r") as file:
        file.visititems(note)
        return _finding(path, "HDF5 file", arrays, "import h5py", f"h5py.File({path!r}, 'r')")


def zarr_folder(path: str) -> Finding:
    """Return which arrays a Zarr folder has. Raises ConfigError if zarr is not installed, OSError."""
    _check_installed("zarr", path)
    opened = importlib.import_module("zarr").open(path, mode="r")
    call = f"zarr.open({path!r}, mode='r')"
    return _finding(path, "Zarr folder", {"": opened} if hasattr(opened, "shape") else _arrays_in(opened), "import zarr", call)


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
