"""A function of the user's that does nothing, for rows of 1 KB in memory: what the loader costs where each sample is a call of Python.

It is compared with the same work in one process, as often as there are workers: by the loader itself (`workers=0`), which tells what the processes
cost, and by a plain loop, which takes each row of a shuffled order, calls the function, and puts what that returns into a batch, and draws nothing.
"""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np

from loader import Loader, NpyArrays

_ROWS, _SHAPE, _BATCH = 20_000, (256,), 64


def same(sample: Any, rng: Any) -> Any:
    """Return the sample."""
    return sample


def measure(workers: int, seconds: float) -> dict[str, Any]:
    """Return `samples_per_s`, as a `share` of what as many loaders without processes would reach, and of plain loops, `bare`.

    Both run before and after it.
    """
    rows = np.random.default_rng(0).random((_ROWS, *_SHAPE), np.float32)
    with Loader(NpyArrays(rows), _BATCH, shuffle=True, seed=0, transforms=[same], workers=0) as loader:
        expected = [x.copy() for (x,) in itertools.islice(loader, 4)]
    plain, alone, ours, alone_after, plain_after = (
        _loop(rows, seconds),
        _rate(rows, 0, seconds, expected),
        _rate(rows, workers, seconds, expected),
        _rate(rows, 0, seconds, expected),
        _loop(rows, seconds),
    )
    share, bare = (ours / (workers * (before + after) / 2) for before, after in ((alone, alone_after), (plain, plain_after)))
    return {"share": share, "bare": bare, "samples_per_s": ours}


def _rate(rows: np.ndarray[Any, Any], workers: int, seconds: float, expected: list[Any]) -> float:
    with Loader(NpyArrays(rows), _BATCH, shuffle=True, seed=0, transforms=[same], workers=workers) as loader:
        batches = loader.batches()
        assert all((x == other).all() for (x,), other in zip(batches, expected, strict=False))
        for _ in range(len(loader)):  # so that each process has touched every page of the rows
            next(batches)
        return _count(batches, seconds) * _BATCH


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
