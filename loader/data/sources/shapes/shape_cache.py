"""The shapes of files, remembered from one run to the next in a folder of the user's: `$XDG_CACHE_HOME/loader/shapes`.

One file there holds the shapes for one list of paths, with size and time of change of each of these files as they were before it was looked at. A
file that is no longer so is looked at again. What can't be read there is not known, and what can't be written is not remembered.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from loader.data.rows import Indices

_FORM = 1  # of the files in the folder; one more whenever they, or what headers are taken for, change
_MOST = 64  # lists of paths that are remembered
_GONE = (-1, -1)

_log = logging.getLogger("loader")


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
    place = _place(paths, reader, width)
    known = None if place is None else _load(place, len(paths), width)
    shapes = np.empty((len(paths), width), np.int64)
    if known is not None:
        unchanged = (known[:, :2] == stamps).all(1) & (known[:, 2:] >= 0).all(1)  # what could not be read may be readable now
        shapes[unchanged] = known[unchanged, 2:]
    missing = np.arange(len(paths)) if known is None else np.flatnonzero(~unchanged)
    if len(missing):
        shapes[missing] = find(missing)
        if place is not None:
            _store(place, np.concatenate([stamps, shapes], axis=1))
    return shapes


def folder() -> Path | None:
    """Return where shapes are remembered; None if this user has no place for that."""
    given = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(given, "loader", "shapes") if os.path.isabs(given) else None


def _stamp(path: bytes) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:  # whoever reads the file will say so
        return _GONE
    return found.st_size, found.st_mtime_ns


def _place(paths: Sequence[bytes], reader: str, width: int) -> Path | None:
    home = folder()
    if home is None:
        return None
    import hashlib

    digest = hashlib.sha256(f"{_FORM}\0{reader}\0{width}\0".encode())
    digest.update(b"\0".join(paths))
    return home / f"{digest.hexdigest()}.npz"


def _load(place: Path, files: int, width: int) -> Indices | None:
    """Return a table of sizes, times and shapes, `(files, 2 + width)`; None if there is no such one."""
    import zipfile

    try:
        with np.load(place, allow_pickle=False) as archive:  # a zip archive: its checksum tells damage
            table: Indices = archive["table"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, MemoryError) as error:  # also a lack of memory for damaged lengths
        _log.info("what was remembered of the shapes of samples can't be read, and is found out again: %s: %s", place, error)
        return None
    with contextlib.suppress(OSError):
        os.utime(place)  # the ones that nobody asks for are forgotten first
    usable = table.dtype == np.int64 and table.shape == (files, 2 + width)
    return table if usable else None


def _store(place: Path, table: Indices) -> None:
    """Write a table whole or not at all, whoever else writes it at the same time."""
    import tempfile

    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=place.parent, suffix=".part")
        try:
            with open(handle, "wb") as file:
                np.savez(file, table=table)
            os.replace(name, place)
        except BaseException:
            os.unlink(name)
            raise
        _forget(place.parent)
    except OSError as error:
        _log.info("the shapes of samples can't be remembered for the next run: %s", error)


def _forget(home: Path) -> None:
    """Remove the files that were not used for longest, and what writers that died have left."""
    found = sorted(((entry.stat().st_mtime_ns, entry.path) for entry in os.scandir(home)), reverse=True)
    for _, path in found[_MOST:]:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
