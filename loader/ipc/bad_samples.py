"""Which samples have been bad, in shared memory, so that no process has to find it out again.

    BadSampleLog    all of them, in order     supervisor: note, cast_out        the supervisor that follows it: read
    KnownKillers    not to be tried again     supervisor: add                   workers: look, once per ticket

The log belongs to the trainer, like all that must survive a supervisor. An entry is a signed number of 8 bytes: the index of a bad sample, or,
negative, the complement of the index of one that is not to be tried again. Each is one write to the end of the memory, so it is there as a whole or
not.

A sample is not tried again because it kills its worker or hangs: it would cost three workers, or three times `sample_timeout_s`, in every epoch.
Workers that live already learn of it as well.
"""

from __future__ import annotations

import os
import struct

import numpy as np

from loader.data.rows import Indices
from loader.ipc import memfd

_ENTRY = struct.Struct("<q")


class BadSampleLog:
    """Indices of bad samples, in shared memory.

    Args:
        fd: made by `create`; the caller owns it.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @staticmethod
    def create() -> int:
        """Return the descriptor of an empty log; the caller owns it."""
        fd = memfd.create("bad samples")
        memfd.appendable(fd)
        return fd

    def note(self, index: int) -> None:
        """Note a bad sample."""
        os.write(self._fd, _ENTRY.pack(index))

    def cast_out(self, index: int) -> None:
        """Note a sample that is not to be tried again."""
        os.write(self._fd, _ENTRY.pack(~index))

    def read(self) -> tuple[list[int], list[int]]:
        """Return the bad samples, and those that are not to be tried again, each in the order in which they were noted."""
        raw = os.pread(self._fd, os.fstat(self._fd).st_size, 0)
        entries = [entry for (entry,) in _ENTRY.iter_unpack(raw)]
        return [entry for entry in entries if entry >= 0], [~entry for entry in entries if entry < 0]


CAPACITY = 1023
"""How many are remembered; any further ones are tried again in each epoch."""


class KnownKillers:
    """Indices in shared memory: written by the process that made it, read by its forks. A count, and then that many indices, each plus 1.

    A reader may see the count before the index (`loader.ipc.board`); it then finds a 0, which is none.
    """

    def __init__(self) -> None:
        fd = memfd.create("known killers", 8 * (1 + CAPACITY))
        self._memory = memfd.attach(fd).view(np.int64)
        os.close(fd)
        self._cells = self._memory.data

    def add(self, index: int) -> None:
        """Add a sample. Runs in: the supervisor."""
        count = self._cells[0]
        if count < CAPACITY and index not in self:
            self._cells[1 + count] = index + 1
            self._cells[0] = count + 1

    def __contains__(self, index: int) -> bool:
        return index in self._listed()

    def among(self, indices: Indices) -> list[int]:
        """Return the places in `indices` that hold such samples, in order."""
        if not self._cells[0]:
            return []
        places: list[int] = np.flatnonzero(np.isin(indices, self._listed())).tolist()
        return places

    def _listed(self) -> Indices:
        listed: Indices = self._memory[1 : 1 + self._cells[0]] - 1
        return listed
