"""How many bytes a fetch cache holds, counted by all processes that add to it, without a lock.

The log is a file of numbers: bytes that were added, or taken away if negative. Each of them is one write at the end of the file, which the system
makes whole or not at all, and each process reads what others have added since it last looked. Whoever adds a file writes its bytes before the file
appears: a process that is killed in between leaves a count that is too high, never one that is too low.

Between looking and adding others may add as well. So a cache exceeds its limit by at most one file for each process that fills it.
"""

from __future__ import annotations

import os
import threading

import numpy as np

_RECORD = np.dtype("<i8")
_READ_BYTES = 1 << 20


class Budget:
    """What may still be added. Any thread may ask.

    Args:
        path: of the log, which is made if it is missing.
        max_bytes: of the cache; None: as much as the disk has.
        writable: whether to open it for adding.
    """

    def __init__(self, path: str, max_bytes: int | None, *, writable: bool) -> None:
        self._max_bytes = max_bytes
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND if writable else os.O_RDONLY
        self._fd = os.open(path, flags | os.O_CLOEXEC, 0o666)
        self._read = 0
        self._used = 0
        self._reading = threading.Lock()

    def used(self) -> int:
        """Return how many bytes the cache holds."""
        with self._reading:
            while piece := os.pread(self._fd, _READ_BYTES, self._read):
                whole = piece[: len(piece) // _RECORD.itemsize * _RECORD.itemsize]
                self._used += int(np.frombuffer(whole, _RECORD).sum())
                self._read += len(whole)
                if len(whole) < _READ_BYTES:
                    break
            return self._used

    def fits(self, nbytes: int) -> bool:
        """Return whether so much may be added."""
        return self._max_bytes is None or self.used() + nbytes <= self._max_bytes

    def add(self, nbytes: int) -> None:
        """Count what is added, or, if it is negative, taken away."""
        os.write(self._fd, np.array(nbytes, _RECORD).tobytes())

    def close(self) -> None:
        """Close the log."""
        os.close(self._fd)
