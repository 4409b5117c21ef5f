"""What is done: the data of each task, and what a loader makes of it.

vol32, img64, img224, mnist     those of `make bench`
jpeg        640 JPEGs of 500 × 375, about 70 KB each, bilinear to 224 × 224
augment     1,000 files of (256, 256, 3) uint8: a random crop of 224 × 224, mirrored or not, of other brightness and contrast
lengths     2,000 files of 10 to 500 steps of 80 float32, in buckets of 50, 100, ... 500 steps, padded with zeros
cold        8,000 files of 131 KB that are not in memory
slow        the files of vol32, each read 5 ms late
python      the pictures of img64 through Floyd and Steinberg's dithering in plain Python, about 1 ms each
fit         the pictures of img64 into `fit` of a small convolutional network
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import cold
from benchmarks.peers.samples import dithered
from benchmarks.pictures import PICTURES
from benchmarks.workloads import SEED, WORKLOADS, Workload

STRENGTH = 0.2  # of brightness and contrast

_SHORTEST, _LONGEST, _STEP = 10, 500, 50
_WAITING = (4, 16)  # a wait takes no core, so there may be more workers than cores


@dataclass(frozen=True)
class Task:
    """Something that every loader is asked to do.

    Attributes:
        name: on the command line.
        work: what lies on disk, and how many samples a batch has.
        says: what it is, in tables.
        counts: numbers of workers or threads to try.
        wait_s: how late each sample is.
        function: applied to each sample.
        edges: lengths of buckets.
        augmented: cropped, mirrored, made brighter and of more contrast.
        cold: read from the disk.
        fit: a model is trained on it.
    """

    name: str
    work: Workload
    says: str
    counts: tuple[int, ...] = (0, 1, 2, 4)
    wait_s: float = 0.0
    function: Callable[[Any], Any] | None = None
    edges: tuple[int, ...] = ()
    augmented: bool = False
    cold: bool = False
    fit: bool = False

    @property
    def needs_python(self) -> bool:
        """Whether a function in Python has to run for each sample."""
        return bool(self.wait_s or self.function)


@dataclass(frozen=True)
class LengthsWorkload(Workload):
    """Files whose arrays differ in length."""

    def lengths(self) -> Any:
        """Return the length of each sample."""
        return np.random.default_rng(SEED).integers(_SHORTEST, _LONGEST + 1, self.samples)

    def write(self, data: Path, progress: Callable[[str], None]) -> None:
        done = data / f"{self.files}.done"
        if done.exists():
            return
        progress(f"writing {self.files} ...")
        self.path(data).mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(SEED)
        for number, length in enumerate(self.lengths().tolist()):
            np.save(self.path(data) / f"{number:06d}.npy", self._random(rng, (length, *self.shape)))
        done.touch()


def _tasks() -> list[Task]:
    vol32, img64 = WORKLOADS["vol32"], WORKLOADS["img64"]
    return [
        Task("vol32", vol32, "`.npy` files of 131 KB"),
        Task("img64", img64, "`.npy` files of 12 KB"),
        Task("img224", WORKLOADS["img224"], "one file, 224 × 224 × 3 uint8 → float32"),
        Task("mnist", WORKLOADS["mnist"], "one file, 28 × 28 uint8, batches of 128"),
        Task("jpeg", PICTURES["jpeg"], "JPEG → 224 × 224"),
        Task("augment", Workload("augment_files", 1_000, (256, 256, 3), "uint8", one_file=False), "crop, flip, brightness, contrast", augmented=True),
        Task(
            "lengths",
            LengthsWorkload("lengths", 2_000, (80,), "float32", one_file=False, batch_size=32),
            "10 to 500 steps, in buckets",
            edges=tuple(range(_STEP, _LONGEST + 1, _STEP)),
        ),
        Task("cold", cold.WORKLOADS["cold_files"], "files of 131 KB from the disk", counts=_WAITING, cold=True),
        Task("slow", replace(vol32, batch_size=16), "reads that take 5 ms", counts=_WAITING, wait_s=5e-3),
        Task("python", replace(img64, batch_size=16), "1 ms of Python for each sample", function=dithered),
        Task("fit", img64, "`fit` of a small network", counts=(1, 2), fit=True),
    ]


TASKS = {task.name: task for task in _tasks()}
