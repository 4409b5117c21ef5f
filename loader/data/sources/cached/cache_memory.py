"""Samples in memory that all workers of a process's loaders share. It is freed with the source, or with the process that made it.

    | a byte for each sample: whether it is there | column of the first array | column of the second | … | places of samples of other sizes |

and these samples in memory of their own. The process that makes the source keeps both. So they outlive a supervisor, and two loaders over parts of
one source fill them together.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from typing import Any

import numpy as np

from loader.data.layout import align
from loader.data.sources.cached.other_sizes import OtherSizes, place_bytes
from loader.data.sources.cached.records import MemoryRecords
from loader.data.spec import SampleSpec


class CacheMemory:
    """Shared memory of no size at first."""

    def __init__(self) -> None:
        self._columns = _Shared("cache")
        self._others = _Shared("cache, other sizes")

    def records(self, spec: SampleSpec, samples: int, rows: int) -> tuple[MemoryRecords, OtherSizes]:
        """Map the memory; its pages are made when samples are added.

        Args:
            spec: of a sample.
            samples: in the source.
            rows: samples that are kept.
        """
        offsets = [align(samples)]
        for leaf in spec.leaves:
            offsets.append(align(offsets[-1] + rows * leaf.nbytes))
        size = offsets[-1] + samples * place_bytes(spec.leaves)
        os.ftruncate(self._columns.fd, size)
        memory = np.frombuffer(mmap.mmap(self._columns.fd, size), np.uint8)
        arrays = [
            memory[start : start + rows * leaf.nbytes].view(leaf.dtype).reshape(rows, *leaf.shape)
            for start, leaf in zip(offsets, spec.leaves, strict=False)
        ]
        others = OtherSizes(self._others.path, self._columns.path, offsets[-1], samples, spec.leaves, writable=True)
        return MemoryRecords(arrays, memory[:samples].view(np.bool_), rows), others

    def present_bytes(self) -> int:
        """Return the bytes of all pages that have been made."""
        return sum(os.fstat(shared.fd).st_blocks * 512 for shared in (self._columns, self._others))


class _Shared:
    """A piece of shared memory. What travels in a pickle is where another process finds it.

    Attributes:
        fd: descriptor of this process.
        path: by which processes can open it, as long as the one that made it keeps it.
    """

    def __init__(self, name: str) -> None:
        self._make(name)

    def _make(self, name: str) -> None:
        from loader.ipc import memfd  # here, as shared memory is made in one place, below this one

        self.fd = memfd.create(name)
        self.path = memfd.path_of(self.fd)

    def __getstate__(self) -> dict[str, Any]:
        found = os.fstat(self.fd)
        return {"path": self.path, "inode": (found.st_dev, found.st_ino)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.path = state["path"]
        with contextlib.suppress(OSError):
            fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
            found = os.fstat(fd)
            if (found.st_dev, found.st_ino) == state["inode"]:
                self.fd = fd
                return
            os.close(fd)  # the one that is meant is gone, and another file has its number
        self._make("cache")

    def __del__(self) -> None:
        if hasattr(self, "fd"):
            os.close(self.fd)
