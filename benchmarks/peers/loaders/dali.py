"""NVIDIA DALI on the CPU: its readers and decoders in threads; its parallel external source, in processes, for everything that needs Python."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.peers.loaders.peer import Peer, Unsupported
from benchmarks.peers.samples import SIZE, Samples, paths_of
from benchmarks.peers.tasks import STRENGTH, Task
from benchmarks.pictures import PictureWorkload
from benchmarks.workloads import SEED


class Dali(Peer):
    title = "DALI (CPU)"
    parallel = "threads"

    def version(self) -> str:
        import nvidia.dali

        return str(nvidia.dali.__version__)

    def counts(self, task: Task) -> tuple[int, ...]:
        return tuple(count for count in task.counts if count)

    @contextmanager
    def batches(self, task: Task, data: Path, count: int, shuffle: bool) -> Iterator[Iterator[Any]]:
        from nvidia.dali import pipeline_def

        if task.edges:
            raise Unsupported("it pads to the longest of each batch, but has no buckets")
        cv2.setNumThreads(0)
        by_python = task.work.one_file or task.needs_python
        processes: dict[str, Any] = {"py_num_workers": count, "py_start_method": "fork"} if by_python else {}

        @pipeline_def(batch_size=task.work.batch_size, num_threads=count, device_id=None, seed=SEED, **processes)  # type: ignore[untyped-decorator]
        def pipeline() -> Any:
            return _of_python(task, data, shuffle) if by_python else _of_files(task, data, shuffle)

        made = pipeline()
        made.build()

        def endless() -> Iterator[Any]:
            while True:
                (batch,) = made.run()
                yield batch.as_array()

        yield endless()


def _of_files(task: Task, data: Path, shuffle: bool) -> Any:
    from nvidia.dali import fn, types

    order = {"shuffle_after_epoch": True} if shuffle else {}
    if isinstance(task.work, PictureWorkload):
        content, _ = fn.readers.file(files=paths_of(task.work, data), **order)
        pictures = fn.decoders.image(content, device="cpu", output_type=types.RGB)
        return fn.resize(pictures, resize_y=SIZE, resize_x=SIZE, antialias=False)
    samples = fn.readers.numpy(files=paths_of(task.work, data), **order)
    if not task.augmented:
        return samples
    samples = fn.reshape(samples, layout="HWC")
    if not shuffle:
        return fn.crop(samples, crop=(SIZE, SIZE))
    places = {f"crop_pos_{axis}": fn.random.uniform(range=(0.0, 1.0)) for axis in "xy"}
    cut = fn.flip(fn.crop(samples, crop=(SIZE, SIZE), **places), horizontal=fn.random.coin_flip())
    strengths = {name: fn.random.uniform(range=(1 - STRENGTH, 1 + STRENGTH)) for name in ("brightness", "contrast")}
    return fn.brightness_contrast(cut, contrast_center=127.5, **strengths)


def _of_python(task: Task, data: Path, shuffle: bool) -> Any:
    from nvidia.dali import fn

    return fn.external_source(_Source(task, data, shuffle), parallel=True, batch=False, num_outputs=1)[0]


class _Source:
    """A sample by what DALI knows of it; the order is drawn anew in each epoch, as its documentation shows."""

    def __init__(self, task: Task, data: Path, shuffle: bool) -> None:
        self._samples = Samples(task, data)
        self._shuffle = shuffle
        self._epoch = -1
        self._order = np.arange(len(self._samples))

    def __call__(self, info: Any) -> tuple[Any]:
        epoch, index = divmod(info.idx_in_epoch, len(self._samples))
        if self._shuffle and epoch != self._epoch:
            self._epoch = epoch
            self._order = np.random.default_rng((SEED, epoch)).permutation(len(self._samples))
        return (self._samples[int(self._order[index])],)
