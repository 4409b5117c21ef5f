"""SPDL: a pipeline of stages in threads, whose readers release the interpreter's lock."""

from __future__ import annotations

import importlib.metadata
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.peers.peer import SEED, Peer, Unsupported, paths_of, picture
from benchmarks.pictures import PictureWorkload
from benchmarks.workloads import Workload


class Spdl(Peer):
    title = "SPDL"
    parallel = "threads"
    counts = (1, 2, 4)

    def version(self) -> str:
        return importlib.metadata.version("spdl")

    @contextmanager
    def batches(self, task: Workload, data: Path, count: int, shuffle: bool) -> Iterator[Iterator[Any]]:
        import spdl.io
        from spdl.pipeline import PipelineBuilder

        if task.one_file:
            raise Unsupported("it has no reader of rows")
        paths = paths_of(task, data)

        def source() -> Iterator[str]:
            rng = np.random.default_rng(SEED)
            for _ in itertools.count():
                for index in rng.permutation(len(paths)) if shuffle else range(len(paths)):
                    yield paths[index]

        def load(path: str) -> Any:
            with open(path, "rb") as file:
                return spdl.io.load_npy(file.read())

        cv2.setNumThreads(0)
        read = picture if isinstance(task, PictureWorkload) else load  # SPDL's own decoder of pictures needs FFmpeg
        builder = PipelineBuilder().add_source(source()).pipe(read, concurrency=count, output_order="input")
        pipeline = builder.aggregate(task.batch_size, drop_last=True).pipe(np.stack).add_sink(3).build(num_threads=count)
        with pipeline.auto_stop():
            yield iter(pipeline)
