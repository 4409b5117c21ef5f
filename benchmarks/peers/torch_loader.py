"""PyTorch's DataLoader over a map-style Dataset."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.peer import SEED, SIZE, Peer, paths_of
from benchmarks.pictures import PictureWorkload
from benchmarks.workloads import SCALE, Workload


class Samples:
    """What DataLoader calls a Dataset."""

    def __init__(self, task: Workload, data: Path) -> None:
        self._pictures = isinstance(task, PictureWorkload)
        self._rescale = task.rescale
        self._array = np.load(task.path(data), mmap_mode="r") if task.one_file else None
        self._paths = [] if task.one_file else paths_of(task, data)
        self._samples = task.samples

    def __len__(self) -> int:
        return self._samples

    def __getitem__(self, index: int) -> Any:
        import torch

        if self._pictures:
            from PIL import Image

            with Image.open(self._paths[index]) as picture:
                return torch.from_numpy(np.array(picture.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)))
        if self._array is None:
            return torch.from_numpy(np.load(self._paths[index]))
        row = torch.from_numpy(np.array(self._array[index]))
        return row.to(torch.float32) * SCALE if self._rescale else row


class TorchDataLoader(Peer):
    title = "PyTorch DataLoader"

    def version(self) -> str:
        import torch

        return str(torch.__version__)

    @contextmanager
    def batches(self, task: Workload, data: Path, count: int, shuffle: bool) -> Iterator[Iterator[Any]]:
        import torch
        from torch.utils.data import DataLoader

        torch.set_num_threads(1)
        more: dict[str, Any] = {"persistent_workers": True} if count else {}
        made = DataLoader(
            Samples(task, data),  # type: ignore[arg-type]
            batch_size=task.batch_size,
            shuffle=shuffle,
            num_workers=count,
            drop_last=True,
            generator=torch.Generator().manual_seed(SEED),
            **more,
        )

        def endless() -> Iterator[Any]:
            while True:
                for batch in made:
                    yield batch.numpy()

        yield endless()
