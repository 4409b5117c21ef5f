"""What was found out about data, remembered from one run to the next in folders of the user's: `$XDG_CACHE_HOME/loader/KIND`.

Each file there holds arrays, and its name is a hash of all that they depend on. What can't be read there is not known, and what can't be written is
not remembered.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from loader.data.spec import Array

_MOST = 64  # files of a kind
_MOST_BYTES = 4 * 2**30  # of them

_log = logging.getLogger("loader")


def home_of(kind: str) -> Path | None:
    """Return the folder for what is kept of a kind; None if this user has no place for that: no home, as in many containers."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(home, "loader", kind) if os.path.isabs(home) else None


def place_of(kind: str, parts: Sequence[bytes]) -> Path | None:
    """Return the file that remembers what depends on `parts`; None if this user has no place for that."""
    home = home_of(kind)
    if home is None:
        return None
    import hashlib

    return Path(home, f"{hashlib.sha256(bytes([0]).join(parts)).hexdigest()}.npz")


def load(place: Path) -> dict[str, Array] | None:
    """Return the arrays of a file; None if it is not there, or damaged."""
    import zipfile

    try:
        with np.load(place, allow_pickle=False) as archive:  # a zip archive: its checksum tells damage
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, MemoryError) as error:  # also a lack of memory for damaged lengths
        _log.info("what was remembered of the data can't be read, and is found out again: %s: %s", place, error)
        return None
    with contextlib.suppress(OSError):
        os.utime(place)  # the ones that nobody asks for are forgotten first
    return arrays


def store(place: Path, arrays: Mapping[str, Array]) -> None:
    """Write a file whole or not at all, whoever else writes it at the same time."""
    import tempfile

    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=place.parent, suffix=".part")
        try:
            with open(handle, "wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
            os.replace(name, place)
        except BaseException:
            os.unlink(name)
            raise
        _forget(place.parent)
    except OSError as error:
        _log.info("what was found out about the data can't be remembered for the next run: %s", error)


def _forget(home: Path) -> None:
    """Remove the files that were not used for longest, and what writers that died have left."""
    found = sorted(((status.st_mtime_ns, status.st_size, entry.path) for entry in os.scandir(home) if (status := entry.stat())), reverse=True)
    nbytes = 0
    for number, (_, size, path) in enumerate(found):
        nbytes += size
        if number >= _MOST or nbytes > _MOST_BYTES:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
