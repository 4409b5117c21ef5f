"""Kept samples that have another size than the first one, and so no place in the columns: one after the other in a file.

    others.bin   number of the sample, checksum, its arrays; the next one, …
    places.bin   for each sample of the source: where it begins in others.bin, plus one, or 0; and the lengths of all axes of its arrays

A sample is added by one write at the end of the file (`O_APPEND`), which the system keeps apart from those of other processes, and then its place is
written. Who is killed in between leaves bytes that nobody finds; two that make the same sample write it twice, and either place will do. The number
and the checksum, which each process compares when it first reads a sample, tell bytes that are not those of the sample.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

import numpy as np

from loader.data.npy.file_io import OPEN_FLAGS, map_file, preadv, will_read
from loader.data.rows import Indices
from loader.data.sources.cached.records import Flags, bytes_of, checksum, write_at
from loader.data.spec import Array, Leaf

_HEAD = 2  # int64 before the arrays: number of the sample, checksum

_log = logging.getLogger("loader.cache")


def place_bytes(leaves: Sequence[Leaf]) -> int:
    """Return the bytes of places.bin for each sample."""
    return 8 * (1 + sum(len(leaf.shape) for leaf in leaves))


class OtherSizes:
    """The samples of other sizes, as one process sees them.

    Args:
        path: of others.bin.
        places_path: of places.bin, or of the memory that holds it.
        offset: where it begins there.
        samples: in the source.
        leaves: of the first sample.
        writable: whether samples may be added.
    """

    def __init__(self, path: str, places_path: str, offset: int, samples: int, leaves: Sequence[Leaf], *, writable: bool) -> None:
        self._path = path
        self._leaves = leaves
        self._offset = offset
        self._row_bytes = place_bytes(leaves)
        self._fds: list[int] = []
        for each, flags in ((path, os.O_RDWR | os.O_APPEND if writable else os.O_RDONLY), (places_path, os.O_RDWR if writable else os.O_RDONLY)):
            self._fds.append(os.open(each, flags | OPEN_FLAGS))
        self._file, self._places_file = self._fds
        self._pid = os.getpid()
        self.writable = writable
        mapped = map_file(self._places_file, offset + samples * self._row_bytes)
        self._places: Indices = np.frombuffer(mapped, np.int64, offset=offset).reshape(samples, -1)
        self._starts = self._places[:, 0]
        self._compared: Flags = np.zeros(samples, np.bool_)

    @property
    def nbytes(self) -> int:
        """Bytes of all that was ever added."""
        return os.fstat(self._file).st_size

    def here(self, indices: Indices) -> Flags:
        """Return which of some samples are here."""
        found: Flags = self._starts[indices] > 0
        return found

    def find(self, index: int) -> list[Array] | None:
        """Return new arrays with a sample, or None if it is not there."""
        if not self._starts.item(index):
            return None
        start, *lengths = self._places[index].tolist()
        rest, shapes = iter(lengths), []
        for leaf in self._leaves:
            shapes.append(tuple(next(rest) for _ in leaf.shape))
        size = 8 * _HEAD + sum(leaf.dtype.itemsize * int(np.prod(shape)) for leaf, shape in zip(self._leaves, shapes, strict=True))
        if min(lengths, default=0) < 0 or not 0 < start <= start - 1 + size <= self.nbytes:
            return None
        head = np.empty(_HEAD, np.int64)
        arrays = [np.empty(shape, leaf.dtype) for leaf, shape in zip(self._leaves, shapes, strict=True)]
        if preadv(self._file, [bytes_of(head), *map(bytes_of, arrays)], start - 1) != size or head[0] != index:
            return None
        if not self._compared[index]:
            if head[1] != checksum(arrays):
                _log.warning("sample %d is damaged in the cache, and is made again", index)
                return None
            self._compared[index] = True
        return arrays

    def add(self, index: int, arrays: Sequence[Array]) -> None:
        """Keep a sample: its arrays, C-contiguous."""
        if not self.writable or os.getpid() != self._pid:  # a fork has the same position in the file
            return
        head = np.array([index, checksum(arrays)], np.int64)
        pieces = [bytes_of(head), *map(bytes_of, arrays)]
        size = sum(piece.nbytes for piece in pieces)
        try:
            if os.writev(self._file, pieces) != size:
                raise OSError("a sample was written in part only")
            start = os.lseek(self._file, 0, os.SEEK_CUR) - size
            place = np.array([start + 1, *(length for array in arrays for length in array.shape)], np.int64)
            write_at(self._places_file, bytes_of(place), self._offset + index * self._row_bytes)
        except OSError as error:
            _log.warning("no more samples of other sizes are added to the cache by this process, which can't write to it: %s", error)
            self.writable = False
            return
        self._compared[index] = True

    def will_read(self, indices: Indices) -> Flags:
        """Ask the system to fetch those of some samples that are here; return which these are."""
        here = self.here(indices)
        sizes = [leaf.dtype.itemsize for leaf in self._leaves]
        spans = []
        for start, *lengths in self._places[indices[here]].tolist():
            rest = iter(lengths)
            nbytes = sum(size * int(np.prod([next(rest) for _ in leaf.shape])) for size, leaf in zip(sizes, self._leaves, strict=True))
            spans.append((start - 1, start - 1 + 8 * _HEAD + nbytes))
        will_read(self._path, spans)
        return here

    def __del__(self) -> None:
        for fd in getattr(self, "_fds", ()):
            os.close(fd)
