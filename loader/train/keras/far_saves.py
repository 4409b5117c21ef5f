"""Saves below a URL, as `saves.py` has them in a folder. Stores have no renames, but an object is written whole or not at all.

newest.json      which of the two counts, and its files with their sizes; it is written last
a/, b/           two saves, written by turns; the one that does not count may be incomplete
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loader.data.remote.local_copies import path_below
from loader.data.remote.objects import UNKNOWN_VERSION, Copy, Span
from loader.data.remote.options import StorageOptions
from loader.data.remote.scouting.scout import Scout
from loader.errors import DataNotFoundError, FetchError

_NEWEST = "newest.json"
_OTHER = {"a": "b", "b": "a"}

_log = logging.getLogger("loader")


class FarSaves:
    """The saves below one URL. One process writes to it.

    Args:
        url: of the folder.
        options: of its store.

    Attributes:
        place: as given.
    """

    def __init__(self, url: str, options: Mapping[str, Any] | None) -> None:
        self.place = url
        self._scout = Scout(StorageOptions(options))
        self._counts: str | None = None  # which save
        self._sent = False
        self._doubtful = False  # which save counts: whether the list of a new one arrived is not known if its answer did not come

    @contextmanager
    def newest(self) -> Iterator[Path | None]:
        """Give a folder with a copy of the newest save, or None, to read from: it is removed afterwards. Raises FetchError, ConfigError."""
        url = f"{self.place}/{_NEWEST}"
        try:
            content = self._scout.content(Span(url))
        except DataNotFoundError:
            yield None
            return
        with tempfile.TemporaryDirectory(prefix="loader-save-") as copy:
            self._counts, sizes = _listed(url, content, copy)
            for path in sizes:
                os.makedirs(os.path.dirname(path), exist_ok=True)
            save = f"{self.place}/{self._counts}"
            self._scout.bring([Copy(f"{save}/{os.path.relpath(path, copy)}", size, UNKNOWN_VERSION, path) for path, size in sizes.items()])
            yield Path(copy)

    @contextmanager
    def new(self) -> Iterator[Path]:
        """Give an empty folder to write a save into, which counts once it has been sent, and not before.

        A network that fails later is a warning: the save before counts, and the next one is sent again. At the first save, it is an error.
        """
        with tempfile.TemporaryDirectory(prefix="loader-save-") as writing:
            yield Path(writing)
            try:
                self._send(Path(writing))
            except FetchError as error:
                if not self._sent:
                    raise
                what = f"a save could not be sent, and the one before it counts: {error}"
                _log.warning(what)
                warnings.warn(what, RuntimeWarning, stacklevel=4)

    def _send(self, folder: Path) -> None:
        if self._doubtful:
            self._counts, self._doubtful = self._named(), False
        save = _OTHER[self._counts or "b"]
        sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()}
        self._scout.send([(str(folder / name), f"{self.place}/{save}/{name}") for name in sizes])
        index = os.path.join(folder, _NEWEST)
        with open(index, "w") as file:
            json.dump({"save": save, "files": sizes}, file)
        self._doubtful = True
        self._scout.send([(index, f"{self.place}/{_NEWEST}")])
        self._counts, self._sent, self._doubtful = save, True, False

    def _named(self) -> str | None:
        """Return which save counts, as the store says; None if none does. Raises FetchError."""
        url = f"{self.place}/{_NEWEST}"
        try:
            return _listed(url, self._scout.content(Span(url)), os.sep)[0]
        except DataNotFoundError:
            return None


def _listed(url: str, content: bytes, folder: str) -> tuple[str, dict[str, int]]:
    """Return which save counts, and where in a folder each of its files goes, with its size. Raises FetchError."""
    try:
        known = json.loads(content)
        save, sizes = known["save"], {path_below(folder, name): int(size) for name, size in known["files"].items()}
        good = save in _OTHER and len(sizes) > 0
    except (ValueError, TypeError, KeyError, AttributeError):
        good = False
    if not good or None in sizes:
        raise FetchError(url, "does not say which save counts and which files it has. What to do: delete what is there, or give another folder")
    return save, {path: size for path, size in sizes.items() if path is not None}
