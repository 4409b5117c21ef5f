"""The shapes of files, remembered from one run to the next (`loader.data.sources.remembering`).

What is remembered for one list of paths has size and time of change of each of these files as they were before it was looked at. A file that is no
longer so is looked at again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from loader.data.rows import Indices
from loader.data.sources.remembering import load, place_of, store

_FORM = 1  # of the files in the folder; one more whenever they, or what headers are taken for, change
_GONE = (-1, -1)


def remembered(paths: Sequence[bytes], reader: str, width: int, find: Callable[[Indices], Indices], stamps: Indices | None = None) -> Indices:
    """Return the shapes of files, int64 of shape `(len(paths), width)`: those that are remembered, and for the others what `find` returns.

    Args:
        paths: of the files, absolute.
        reader: what makes samples of them, in words that say all that shapes depend on.
        width: lengths that the shapes of one file have.
        find: is given places in `paths` and returns the shapes of these files, one row for each.
        stamps: two numbers for each that change with it, of shape `(len(paths), 2)`; None: size and time, as the system tells them.
    """
    if stamps is None:
        stamps = np.array([_stamp(path) for path in paths], np.int64).reshape(-1, 2)
    place = place_of("shapes", [f"{_FORM}\0{reader}\0{width}".encode(), *paths])
    known = None if place is None else _load(place, len(paths), width)
    shapes = np.empty((len(paths), width), np.int64)
    if known is not None:
        unchanged = (known[:, :2] == stamps).all(1) & (known[:, 2:] >= 0).all(1)  # what could not be read may be readable now
        shapes[unchanged] = known[unchanged, 2:]
    missing = np.arange(len(paths)) if known is None else np.flatnonzero(~unchanged)
    if len(missing):
        shapes[missing] = find(missing)
        if place is not None:
            store(place, {"table": np.concatenate([stamps, shapes], axis=1)})
    return shapes


def _stamp(path: bytes) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:  # whoever reads the file will say so
        return _GONE
    return found.st_size, found.st_mtime_ns


def _load(place: Path, files: int, width: int) -> Indices | None:
    """Return a table of sizes, times and shapes, `(files, 2 + width)`; None if there is no such one."""
    table = (load(place) or {}).get("table")
    return table if table is not None and table.dtype == np.int64 and table.shape == (files, 2 + width) else None
