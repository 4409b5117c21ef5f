"""The work that is measured: what lies on disk, and how the loader and the bare loop read it.

    vol32       5,000 files of (32, 32, 32, 1) float32, 131 KB each
    img64      20,000 files of (64, 64, 3) uint8, 12 KB each
    img224      one file of 2,000 (224, 224, 3) uint8, delivered as float32 × 1/255
    mnist       one file of 600,000 (28, 28) uint8, batches of 128
    mnist1024   the same in batches of 1,024; the bare loop computes its order, too

All shuffled, warm page cache, batches of 64 unless told otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from loader import Loader, NpyArrays, NpyFiles, Source, transforms

SEED = 7
SCALE = 1 / 255


@dataclass(frozen=True)
class Workload:
    """One kind of work.

    Attributes:
        name: on the command line.
        samples: how many there are.
        shape, dtype: of a sample on disk.
        one_file: all samples in one file, else one file each.
        batch_size: rows of a batch.
        rescale: delivered as float32 × 1/255.
        orders: the bare loop computes its order while it is timed.
        target: share of the bare loop's speed that we want to reach.
    """

    name: str
    samples: int
    shape: tuple[int, ...]
    dtype: str
    one_file: bool
    batch_size: int = 64
    rescale: bool = False
    orders: bool = False
    target: float = 0.9

    @property
    def files(self) -> str:
        """Name of what lies on disk; two workloads may share it."""
        return self.name.rstrip("0123456789") if self.name.startswith("mnist") else self.name

    @property
    def delivered(self) -> tuple[int, ...]:
        """Shape of a sample as it is delivered."""
        return self.shape

    def path(self, data: Path) -> Path:
        """Return the file, or the folder of the files."""
        return data / f"{self.files}.npy" if self.one_file else data / self.files

    def write(self, data: Path, progress: Callable[[str], None]) -> None:
        """Write the files, unless they are there."""
        done = data / f"{self.files}.done"
        if done.exists():
            return
        progress(f"writing {self.files} ...")
        data.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(SEED)
        if self.one_file:
            array = np.lib.format.open_memmap(self.path(data), "w+", np.dtype(self.dtype), (self.samples, *self.shape))
            for start in range(0, self.samples, 1000):
                array[start : start + 1000] = self._random(rng, (len(array[start : start + 1000]), *self.shape))
            array.flush()
        else:
            self.path(data).mkdir(exist_ok=True)
            for number in range(self.samples):
                np.save(self.path(data) / f"{number:06d}.npy", self._random(rng, self.shape))
        done.touch()

    def warm(self, data: Path) -> None:
        """Read everything once, so that it is in the page cache."""
        path = self.path(data)
        for file in [path] if self.one_file else sorted(path.iterdir()):
            with file.open("rb", buffering=0) as opened:
                while opened.read(1 << 20):
                    pass

    def _random(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
        if self.dtype == "uint8":
            return rng.integers(0, 256, shape, np.uint8)
        return rng.random(shape, np.float32)

    def loader(self, data: Path, workers: int, **settings: Any) -> Loader:
        """Return a loader of this work, with more settings."""
        source: Source = NpyArrays(str(self.path(data))) if self.one_file else NpyFiles(str(self.path(data)))
        used: Sequence[Any] = [transforms.Rescale(SCALE)] if self.rescale else []
        return Loader(source, self.batch_size, transforms=used, shuffle=True, seed=SEED, drop_last=True, workers=workers, **settings)


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("vol32", 5_000, (32, 32, 32, 1), "float32", one_file=False),
        Workload("img64", 20_000, (64, 64, 3), "uint8", one_file=False, target=0.8),
        Workload("img224", 2_000, (224, 224, 3), "uint8", one_file=True, rescale=True),
        Workload("mnist", 600_000, (28, 28), "uint8", one_file=True, batch_size=128, target=0.65),
        Workload("mnist1024", 600_000, (28, 28), "uint8", one_file=True, batch_size=1024, orders=True, target=0.8),
    )
}
