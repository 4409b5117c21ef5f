"""What a soak trains on: files, an untouched copy of them, and loaders that make the same batches of either."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from loader import Loader, NpyFiles

FILES, SHAPE, BATCH = 500, (32, 32), 8
PAUSE_S = 0.0007


def write_files(folder: Path) -> None:
    """Write the files, and a copy that nobody touches."""
    (folder / "files").mkdir()
    pattern = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    for number in range(FILES):
        np.save(folder / "files" / f"{number:04d}.npy", pattern + number)
    shutil.copytree(folder / "files", folder / "untouched")


def loader_of(files: Path, seed: int, workers: int, **pool: Any) -> Loader:
    """Return a loader of such files. With one seed, it makes the same batches with any number of workers."""
    steps = [slowly(PAUSE_S if workers else 0)]
    return Loader(NpyFiles(files, labels=np.arange(FILES)), BATCH, shuffle=True, seed=seed, workers=workers, transforms=steps, **pool)


def slowly(pause_s: float) -> Any:
    """Return a transform that adds a random number and takes `pause_s`: workers wait as for a disk, and are hit in the middle of it."""

    def step(sample: Any, rng: np.random.Generator) -> Any:
        if pause_s:
            time.sleep(pause_s)
        return (sample[0] + rng.random(dtype=np.float32), *sample[1:])

    return step
