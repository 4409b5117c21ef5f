"""The journal: what workers tell the supervisor in many words, as lines of JSON in shared memory.

    worker: append, then report        supervisor: read what has come since the last time

Many append to it without a lock: a write to a file opened with O_APPEND goes to its end in one piece. A worker that is killed in the middle of a
write may leave the beginning of a line. So each line also *begins* with a line break, which ends what another one left; what is no JSON is
skipped.
"""

from __future__ import annotations

import json
import mmap
import os
from typing import Any

from loader.ipc import memfd
from loader.ipc.board import fitting_json

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
