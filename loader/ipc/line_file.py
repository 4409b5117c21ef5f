"""What supervisor and workers print: memfds that stand where their standard output and standard error would be.

A memfd takes whatever is written at any time, so a chatty transform never waits for a reader, and keeps it after everyone who wrote has been
killed. It is opened with O_APPEND: writes of several processes follow one another and do not overwrite. `loader.train.remote.relay` reads it.

    | freed: read, or too old | kept: at most LIMIT_BYTES, see `trim` | ← size: what has been written so far

The journal: what workers tell the supervisor in many words, as lines of JSON in shared memory.

    worker: append, then report        supervisor: read what has come since the last time

Many append to it without a lock: a write to a file opened with O_APPEND goes to its end in one piece. A worker that is killed in the middle of a
write may leave the beginning of a line. So each line also *begins* with a line break, which ends what another one left; what is no JSON is
skipped.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import mmap
import os
import sys
from typing import Any

from loader.ipc import memfd
from loader.ipc.board import fitting_json

# What may wait to be read. More than a person reads; little beside an arena.
LIMIT_BYTES = 8 * 1024 * 1024

_STEP_BYTES = 1024 * 1024


class Output:
    """One stream. Any process that holds it may write; one reads.

    Args:
        fd: made by `create`; the caller owns it.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._position = 0
        self._freed = 0

    @staticmethod
    def create(name: str) -> int:
        """Return the descriptor of an empty stream; the caller owns it."""
        fd = memfd.create(name)
        fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)
        return fd

    def trim(self) -> None:
        """Free what is older than the last `LIMIT_BYTES`. For a process that lives beside the writers, every now and then."""
        self._free(_oldest(os.fstat(self.fd).st_size))

    def read(self, most_bytes: int = LIMIT_BYTES) -> tuple[bytes, int]:
        """Return what has been written since the last call, and how many bytes of it were dropped before that. Frees what it returns.

        Args:
            most_bytes: to return; the rest is kept for the next call, or dropped before that.
        """
        size = os.fstat(self.fd).st_size
        if size == self._position:
            return b"", 0
        if size < self._position:  # someone has opened /dev/stderr for writing, which empties it
            self._position = self._freed = 0
        start = max(self._position, _oldest(size))
        raw = os.pread(self.fd, min(size - start, most_bytes), start)
        # Whoever trims goes by the size, too: what is not older than that now has not been touched while it was read.
        untouched = min(max(start, _oldest(os.fstat(self.fd).st_size)), start + len(raw))
        dropped = untouched - self._position
        self._position = start + len(raw)
        self._free(self._position)
        return raw[untouched - start :], dropped

    def _free(self, end: int) -> None:
        """Free the memory before `end`, in steps, since each costs some system calls."""
        if end < self._freed:
            self._freed = 0
        if end - self._freed >= _STEP_BYTES:
            memfd.free(self.fd, self._freed, end)
            self._freed = end


def _oldest(size: int) -> int:
    return max(0, size - LIMIT_BYTES)


def print_lines() -> None:
    """Have this process and its forks write each line at once and as a whole: a crash then loses none, and lines of two workers do not mix."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(line_buffering=True, write_through=False)


def flush_stdout() -> None:
    """Write what was printed. The stream may be one of the user's that stands in its place, and closed, or none; that is not our business."""
    with contextlib.suppress(Exception):
        sys.stdout.flush()


LINE_BYTES = 64 * 1024
"""Longest line; of a longer one, the longest texts are cut from the front."""

_READ_BYTES = 1024 * 1024
_PAGE_BYTES = mmap.ALLOCATIONGRANULARITY
_FORGET_BYTES = 256 * 1024  # giving pages back costs some microseconds, so not for every line


class Journal:
    """Records in shared memory: appended by forks of the process that made it, or by who opens `memfd.path_of(fd)`; read by that process alone.

    Attributes:
        fd: of the memory. The process that made the journal owns it; forks inherit it.
    """

    def __init__(self) -> None:
        self.fd = memfd.create("journal")
        memfd.appendable(self.fd)
        self._read_to = self._forgotten_to = 0

    def append(self, record: dict[str, Any]) -> None:
        """Append a JSON-able record, in one write. Runs in: a worker, before the report that tells of it."""
        os.write(self.fd, b"\n" + fitting_json(record, LINE_BYTES - 2) + b"\n")

    def read(self) -> list[dict[str, Any]]:
        """Return the records that have been appended since the last call, and forget them. Runs in: the supervisor."""
        pieces: list[bytes] = []
        while piece := os.pread(self.fd, _READ_BYTES, self._read_to + sum(map(len, pieces))):
            pieces.append(piece)
        raw = b"".join(pieces)
        end = raw.rfind(b"\n") + 1  # what follows is the beginning of a line
        self._read_to += end
        self._forget()
        return [record for line in raw[:end].split(b"\n") if line and (record := _parsed(line)) is not None]

    def close(self) -> None:
        """Free the memory. Runs in: the process that made it."""
        os.close(self.fd)

    def _forget(self) -> None:
        end = self._read_to // _PAGE_BYTES * _PAGE_BYTES
        if end - self._forgotten_to >= _FORGET_BYTES:
            memfd.forget(self.fd, self._forgotten_to, end)
            self._forgotten_to = end


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
