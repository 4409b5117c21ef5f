"""Samples that are not to be tried again, because they kill their workers or hang: known to all workers, also to those that live already.

    supervisor: add        workers: look, once per ticket

Without it, such a sample would cost three workers, or three times `sample_timeout_s`, in every epoch.
"""

from __future__ import annotations

import os

import numpy as np

from loader.data.source import Indices
from loader.ipc import memfd

CAPACITY = 1023
"""How many are remembered; any further ones are tried again in each epoch."""


class Outcasts:
    """Indices in shared memory: written by the process that made it, read by its forks. A count, and then that many indices, each plus 1.

    A reader may see the count before the index (`loader.ipc.board`); it then finds a 0, which is none.
    """

    def __init__(self) -> None:
        fd = memfd.create("outcasts", 8 * (1 + CAPACITY))
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
