"""`workers="auto"` against fixed numbers of workers, where each of four things is the slow one. Each function runs in a process of its own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.workloads import WORKLOADS
from loader import Loader, MapSource

COUNTS = (1, 2, 4, 8, 16)
_SETTLE_AUTO_S = 10.0
_SETTLE_FIXED_S = 1.5
_SECONDS = 5.0


def _read_slowly(sample: tuple[Any, ...], rng: np.random.Generator) -> tuple[Any, ...]:
    time.sleep(5e-3)
    return sample


def _compute(sample: tuple[Any, ...], rng: np.random.Generator) -> tuple[Any, ...]:
    end = time.thread_time() + 5e-3
    while time.thread_time() < end:
        pass
    return sample


# What is slow → transforms, and the seconds of a step of the model.
CASES: dict[str, tuple[list[Any], float]] = {
    "storage: each read sleeps 5 ms": ([_read_slowly], 0.0),
    "computing: 5 ms of CPU a sample": ([_compute], 0.0),
    "nothing: small warm .npy files": ([], 0.0),
    "the model: 50 ms a step": ([], 50e-3),
}


def measure(case: str, data: Path, workers: int) -> dict[str, Any]:
    """Return `batches_per_s` and the number of workers in the end.

    Args:
        case: of `CASES`.
        data: folder of the data.
        workers: a fixed number, or 0 for "auto", which has ten seconds to settle.
    """
    transforms, step_s = CASES[case]
    count: Any = workers or "auto"
    if transforms:
        loader = Loader(MapSource(np.zeros((100_000, 64), np.float32)), 32, transforms=transforms, workers=count)
    else:
        loader = WORKLOADS["vol32"].loader(data, count)
    with loader:
        batches = loader.batches()
        next(batches)
        _take(batches, step_s, _SETTLE_FIXED_S if workers else _SETTLE_AUTO_S)
        rate = _take(batches, step_s, _SECONDS)
        return {"batches_per_s": rate, "workers": len(loader.stats().workers)}


def _take(batches: Any, step_s: float, seconds: float) -> float:
    started, count = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - started) < seconds:
        next(batches)
        if step_s:
            time.sleep(step_s)
        count += 1
    return count / elapsed
