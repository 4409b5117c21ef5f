"""NVIDIA DALI on the CPU: its readers and decoders, in threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.peers.peer import SEED, SIZE, Peer, Unsupported, paths_of
from benchmarks.pictures import PictureWorkload
from benchmarks.workloads import Workload


class Dali(Peer):
    title = "DALI (CPU)"
    parallel = "threads"
    counts = (1, 2, 4)

    def version(self) -> str:
        import nvidia.dali

        return str(nvidia.dali.__version__)

    @contextmanager
    def batches(self, task: Workload, data: Path, count: int, shuffle: bool) -> Iterator[Iterator[Any]]:
        from nvidia.dali import fn, pipeline_def, types

        if task.one_file:
            raise Unsupported("its readers take a file as one sample")

        @pipeline_def(batch_size=task.batch_size, num_threads=count, device_id=None, seed=SEED)  # type: ignore[untyped-decorator]
        def pipeline() -> Any:
            order = {"shuffle_after_epoch": True} if shuffle else {}
            if not isinstance(task, PictureWorkload):
                return fn.readers.numpy(files=paths_of(task, data), **order)
            content, _ = fn.readers.file(files=paths_of(task, data), **order)
            pictures = fn.decoders.image(content, device="cpu", output_type=types.RGB)
            return fn.resize(pictures, resize_y=SIZE, resize_x=SIZE, antialias=False)

        made = pipeline()
        made.build()

        def endless() -> Iterator[Any]:
            while True:
                (batch,) = made.run()
                yield batch.as_array()

        yield endless()
