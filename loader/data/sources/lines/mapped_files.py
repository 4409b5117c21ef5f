"""Text files as memory, mapped by each process when they are needed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from loader.data.npy.file_io import OPEN_FLAGS, map_file
from loader.data.npy.header import name_path
from loader.data.sources.arrays.array_column import MAX_MAPPED
from loader.data.spec import Array
from loader.errors import DecodeError

_MAX_MAPPED_AHEAD = 64  # files that are mapped before the workers are forked


class MappedFiles:
    """Files whose sizes must not have changed. No mapping travels in a pickle.

    Args:
        paths: absolute.
        sizes: bytes of each.
    """

    def __init__(self, paths: Sequence[str], sizes: Sequence[int]) -> None:
        self._paths = paths
        self._sizes = sizes
        self._known: dict[int, Array] = {}

    def open(self) -> None:
        """Map the files, unless they are very many. Raises DecodeError, OSError."""
        for file in range(min(len(self._paths), _MAX_MAPPED_AHEAD)):
            self.content(file)

    def content(self, file: int) -> Array:
        """Return all bytes of a file, read-only.

        Raises:
            DecodeError: the file has another size than it had.
            OSError: with the path in it.
        """
        known = self._known.get(file)
        if known is None:
            if len(self._known) >= MAX_MAPPED:
                self._known.pop(next(iter(self._known)))
            known = self._known[file] = self._map(file)
        return known

    def _map(self, file: int) -> Array:
        path, expected = self._paths[file], self._sizes[file]
        try:
            fd = os.open(path, OPEN_FLAGS)
            try:
                size = os.fstat(fd).st_size
                if size != expected:
                    raise DecodeError(
                        path,
                        f"had {expected:,} bytes when its lines were found, now it has {size:,}. Make the source again",
                    )
                return np.frombuffer(map_file(fd, size), np.uint8) if size else np.empty(0, np.uint8)
            finally:
                os.close(fd)
        except OSError as error:
            raise name_path(error, path) from None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_known": {}}
