"""Which files of a folder are opened, by whomever: what a loader has read that nobody has taken yet."""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path
from typing import Any

_IN_OPEN = 0x20  # inotify(7)
_EVENT = struct.Struct("iIII")
_MOST_BYTES = 1 << 20


class Opened:
    """Watches a folder while it is a context."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: set[bytes] = set()
        self._watch = -1

    def __enter__(self) -> Opened:
        libc = ctypes.CDLL(None, use_errno=True)
        self._watch = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._watch < 0 or libc.inotify_add_watch(self._watch, os.fsencode(self._folder), _IN_OPEN) < 0:
            raise OSError(ctypes.get_errno(), f"{self._folder} can't be watched")
        return self

    def __exit__(self, *_: Any) -> None:
        os.close(self._watch)

    def names(self) -> set[bytes]:
        """Return the names of the files that have been opened so far."""
        while True:
            try:
                events = os.read(self._watch, _MOST_BYTES)
            except BlockingIOError:
                return self._names
            start = 0
            while start < len(events):
                *_, length = _EVENT.unpack_from(events, start)
                start += _EVENT.size
                if length:  # else the folder itself
                    self._names.add(events[start : start + length].rstrip(b"\0"))
                start += length
