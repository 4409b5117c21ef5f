"""Taking batches from a loader against the clock, and what a loader takes of memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from loader.supervise.memory import private_bytes
from loader.train.loader import Loader

_LONGEST_WINDOWS = 10


@dataclass(frozen=True)
class Take:
    """What came in one stretch of time: rows, bytes, batches, and the seconds."""

    rows: int
    nbytes: int
    batches: int
    seconds: float

    @property
    def rate(self) -> float:
        """Samples per second."""
        return self.rows / self.seconds


def take_for(batches: Iterator[tuple[Any, ...]], seconds: float, fewest: int, tick: Callable[[], None]) -> Take:
    """Take batches for some time; where they are slow, until there are `fewest`, but not ten times as long.

    Args:
        batches: without an end.
        seconds: that it takes.
        fewest: batches, of which one at least is waited for.
        tick: called after each batch.
    """
    rows = nbytes = taken = 0
    started = time.monotonic()
    while (spent := time.monotonic() - started) < seconds or (taken < fewest and spent < _LONGEST_WINDOWS * seconds) or not taken:
        arrays = leaves(next(batches))
        rows += len(arrays[0])
        nbytes += sum(array.nbytes for array in arrays)
        taken += 1
        tick()
    return Take(rows, nbytes, taken, spent)


def leaves(batch: Any) -> list[np.ndarray[Any, Any]]:
    """Return the arrays of a batch, those in dicts included."""
    if isinstance(batch, np.ndarray):
        return [batch]
    return [leaf for part in (batch.values() if isinstance(batch, dict) else batch) for leaf in leaves(part)]


def slots_of(loader: Loader) -> int:
    """Return the number of slots of a loader that has begun; 0 with `workers=0`."""
    slots = loader.stats().slots
    return slots.free + slots.filling + slots.ready + slots.lent


def memory_of(loader: Loader) -> int:
    """Return the bytes of a loader's arena and processes; 0 with `workers=0`, which has neither. Takes up to some milliseconds per process."""
    stats = loader.stats()
    if not stats.workers:
        return 0
    return stats.memory.arena_bytes + sum(private_bytes(pid) for pid in [loader.pid, *(worker.pid for worker in stats.workers)])
