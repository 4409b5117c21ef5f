"""Lines that many processes append without a lock and that one process reads: what they print, what they log, what they report about bad samples.

    writers: print, or `append`        reader: `read`, `records`        whoever lives beside the writers: `trim`

    | freed: read, or too old | not read yet | ← size: what has been written so far

A memfd takes whatever is written at any time, so a writer never waits for the reader, and keeps it after all writers have been killed. It is opened
with O_APPEND: each write goes to its end in one piece. A process that is killed in the middle of a write may leave the beginning of a line. So each
record also *begins* with a line break, which ends what another one left; the reader skips empty lines and what is no JSON.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import sys
from typing import Any

from loader.ipc import memfd
from loader.ipc.text_area import fitting_json

LIMIT_BYTES = 8 * 1024 * 1024
"""How much printed and logged text may wait to be read: more than a person reads, little compared with an arena."""

LINE_BYTES = 64 * 1024
"""Longest record, with its line breaks; in a longer one, the longest texts are cut from the front."""

_FREE_BYTES = 256 * 1024  # giving pages back costs some microseconds, so not for every line


class LineFile:
    """Lines in shared memory. Any process that holds the descriptor may write; one reads, by one object.

    Args:
        fd: made by `create`, whose caller owns it; or of any file that was opened for appending.
        limit_bytes: how much may wait to be read; what is older is dropped. None: all of it.
    """

    def __init__(self, fd: int, limit_bytes: int | None = None) -> None:
        self.fd = fd
        self._limit_bytes = limit_bytes
        self._position = 0
        self._freed = 0

    @classmethod
    def create(cls, name: str, limit_bytes: int | None = None) -> LineFile:
        """Return a new, empty one. The caller owns the memory, and frees it by `close`."""
        fd = memfd.create(name)
        memfd.appendable(fd)
        return cls(fd, limit_bytes)

    def append(self, record: dict[str, Any], lead: bytes = b"\n") -> None:
        """Append a JSON-able record as a line, in one write.

        Args:
            record: see `LINE_BYTES`.
            lead: what ends the line that another writer may have left unfinished.
        """
        os.write(self.fd, lead + fitting_json(record, LINE_BYTES - 2) + b"\n")

    def read(self, most_bytes: int | None = None, *, whole_lines: bool = False) -> tuple[bytes, int]:
        """Return what has been written since the last call, and how many bytes of it were dropped before that. Frees what it returns.

        Args:
            most_bytes: to return; the rest is kept for the next call, or dropped before that. For whole lines at least `LINE_BYTES`.
            whole_lines: keep the beginning of a line for the next call.
        """
        size = os.fstat(self.fd).st_size
        if size == self._position:
            return b"", 0
        if size < self._position:  # someone has opened /dev/stderr for writing, which empties it
            self._position = self._freed = 0
        start = max(self._position, self._oldest(size))
        raw = os.pread(self.fd, min(size - start, most_bytes or size), start)
        if self._limit_bytes is not None:
            # Trimming also goes by the size: what it would not drop now was not dropped while it was read.
            untouched = min(max(start, self._oldest(os.fstat(self.fd).st_size)), start + len(raw))
            raw, start = raw[untouched - start :], untouched
        if whole_lines:
            raw = raw[: raw.rfind(b"\n") + 1]
        dropped = start - self._position
        self._position = start + len(raw)
        self._free(self._position)
        return raw, dropped

    def records(self) -> list[dict[str, Any]]:
        """Return the records that have been appended since the last call."""
        return records_in(self.read(whole_lines=True)[0])

    def trim(self) -> None:
        """Free what is dropped. To be called now and then, by a process that lives as long as the writers."""
        self._free(self._oldest(os.fstat(self.fd).st_size))

    def close(self) -> None:
        """Close the descriptor. The memory is freed when nobody holds it any more."""
        os.close(self.fd)

    def _oldest(self, size: int) -> int:
        """Return where the part begins that is not dropped yet."""
        return 0 if self._limit_bytes is None else max(0, size - self._limit_bytes)

    def _free(self, end: int) -> None:
        """Free the pages before `end`, in steps."""
        end -= end % mmap.PAGESIZE
        if end < self._freed:
            self._freed = 0
        if end - self._freed >= _FREE_BYTES:
            memfd.free(self.fd, self._freed, end)
            self._freed = end


def records_in(raw: bytes) -> list[dict[str, Any]]:
    """Return the records in some lines, without those whose writer was killed halfway, or whose beginning was dropped."""
    return [record for line in raw.split(b"\n") if line and (record := _record(line)) is not None]


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def print_lines() -> None:
    """Have this process and its forks write each line at once and as a whole: a crash then loses none, and lines of two workers do not mix."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(line_buffering=True, write_through=False)


def flush_stdout() -> None:
    """Write what was printed. User code may have put another stream in its place, a closed one, or none: that must not fail here."""
    with contextlib.suppress(Exception):
        sys.stdout.flush()
