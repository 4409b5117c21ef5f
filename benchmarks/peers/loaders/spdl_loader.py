"""SPDL: a pipeline of stages in threads, whose readers release the interpreter's lock; processes for functions that hold it."""

from __future__ import annotations

import importlib.metadata
import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.peers.loaders.peer import Peer
from benchmarks.peers.samples import Samples, changed, cut_from_the_middle, padded, paths_of, picture
from benchmarks.peers.tasks import STRENGTH, Task
from benchmarks.pictures import PictureWorkload
from benchmarks.workloads import SEED

_Item = tuple[int, int]  # the number of a sample, and of the draw


class Spdl(Peer):
    title = "SPDL"
    parallel = "threads"

    def version(self) -> str:
        import spdl.io
        import spdl.pipeline

        assert spdl
        return importlib.metadata.version("spdl")

    def counts(self, task: Task) -> tuple[int, ...]:
        return tuple(count for count in task.counts if count)

    @contextmanager
    def batches(self, task: Task, data: Path, count: int, shuffle: bool) -> Iterator[Iterator[Any]]:
        from spdl.pipeline import PipelineBuilder

        cv2.setNumThreads(0)
        builder: Any = PipelineBuilder().add_source(_items(task.work.samples, shuffle))
        many: dict[str, Any] = {"concurrency": count, "output_order": "input"}
        with ExitStack() as stack:
            if task.edges:
                builder = builder.pipe(_Reader(task, data, shuffle), **many).aggregate(_buckets(task), drop_last=True)
            else:  # whole batches of numbers to each thread, as in its documentation's examples: much cheaper than one by one
                builder = builder.aggregate(task.work.batch_size, drop_last=True)
                if task.function:
                    made = ProcessPoolExecutor(count, initializer=_prepare_process, initargs=(task, data, shuffle))
                    builder = builder.pipe(_read_in_process, executor=stack.enter_context(made), **many)
                else:
                    builder = builder.pipe(_Reader(task, data, shuffle).batch, **many)
            pipeline = builder.add_sink(3).build(num_threads=count)
            stack.enter_context(pipeline.auto_stop())
            yield iter(pipeline)


def _items(samples: int, shuffle: bool) -> Iterator[_Item]:
    rng, draws = np.random.default_rng(SEED), itertools.count()
    while True:
        for index in rng.permutation(samples).tolist() if shuffle else range(samples):
            yield index, next(draws)


class _Reader:
    """Reads a sample by its number: `.npy` files with SPDL's own reader, pictures with OpenCV, since its own decoder needs FFmpeg."""

    def __init__(self, task: Task, data: Path, shuffle: bool) -> None:
        self._task = task
        self._shuffle = shuffle
        self._paths = [] if task.work.one_file else paths_of(task.work, data)
        self._samples = Samples(task, data) if task.work.one_file or task.needs_python else None

    def batch(self, items: list[_Item]) -> Any:
        """Return a batch of samples."""
        return np.stack([self(item) for item in items])

    def __call__(self, item: _Item) -> Any:
        index, draw = item
        if self._samples is not None:
            return self._samples[index]
        if isinstance(self._task.work, PictureWorkload):
            return picture(self._paths[index])
        import spdl.io

        with open(self._paths[index], "rb") as file:
            sample = spdl.io.load_npy(file.read())
        if not self._task.augmented:
            return sample
        return changed(sample, np.random.default_rng((SEED, draw)), STRENGTH) if self._shuffle else cut_from_the_middle(sample)


_in_process: list[_Reader] = []  # in a process of the executor, whose functions are sent to it with each item


def _prepare_process(task: Task, data: Path, shuffle: bool) -> None:
    _in_process.append(_Reader(task, data, shuffle))


def _read_in_process(items: list[_Item]) -> Any:
    return _in_process[0].batch(items)


def _buckets(task: Task) -> Any:
    from spdl.pipeline.defs import Aggregator

    class Buckets(Aggregator):  # type: ignore[misc]
        """Its documentation's way to aggregate by size."""

        def __init__(self, edges: Sequence[int], batch_size: int) -> None:
            self._edges = edges
            self._batch_size = batch_size
            self._filling: dict[int, list[Any]] = {}

        def accumulate(self, item: Any) -> Any:
            length = next(edge for edge in self._edges if edge >= len(item))
            batch = self._filling.setdefault(length, [])
            batch.append(item)
            return padded(self._filling.pop(length), length) if len(batch) == self._batch_size else None

        def flush(self) -> Any:
            return None

    return Buckets(task.edges, task.work.batch_size)
