"""Samples that are kept: where they lie, which ones are there, and how one is added.

Each array of a sample has a column, row i of which belongs to sample i, as in `NpyArrays`. A byte for each sample says whether it is there. It is set
after the last byte of the sample was written. Two processes that make the same sample write the same bytes, so nobody needs a lock.
"""

from __future__ import annotations

import logging
import os
import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from loader.data.rows import Indices
from loader.data.sources.arrays.array_column import ArrayColumn
from loader.data.spec import Array

_log = logging.getLogger("loader.cache")

Flags = npt.NDArray[np.bool_]


def checksum(rows: Sequence[Array]) -> int:
    """Return the checksum of a sample, which is never 0.

    Args:
        rows: one array for each array of the sample, C-contiguous.
    """
    total = 0
    for row in rows:
        total = zlib.crc32(bytes_of(row), total)
    return total or 1


class Records(ABC):
    """Kept samples, of one process.

    Args:
        columns: one for each array of a sample, all of the same number of rows.
        present: whether each sample is there; shared by all workers. Samples beyond the rows of the columns stay 0.
        room: samples before this number may be added.
    """

    def __init__(self, columns: Sequence[ArrayColumn], present: Flags, room: int) -> None:
        self.columns = columns
        self.present = present
        self.room = room

    def find(self, indices: Indices, out: Sequence[Array], places: Indices | None) -> Flags | None:
        """Copy the samples that are there to their rows of `out`; return which of `indices` they are, or None for all.

        Args:
            indices: samples.
            out: one array for each column.
            places: row of `out` for each sample; None: one after the other.
        """
        there: Flags = self.present.take(indices)
        if there.all():
            self.read(indices, out, places)
            return None
        known = np.flatnonzero(there)
        if len(known):
            self.read(indices[known], out, known if places is None else places[known])
        return there

    @property
    def used(self) -> int:
        """How many samples are there."""
        return int(np.count_nonzero(self.present))

    def read(self, indices: Indices, out: Sequence[Array], places: Indices | None) -> None:
        """Copy samples that are there."""
        for column, target in zip(self.columns, out, strict=True):
            column.read(indices, target, places)

    @abstractmethod
    def add(self, index: int, rows: Sequence[Array]) -> None:
        """Keep a sample before `room`: one array of one row for each column, C-contiguous."""


class MemoryRecords(Records):
    """Samples in memory.

    Args:
        arrays: the columns, writable.
        present, room: as of `Records`.
    """

    def __init__(self, arrays: Sequence[Array], present: Flags, room: int) -> None:
        super().__init__([ArrayColumn([array]) for array in arrays], present, room)
        self._arrays = arrays

    def add(self, index: int, rows: Sequence[Array]) -> None:
        for array, row in zip(self._arrays, rows, strict=True):
            array[index : index + 1] = row
        self.present[index] = True


class FileRecords(Records):
    """Samples in files, each with a checksum there.

    A sample that this run has not written is compared with its checksum when it is first read: after a power cut, its bytes may be missing. Files
    are written by `pwrite`, not through their mappings: where the disk is full, that is an error and not a signal that ends the process.

    Args:
        columns: as of `Records`, in files.
        paths: of those files.
        offset: bytes before the first row in each of them.
        checksums: of all samples, mapped; 0 for those that are not there.
        checksum_path: of their file.
        present: of this run.
        room: as of `Records`.
    """

    def __init__(
        self,
        columns: Sequence[ArrayColumn],
        paths: Sequence[str],
        offset: int,
        checksums: npt.NDArray[np.uint32],
        checksum_path: str,
        present: Flags,
        room: int,
    ) -> None:
        super().__init__(columns, present, room)
        self._rows = len(columns[0])
        self._damaged = False
        self._offset = offset
        self._checksums = checksums
        self._fds = [os.open(path, os.O_WRONLY) for path in (*paths, checksum_path)] if room else []

    @property
    def used(self) -> int:
        return int(np.count_nonzero(self._checksums))

    def find(self, indices: Indices, out: Sequence[Array], places: Indices | None) -> Flags | None:
        there = super().find(indices, out, places)
        if there is None:
            return None
        unknown = np.flatnonzero(~there & (indices < self._rows))
        unknown = unknown[self._checksums.take(indices[unknown]) != 0]
        if len(unknown):
            rows = unknown if places is None else places[unknown]
            self.read(indices[unknown], out, rows)
            for place, row in zip(unknown.tolist(), rows.tolist(), strict=True):
                index = int(indices[place])
                there[place] = checksum([target[row : row + 1] for target in out]) == self._checksums[index]
                if there[place]:
                    self.present[index] = True
                elif not self._damaged:
                    self._damaged = True
                    _log.warning("sample %d is damaged in the cache, and is made again, as will be any other", index)
        return None if there.all() else there

    def add(self, index: int, rows: Sequence[Array]) -> None:
        if index >= self.room:
            return
        *fds, checksums = self._fds
        try:
            for fd, row in zip(fds, rows, strict=True):
                write_at(fd, bytes_of(row), self._offset + index * row.nbytes)
            write_at(checksums, memoryview(np.uint32(checksum(rows)).tobytes()), 4 * index)
        except OSError as error:
            _log.warning("no more samples are added to the cache by this process, which can't write to it: %s", error)
            self.room = 0
            return
        self.present[index] = True

    def __del__(self) -> None:
        for fd in getattr(self, "_fds", ()):
            os.close(fd)


def bytes_of(row: Array) -> memoryview:
    """Return the bytes of an array, which is C-contiguous."""
    return row.reshape(-1).view(np.uint8).data


def write_at(fd: int, piece: memoryview, offset: int) -> None:
    """Write the whole of a piece."""
    done = 0
    while done < piece.nbytes:
        done += os.pwrite(fd, piece[done:], offset + done)
