"""Grain's MapDataset: threads read in this process, or worker processes do."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import cv2

from benchmarks.peers.loaders.peer import Peer, Unsupported
from benchmarks.peers.samples import Samples, changed, cut_from_the_middle
from benchmarks.peers.tasks import STRENGTH, Task
from benchmarks.workloads import SEED

_READ_AHEAD = 16  # batches, and by default as many threads


class Grain(Peer):
    title = "Grain"

    def version(self) -> str:
        import grain.python

        assert grain
        return importlib.metadata.version("grain")

    @contextmanager
    def batches(self, task: Task, data: Path, count: int, shuffle: bool) -> Iterator[Iterator[Any]]:
        yield iter(self._dataset(task, data, count, shuffle))

    @contextmanager
    def feed(self, task: Task, data: Path, count: int) -> Iterator[Any]:
        yield self._dataset(task, data, count, shuffle=True).map(_as_tuple)

    @staticmethod
    def _dataset(task: Task, data: Path, count: int, shuffle: bool) -> Any:
        import grain.python as grain

        if task.edges:
            raise Unsupported("it packs samples and pads them, but has no buckets")
        cv2.setNumThreads(0)
        dataset = grain.MapDataset.source(Samples(task, data)).seed(SEED)
        if shuffle:
            dataset = dataset.shuffle()
        dataset = dataset.repeat()
        if task.augmented:
            dataset = dataset.random_map(partial(changed, strength=STRENGTH)) if shuffle else dataset.map(cut_from_the_middle)
        # Where reads wait, its documentation has more threads. By default 500 elements are read ahead, here batches: for img224, 19 GB.
        waiting = task.wait_s or task.cold
        reading = grain.ReadOptions(num_threads=count if waiting else _READ_AHEAD, prefetch_buffer_size=_READ_AHEAD)
        batches = dataset.batch(task.work.batch_size, drop_remainder=True).to_iter_dataset(reading)
        return batches.mp_prefetch(grain.MultiprocessingOptions(num_workers=count)) if count and not waiting else batches


def _as_tuple(batch: Any) -> tuple[Any]:
    return (batch,)
