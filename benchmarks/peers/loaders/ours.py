"""This loader."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import loader
from benchmarks.peers.loaders.peer import Peer
from benchmarks.peers.samples import SIZE, Samples
from benchmarks.peers.tasks import STRENGTH, LengthsWorkload, Task
from benchmarks.pictures import PictureWorkload
from benchmarks.workloads import SCALE, SEED
from loader import Buckets, ByteFiles, Loader, MapSource, NpyArrays, NpyFiles, Source, decode
from loader import transforms as T


class Ours(Peer):
    title = "loader"

    def version(self) -> str:
        return loader.__version__

    @contextmanager
    def batches(self, task: Task, data: Path, count: int, shuffle: bool) -> Iterator[Iterator[Any]]:
        with self._loader(task, data, count, shuffle) as made:
            yield (x for (x,) in made.batches())

    @contextmanager
    def feed(self, task: Task, data: Path, count: int) -> Iterator[Any]:
        with self._loader(task, data, count, shuffle=True) as made:
            yield made

    @staticmethod
    def _loader(task: Task, data: Path, count: int, shuffle: bool) -> Loader:
        work = task.work
        more: dict[str, Any] = {}
        if isinstance(work, LengthsWorkload):
            more["bucket_by"] = Buckets(task.edges, lengths=work.lengths())
        steps = _steps(task, shuffle)
        return Loader(_source(task, data), work.batch_size, transforms=steps, shuffle=shuffle, seed=SEED, drop_last=True, workers=count, **more)


def _source(task: Task, data: Path) -> Source:
    path = str(task.work.path(data))
    if isinstance(task.work, PictureWorkload):
        return ByteFiles(path, decode=decode.image(size=(SIZE, SIZE), resample="linear"))
    if task.wait_s:
        return MapSource(Samples(task, data))
    return NpyArrays(path) if task.work.one_file else NpyFiles(path)


def _steps(task: Task, shuffle: bool) -> list[Any]:
    if task.work.rescale:
        return [T.Rescale(SCALE)]
    if task.augmented and shuffle:
        return [T.Crop((SIZE, SIZE)), T.Flip(), T.Brightness(STRENGTH), T.Contrast(STRENGTH)]
    if task.augmented:
        return [T.Crop((SIZE, SIZE), "center")]
    return [T.Map(task.function)] if task.function else []
