"""This loader."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import loader
from benchmarks.peers.peer import SEED, SIZE, Peer
from benchmarks.pictures import PictureWorkload
from benchmarks.workloads import SCALE, Workload
from loader import ByteFiles, Loader, NpyArrays, NpyFiles, Source, decode, transforms


class Ours(Peer):
    title = "loader"

    def version(self) -> str:
        return loader.__version__

    @contextmanager
    def batches(self, task: Workload, data: Path, count: int, shuffle: bool) -> Iterator[Iterator[Any]]:
        path = str(task.path(data))
        source: Source
        if isinstance(task, PictureWorkload):
            source = ByteFiles(path, decode=decode.image(size=(SIZE, SIZE), resample="linear"))
        else:
            source = NpyArrays(path) if task.one_file else NpyFiles(path)
        used = [transforms.Rescale(SCALE)] if task.rescale else []
        with Loader(source, task.batch_size, transforms=used, shuffle=shuffle, seed=SEED, drop_last=True, workers=count) as made:
            yield (x for (x,) in made.batches())
