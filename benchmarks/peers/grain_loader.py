"""Grain's MapDataset: threads read in this process, or worker processes do."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.peers.peer import SEED, Peer, paths_of, picture
from benchmarks.pictures import PictureWorkload
from benchmarks.workloads import SCALE, Workload


class Samples:
    """What Grain calls a random access source."""

    def __init__(self, task: Workload, data: Path) -> None:
        self._array = np.load(task.path(data), mmap_mode="r") if task.one_file else None
        self._paths = [] if task.one_file else paths_of(task, data)
        self._pictures = isinstance(task, PictureWorkload)
        self._rescale = task.rescale
        self._samples = task.samples

    def __len__(self) -> int:
        return self._samples

    def __getitem__(self, index: int) -> Any:
        if self._pictures:
            return picture(self._paths[index])
        if self._array is None:
            return np.load(self._paths[index])
        row = self._array[index]
        return row * np.float32(SCALE) if self._rescale else np.array(row)


class Grain(Peer):
    title = "Grain"
    counts = (0, 1, 2)

    def version(self) -> str:
        return importlib.metadata.version("grain")

    @contextmanager
    def batches(self, task: Workload, data: Path, count: int, shuffle: bool) -> Iterator[Iterator[Any]]:
        import grain.python as grain

        cv2.setNumThreads(0)
        dataset = grain.MapDataset.source(Samples(task, data))
        if shuffle:
            dataset = dataset.shuffle(seed=SEED)
        batches = dataset.repeat().batch(task.batch_size, drop_remainder=True).to_iter_dataset()
        if count:
            batches = batches.mp_prefetch(grain.MultiprocessingOptions(num_workers=count))
        yield iter(batches)
