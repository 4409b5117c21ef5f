"""Samples in memory that all workers of a process's loaders share. It is freed with the source, or with the process that made it.

    | a byte for each sample: whether it is there | column of the first array | column of the second | …

The process that makes the source keeps the memory. So it outlives a supervisor, and two loaders over parts of one source fill it together.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from typing import Any

import numpy as np

from loader.data.layout import align
from loader.data.sources.cached.records import MemoryRecords
from loader.data.spec import SampleSpec


class CacheMemory:
    """Shared memory of no size at first. What travels in a pickle is where another process finds it."""

    def __init__(self) -> None:
        self._make()

    def _make(self) -> None:
        from loader.ipc import memfd  # here, as shared memory is made in one place, below this one

        self._fd = memfd.create("cache")
        self._path = memfd.path_of(self._fd)

    def records(self, spec: SampleSpec, samples: int, rows: int) -> MemoryRecords:
        """Map the memory; its pages are made when samples are added.

        Args:
            spec: of a sample.
            samples: in the source.
            rows: samples that are kept.
        """
        offsets = [align(samples)]
        for leaf in spec.leaves:
            offsets.append(align(offsets[-1] + rows * leaf.nbytes))
        os.ftruncate(self._fd, offsets[-1])
        memory = np.frombuffer(mmap.mmap(self._fd, offsets[-1]), np.uint8)
        arrays = [
            memory[start : start + rows * leaf.nbytes].view(leaf.dtype).reshape(rows, *leaf.shape)
            for start, leaf in zip(offsets, spec.leaves, strict=False)
        ]
        return MemoryRecords(arrays, memory[:samples].view(np.bool_), rows)

    def present_bytes(self) -> int:
        """Return the bytes of all pages that have been made."""
        return os.fstat(self._fd).st_blocks * 512

    def __getstate__(self) -> dict[str, Any]:
        found = os.fstat(self._fd)
        return {"path": self._path, "inode": (found.st_dev, found.st_ino)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._path = state["path"]
        with contextlib.suppress(OSError):
            fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
            found = os.fstat(fd)
            if (found.st_dev, found.st_ino) == state["inode"]:
                self._fd = fd
                return
            os.close(fd)  # the one that is meant is gone, and another file has its number
        self._make()

    def __del__(self) -> None:
        if hasattr(self, "_fd"):
            os.close(self._fd)
