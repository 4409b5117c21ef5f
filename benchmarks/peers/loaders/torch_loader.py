"""PyTorch's DataLoader over a map-style Dataset, with torchvision's transforms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.loaders.peer import Peer
from benchmarks.peers.samples import SIZE, Samples, paths_of
from benchmarks.peers.tasks import STRENGTH, LengthsWorkload, Task
from benchmarks.pictures import PictureWorkload
from benchmarks.workloads import SCALE, SEED, Workload


class _Dataset:
    """What DataLoader calls a map-style Dataset. A sample is a tuple of one tensor, as from a `TensorDataset`.

    Args:
        task: what the samples are.
        data: folder of the data.
        change: a transform of torchvision, for pictures.
    """

    def __init__(self, task: Task, data: Path, change: Any = None) -> None:
        self._work = task.work
        self._array = np.load(task.work.path(data), mmap_mode="r") if task.work.one_file else None
        self._samples = None if task.work.one_file else Samples(task, data)
        self._paths = paths_of(task.work, data) if isinstance(task.work, PictureWorkload) else []
        self._change = change

    def __len__(self) -> int:
        return self._work.samples

    def __getitem__(self, index: int) -> tuple[Any]:
        import torch

        if self._paths:
            return (torch.from_numpy(_picture(self._paths[index])),)
        if self._array is not None:
            row = torch.from_numpy(np.array(self._array[index]))
            return (row.to(torch.float32) * SCALE if self._work.rescale else row,)
        assert self._samples is not None
        sample = torch.from_numpy(self._samples[index])
        return (self._change(sample.permute(2, 0, 1)).permute(1, 2, 0) if self._change else sample,)


def _picture(path: str) -> Any:
    """Return a picture as torchvision's `ImageFolder` reads it: with Pillow."""
    from PIL import Image

    with Image.open(path) as picture:
        return np.array(picture.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR))


class _BucketSampler:
    """Batches of samples of similar length, for `batch_sampler`, which the documentation leaves to the user."""

    def __init__(self, work: LengthsWorkload, edges: Sequence[int], shuffle: bool) -> None:
        self._buckets = np.searchsorted(edges, work.lengths())
        self._batch_size = work.batch_size
        self._rng = np.random.default_rng(SEED) if shuffle else None

    def __iter__(self) -> Iterator[list[int]]:
        order = self._rng.permutation(len(self._buckets)) if self._rng else np.arange(len(self._buckets))
        filling: dict[int, list[int]] = {}
        for index, bucket in zip(order.tolist(), self._buckets[order].tolist(), strict=True):
            batch = filling.setdefault(bucket, [])
            batch.append(index)
            if len(batch) == self._batch_size:
                yield filling.pop(bucket)


class _Padding:
    """For `collate_fn`: fills up to the bucket's length."""

    def __init__(self, edges: Sequence[int]) -> None:
        self._edges = edges

    def __call__(self, samples: list[tuple[Any]]) -> list[Any]:
        import torch

        longest = max(len(sample) for (sample,) in samples)
        length = next(edge for edge in self._edges if edge >= longest)
        batch = torch.zeros((len(samples), length, *samples[0][0].shape[1:]), dtype=samples[0][0].dtype)
        for row, (sample,) in zip(batch, samples, strict=True):
            row[: len(sample)] = sample
        return [batch]


class TorchDataLoader(Peer):
    title = "PyTorch DataLoader"

    def version(self) -> str:
        import torch
        import torchvision.transforms.v2

        assert torchvision
        return str(torch.__version__)

    @contextmanager
    def batches(self, task: Task, data: Path, count: int, shuffle: bool) -> Iterator[Iterator[Any]]:
        with self._loader(task, data, count, shuffle) as made:

            def endless() -> Iterator[Any]:
                while True:
                    for (batch,) in made:
                        yield batch.numpy()

            yield endless()

    @contextmanager
    def feed(self, task: Task, data: Path, count: int) -> Iterator[Any]:
        with self._loader(task, data, count, shuffle=True) as made:
            yield made

    @contextmanager
    def _loader(self, task: Task, data: Path, count: int, shuffle: bool) -> Iterator[Any]:
        import torch
        from torch.utils.data import DataLoader
        from torchvision.transforms import v2

        torch.set_num_threads(1)
        torch.manual_seed(SEED)
        change: Any = None
        if task.augmented and shuffle:
            change = v2.Compose([v2.RandomCrop(SIZE), v2.RandomHorizontalFlip(), v2.ColorJitter(brightness=STRENGTH, contrast=STRENGTH)])
        elif task.augmented:
            change = v2.CenterCrop(SIZE)
        more: dict[str, Any] = {"persistent_workers": True} if count else {}
        if isinstance(task.work, LengthsWorkload):
            more |= {"batch_sampler": _BucketSampler(task.work, task.edges, shuffle), "collate_fn": _Padding(task.edges)}
        else:
            more |= _batches_of(task.work) | {"shuffle": shuffle}
        yield DataLoader(_Dataset(task, data, change), num_workers=count, generator=torch.Generator().manual_seed(SEED), **more)  # type: ignore[arg-type]


def _batches_of(work: Workload) -> dict[str, Any]:
    return {"batch_size": work.batch_size, "drop_last": True}
