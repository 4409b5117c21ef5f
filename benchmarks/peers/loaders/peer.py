"""What a peer is to the benchmark: a name, a version, and an endless iterator of batches for each task that it can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.peers.tasks import Task


class Unsupported(Exception):
    """The peer has no way of its own to do this task."""


class Peer(ABC):
    """One loader, used as its own documentation shows.

    Attributes:
        title: its name in tables.
        parallel: what its number of workers is called.
    """

    title: ClassVar[str]
    parallel: ClassVar[str] = "workers"

    @abstractmethod
    def version(self) -> str:
        """Return the version that is measured. Imports what the peer needs, which no time counts."""

    def counts(self, task: Task) -> tuple[int, ...]:
        """Return the numbers of workers or threads to try; the fastest counts."""
        return task.counts

    @abstractmethod
    def batches(self, task: Task, data: Path, count: int, shuffle: bool) -> AbstractContextManager[Iterator[Any]]:
        """Return a context in which batches come for ever, as NumPy arrays or something that NumPy can look at without a copy.

        Args:
            task: what to deliver.
            data: folder of the data.
            count: of workers or threads.
            shuffle: anew in each epoch, and pictures are changed at random; else in the order of the samples, cut from their middle.

        Raises:
            Unsupported: it can't do this.
        """

    @contextmanager
    def feed(self, task: Task, data: Path, count: int) -> Iterator[Any]:
        """Make what `model.fit` is given: by default, a Python generator of shuffled batches."""
        with self.batches(task, data, count, shuffle=True) as found:
            yield ((batch,) for batch in found)
