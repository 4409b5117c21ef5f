"""A file that a command writes at its end, on this machine or at a URL."""

from __future__ import annotations

import os
import tempfile

from loader.data.remote.options import StorageOptions
from loader.data.remote.scouting.scout import Scout
from loader.data.remote.urls import check_url, is_url


class Writable:
    """A file that is made at once, empty, so that it is known before the work whether it can be written.

    Args:
        place: path or URL.

    Raises:
        OSError: it can't be written; `FetchError` if it is a URL.
        ConfigError: the URL is none of a store.
    """

    def __init__(self, place: str) -> None:
        self._place = check_url(place) if is_url(place) else place
        self.write("")

    def write(self, text: str) -> None:
        """Write the whole file. Raises OSError."""
        if not is_url(self._place):
            with open(self._place, "w") as file:
                file.write(text)
            return
        with tempfile.TemporaryDirectory(prefix="loader-") as folder:
            path = os.path.join(folder, "file")
            with open(path, "w") as file:
                file.write(text)
            Scout(StorageOptions()).send([(path, self._place)])
