"""Saves below a URL, as `saves.py` has them in a folder. Stores have no renames, but an object is written whole or not at all.

newest.json      which of the two counts, and its files; it is written last
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

from loader.data.remote.objects import Span
from loader.data.remote.options import StorageOptions
from loader.data.remote.scouting import Scout
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
        self._copy: tempfile.TemporaryDirectory[str] | None = None

    def newest(self) -> Path | None:
        """Return a folder with a copy of the newest save, or None. Raises FetchError, ConfigError."""
        try:
            known = json.loads(self._scout.content(Span(f"{self.place}/{_NEWEST}")))
        except DataNotFoundError:
            return None
        self._counts = known["save"]
        self._copy = tempfile.TemporaryDirectory(prefix="loader-save-")
        folder = Path(self._copy.name)
        for name in known["files"]:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self._scout.content(Span(f"{self.place}/{self._counts}/{name}")))
        return folder

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
        save = _OTHER[self._counts or "b"]
        names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
        self._scout.send([(str(folder / name), f"{self.place}/{save}/{name}") for name in names])
        index = os.path.join(folder, _NEWEST)
        with open(index, "w") as file:
            json.dump({"save": save, "files": names}, file)
        self._scout.send([(index, f"{self.place}/{_NEWEST}")])
        self._counts, self._sent = save, True
