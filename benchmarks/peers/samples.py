"""One sample by its number, in NumPy and OpenCV: what a user writes for a loader that takes a function."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from benchmarks.pictures import PictureWorkload
from benchmarks.workloads import SCALE, Workload

if TYPE_CHECKING:
    from benchmarks.peers.tasks import Task

SIZE = 224  # of pictures that come out


class Samples:
    """The samples of a task, read one by one.

    Args:
        task: what they are.
        data: folder of the data.
        applied: whether the task's function is applied.
    """

    def __init__(self, task: Task, data: Path, applied: bool = True) -> None:
        work = task.work
        self._array = np.load(work.path(data), mmap_mode="r") if work.one_file else None
        self._paths = [] if work.one_file else paths_of(work, data)
        self._pictures = isinstance(work, PictureWorkload)
        self._rescale = work.rescale
        self._wait_s = task.wait_s
        self._function = task.function if applied else None
        self._samples = work.samples

    def __len__(self) -> int:
        return self._samples

    def __getitem__(self, index: int) -> Any:
        if self._wait_s:
            time.sleep(self._wait_s)
        if self._pictures:
            return picture(self._paths[index])
        if self._array is not None:
            row = self._array[index]
            return row * np.float32(SCALE) if self._rescale else np.array(row)
        sample = np.load(self._paths[index])
        return self._function(sample) if self._function else sample


def picture(path: str) -> Any:
    """Return a picture in a file, made smaller bilinearly."""
    found = cv2.imread(path, cv2.IMREAD_COLOR_RGB)
    assert found is not None
    return cv2.resize(found, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)


def paths_of(work: Workload, data: Path) -> list[str]:
    """Return the files of a task in the order of their names."""
    return sorted(map(str, work.path(data).iterdir()))


def changed(sample: Any, rng: np.random.Generator, strength: float) -> Any:
    """Return a random part of a picture, mirrored or not, of other brightness and contrast."""
    top, left = (int(rng.integers(0, whole - SIZE + 1)) for whole in sample.shape[:2])
    cut = sample[top : top + SIZE, left : left + SIZE]
    cut = cv2.flip(cut, 1) if rng.random() < 0.5 else cut
    brightness, contrast = rng.uniform(1 - strength, 1 + strength, 2).tolist()
    bright = cv2.convertScaleAbs(cut, alpha=brightness)
    return cv2.convertScaleAbs(bright, alpha=contrast, beta=float(bright.mean()) * (1 - contrast))


def cut_from_the_middle(sample: Any) -> Any:
    """Return the middle of a picture: what is compared instead of random pictures."""
    top, left = ((whole - SIZE) // 2 for whole in sample.shape[:2])
    return np.ascontiguousarray(sample[top : top + SIZE, left : left + SIZE])


def dithered(sample: Any) -> Any:
    """Return a picture in black and white, the error of each pixel passed on to its neighbours as Floyd and Steinberg do; in plain Python."""
    rows = sample.mean(2).tolist()
    for y, row in enumerate(rows):
        below = rows[y + 1] if y + 1 < len(rows) else [0.0] * len(row)
        last = len(row) - 1
        for x, grey in enumerate(row):
            white = 255.0 if grey >= 128 else 0.0
            row[x] = white
            error = (grey - white) / 16
            if x < last:
                row[x + 1] += error * 7
                below[x + 1] += error
            if x:
                below[x - 1] += error * 3
            below[x] += error * 5
    return np.array(rows, np.uint8)


def padded(samples: list[Any], length: int) -> Any:
    """Return a batch of samples of up to some length."""
    batch = np.zeros((len(samples), length, *samples[0].shape[1:]), samples[0].dtype)
    for row, sample in zip(batch, samples, strict=True):
        row[: len(sample)] = sample
    return batch
