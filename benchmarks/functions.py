"""A function of the user's that does nothing, for rows of 1 KB in memory: what the loader itself costs where each sample is a call of Python.

It is compared with a plain loop in one process, twice as fast for two workers: it takes each row of a shuffled order, calls the function, and puts
what that returns into a batch. All of it counts that each of them does for a sample.
"""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np

from loader import Loader, NpyArrays

_ROWS, _SHAPE, _BATCH = 100_000, (256,), 64
_WARM_S = 1.0


def same(sample: Any, rng: Any) -> Any:
    """Return the sample."""
    return sample


def measure(workers: int, seconds: float) -> dict[str, Any]:
    """Return `share` of what as many plain loops would reach, and `samples_per_s` of the loader. The loop runs before and after it."""
    rows = np.random.default_rng(0).random((_ROWS, *_SHAPE), np.float32)
    with Loader(NpyArrays(rows), _BATCH, shuffle=True, seed=0, transforms=[same], workers=0) as loader:
        expected = [x.copy() for (x,) in itertools.islice(loader, 4)]
    before = _loop(rows, seconds)
    with Loader(NpyArrays(rows), _BATCH, shuffle=True, seed=0, transforms=[same], workers=workers) as loader:
        batches = loader.batches()
        assert all((x == other).all() for (x,), other in zip(batches, expected, strict=False))
        _count(batches, _WARM_S)
        ours = _count(batches, seconds) * _BATCH
    bare = workers * (before + _loop(rows, seconds)) / 2
    return {"share": ours / bare, "samples_per_s": ours}


def _count(batches: Any, seconds: float) -> float:
    started, count = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - started) < seconds:
        next(batches)
        count += 1
    return count / elapsed


def _loop(rows: np.ndarray[Any, Any], seconds: float) -> float:
    rng = np.random.default_rng(0)
    order = rng.permutation(len(rows)).tolist()
    batch = np.empty((_BATCH, *_SHAPE), np.float32)
    started, count = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - started) < seconds:
        start = count % (len(rows) - _BATCH)
        for place, index in enumerate(order[start : start + _BATCH]):
            (batch[place],) = same((rows[index],), rng)
        count += _BATCH
    return count / elapsed
