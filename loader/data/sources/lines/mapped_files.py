"""Text files as memory, mapped by each process when they are needed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from loader.data.npy.file_io import OPEN_FLAGS, map_file
from loader.data.npy.header import name_path
from loader.data.rows import Indices
from loader.data.sources.arrays.array_column import MAX_MAPPED
from loader.data.sources.lines.line_index import Held, LineIndex
from loader.data.spec import Array
from loader.errors import DecodeError

if TYPE_CHECKING:
    from loader.data.remote.fetcher import Fetcher

_MAX_MAPPED_AHEAD = 64  # files that are mapped before the workers are forked


class MappedFiles:
    """Files whose sizes must not have changed (`loader.data.sources.lines.line_index.TextFiles`). No mapping travels in a pickle.

    Args:
        paths: absolute; or what the files are called, if they are `held` elsewhere.
        sizes: bytes of each.
        held: where the content of each is; None: in itself.

    Attributes:
        fetchers: what brings lines from afar; nothing.
    """

    fetchers: Sequence[Fetcher] = ()

    def __init__(self, paths: Sequence[str], sizes: Sequence[int], held: Sequence[Held] | None = None) -> None:
        self._paths = paths
        self._sizes = sizes
        self._held = held
        self._known: dict[int, Array] = {}

    def open(self) -> None:
        """Map the files, unless they are very many. Raises DecodeError, OSError."""
        for file in range(min(len(self._paths), _MAX_MAPPED_AHEAD)):
            self.content(file)

    def will_read(self, lines: Indices) -> None:
        """Do nothing: the system reads ahead."""

    def versions(self) -> Indices | None:
        """Return None: files of this machine have none."""
        return None

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

    def part(self, file: int, start: int, stop: int) -> memoryview:
        """Return some bytes of a file. Raises as `content` does."""
        return memoryview(self.content(file))[start:stop]

    def line(self, index: LineIndex, file: int, line: int) -> memoryview:
        """Return a line of an index, which is in this file. Raises as `content` does."""
        start = int(index.starts[line])
        return memoryview(self.content(file))[start : start + int(index.lengths[line])]

    def _map(self, file: int) -> Array:
        path, expected = self._paths[file], self._sizes[file]
        if self._held is not None:
            return self._map_held(self._held[file], path)
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

    def _map_held(self, held: Held, path: str) -> Array:
        if not held.nbytes:
            return np.empty(0, np.uint8)
        try:
            with open(held.path, "rb") as file:
                end = held.start + held.nbytes
                if os.fstat(file.fileno()).st_size < end:
                    raise DecodeError(path, f"its copy on this machine, {held.path}, has been cut off")
                return np.frombuffer(map_file(file.fileno(), end), np.uint8)[held.start :]
        except OSError as error:
            raise name_path(error, held.path) from None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_known": {}}
