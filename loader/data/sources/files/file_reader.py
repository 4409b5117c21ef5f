"""Whole files, one after the other, into one buffer."""

from __future__ import annotations

import os

from loader.data.npy.file_io import OPEN_FLAGS, preadv

_FIRST_BYTES = 256 * 1024


class FileReader:
    """Reads files into memory that it reuses: `open`, `preadv` twice, `close`. Each process makes its own; one thread at a time."""

    def __init__(self) -> None:
        self._buffer = memoryview(bytearray(_FIRST_BYTES))

    def read(self, path: str | bytes) -> memoryview:
        """Return the content of a file, valid until the next call. Raises OSError."""
        fd = os.open(path, OPEN_FLAGS)
        try:
            total = 0
            while got := preadv(fd, [self._buffer[total:]], total):  # until nothing comes: a network file system may return less than there is
                total += got
                if total == len(self._buffer):
                    self._grow(max(2 * total, os.fstat(fd).st_size + 1))
        finally:
            os.close(fd)
        return self._buffer[:total]

    def _grow(self, nbytes: int) -> None:
        larger = memoryview(bytearray(nbytes))
        larger[: len(self._buffer)] = self._buffer
        self._buffer = larger
