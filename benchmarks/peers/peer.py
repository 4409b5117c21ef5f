"""What a peer is to the benchmark: a name, a version, and an endless iterator of batches for each task that it can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

import cv2

from benchmarks.workloads import Workload

SIZE = 224  # of pictures
SEED = 7


class Unsupported(Exception):
    """The peer has no way of its own to do this task."""


class Peer(ABC):
    """One loader, used as its own documentation shows.

    Attributes:
        title: its name in tables.
        parallel: what its number of workers is called.
        counts: the numbers that are tried; the fastest counts.
    """

    title: ClassVar[str]
    parallel: ClassVar[str] = "workers"
    counts: ClassVar[tuple[int, ...]] = (0, 1, 2, 4)

    @abstractmethod
    def version(self) -> str:
        """Return the version that is measured. Imports what the peer needs, which no time counts."""

    @abstractmethod
    def batches(self, task: Workload, data: Path, count: int, shuffle: bool) -> AbstractContextManager[Iterator[Any]]:
        """Return a context in which batches come for ever, as NumPy arrays or something that NumPy can look at without a copy.

        Args:
            task: what to deliver.
            data: folder of the data.
            count: of workers or threads.
            shuffle: anew in each epoch; else in the order of the samples.

        Raises:
            Unsupported: it can't do this.
        """


def picture(path: str) -> Any:
    """Return a picture in a file, made smaller bilinearly: for peers that take a function of the user's."""
    found = cv2.imread(path, cv2.IMREAD_COLOR_RGB)
    assert found is not None
    return cv2.resize(found, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)


def paths_of(task: Workload, data: Path) -> list[str]:
    """Return the files of a task in the order of their names."""
    return sorted(map(str, task.path(data).iterdir()))
