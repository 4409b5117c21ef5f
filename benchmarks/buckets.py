"""Samples that differ in length: buckets against one shape for all.

Question: what do buckets save? Setup: 4,000 samples of 10 to 500 steps, any length as likely, each step 80 float32; batches of 32, shuffled. One
loader pads all to 500 steps (`T.Pad`), the other one has a bucket for every 25 steps. Measured by turns in one process: batches taken in a loop that
does nothing, and in one that computes the tanh of each value, as a layer of a model would, in one thread. The CPU time of all processes is counted,
too, since it depends less on what else runs. What the rows hold is compared first.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.clocks import cpu_time_ns
from benchmarks.workloads import SEED
from loader import Loader, MapSource, Source
from loader import transforms as T

_SAMPLES = 4_000
_SHORTEST, _LONGEST = 10, 500
_FEATURES = 80
_BATCH = 32
_EDGES = range(25, _LONGEST + 1, 25)
_ROUNDS = 3


class Pieces:
    """Samples that are pieces of one mapped array.

    Args:
        steps: the array, of shape `(steps, features)`.
        ends: the step after the last one of each piece.
    """

    def __init__(self, steps: Any, ends: Any) -> None:
        self._steps = steps
        self._ends = ends

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        start = self._ends[index - 1] if index else 0
        return np.asarray(self._steps[start : self._ends[index]]), np.int64(index)


def write(data: Path, progress: Callable[[str], None]) -> None:
    """Write all steps into one file, unless it is there."""
    path = data / "buckets.npy"
    if not path.exists():
        progress("writing buckets ...")
        data.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(SEED)
        np.save(path, rng.random((int(_lengths().sum()), _FEATURES), np.float32))


def _lengths() -> Any:
    return np.random.default_rng(SEED).integers(_SHORTEST, _LONGEST + 1, _SAMPLES)


def measure(data: Path, workers: int, seconds: float) -> dict[str, Any]:
    """Return how many times as many samples per second buckets give, and their share of CPU time and bytes."""
    lengths = _lengths()
    source = MapSource(Pieces(np.load(data / "buckets.npy", mmap_mode="r"), np.cumsum(lengths)))
    settings: dict[str, Any] = {"batch_size": _BATCH, "shuffle": True, "seed": SEED, "workers": workers}
    kinds: dict[str, dict[str, Any]] = {"one": {"transforms": [T.Pad((_LONGEST, _FEATURES))]}, "buckets": {"bucket_by": list(_EDGES)}}
    moved = {name: _check(source, lengths, settings | more) for name, more in kinds.items()}
    steps: dict[str, Callable[[Any], object]] = {"alone": lambda x: None, "trained": np.tanh}
    found: dict[str, list[float]] = {}
    for _ in range(_ROUNDS):
        for step, work in steps.items():
            one, mine = (_run(source, settings | more, work, seconds) for more in kinds.values())
            found.setdefault(step, []).append(mine.rate / one.rate)
            found.setdefault(f"{step}_cpu", []).append(mine.cpu_us / one.cpu_us)
    return {**{name: statistics.median(ratios) for name, ratios in found.items()}, "bytes": moved["buckets"] / moved["one"]}


def _check(source: Source, lengths: Any, settings: dict[str, Any]) -> int:
    """Compare every row of an epoch with its sample, and all behind it with zero; return the bytes of all batches."""
    moved, seen = 0, []
    with Loader(source, **settings) as loader:
        for x, numbers in loader:
            moved += x.nbytes
            for row, number in zip(x, numbers.tolist(), strict=True):
                assert (row[: lengths[number]] == source[number][0]).all()
                assert not row[lengths[number] :].any()
                seen.append(number)
    assert sorted(seen) == list(range(_SAMPLES))
    return moved


class _Run(NamedTuple):
    rate: float
    cpu_us: float


def _run(source: Source, settings: dict[str, Any], work: Callable[[Any], object], seconds: float) -> _Run:
    """Return samples per second, and the CPU time of one, all processes together."""
    with Loader(source, **settings) as loader:
        batches = loader.batches()
        for _ in range(len(loader) // 2):
            next(batches)
        pids = [os.getpid(), loader.pid, *(worker.pid for worker in loader.stats().workers)]
        began, count, cpu_ns = time.perf_counter(), 0, sum(map(cpu_time_ns, pids))
        while (spent := time.perf_counter() - began) < seconds:
            x, _ = next(batches)
            work(x)
            count += len(x)
            del x
        return _Run(count / spent, (sum(map(cpu_time_ns, pids)) - cpu_ns) / 1e3 / count)
