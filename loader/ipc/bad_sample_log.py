"""Which samples have been bad, in the order in which they were found, for the supervisor that follows a killed one.

    supervisor: note, note_killer     the one that follows it: read

It belongs to the trainer, like all that must outlive a supervisor. An entry is a signed number of 8 bytes: the index of a bad sample, or, negative,
the complement of the index of one that is not to be tried again. Each is one write to the end of the memory, so it is there as a whole or not.
"""

from __future__ import annotations

import os
import struct

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

    def note_killer(self, index: int) -> None:
        """Note a sample that is not to be tried again."""
        os.write(self._fd, _ENTRY.pack(~index))

    def read(self) -> tuple[list[int], list[int]]:
        """Return the bad samples, and those that are not to be tried again, each in the order in which they were noted."""
        raw = os.pread(self._fd, os.fstat(self._fd).st_size, 0)
        entries = [entry for (entry,) in _ENTRY.iter_unpack(raw)]
        return [entry for entry in entries if entry >= 0], [~entry for entry in entries if entry < 0]
