"""The loader on the same work as the bare loop, and what else is promised of it. Each function runs in a process of its own."""

from __future__ import annotations

import itertools
import os
import re
import signal
import statistics
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.workloads import WORKLOADS, Workload
from loader import Loader, MapSource, NpyFiles, Source

_CHECKED_BATCHES = 4
_WARM_S = 3.0


def throughput(workload: Workload, data: Path, workers: int, seconds: float) -> dict[str, Any]:
    """Return `samples_per_s` taken in a plain loop that does nothing, and a checksum of the first batches."""
    with workload.loader(data, workers) as loader:
        checksum = 0
        batches = loader.batches()
        for _ in range(_CHECKED_BATCHES):
            (x,) = next(batches)
            checksum = zlib.crc32(x, checksum)
        del x
        rate = _rate(batches, seconds)
        return {"samples_per_s": rate * workload.batch_size, "checksum": checksum, "stats": loader.stats().as_dict()}


class Nothing(Source):
    """A source that fills nothing: what is left is the loader's own cost."""

    def __len__(self) -> int:
        return 1_000_000

    def sample(self, index: int) -> tuple[Any]:
        return (np.zeros(1, np.float32),)

    def read(self, indices: Any, out: Any) -> None:
        """Leave `out` as it is."""


def empty(workers: int, seconds: float) -> dict[str, Any]:
    """Return `batches_per_s` of batches that nothing is put into."""
    with Loader(Nothing(), 1, workers=workers) as loader:
        return {"batches_per_s": _rate(loader.batches(), seconds)}


def first_batch(data: Path) -> dict[str, Any]:
    """Return the seconds from `Loader(...)` to the first batch, with 8 workers, in a process that holds TensorFlow."""
    import tensorflow

    assert tensorflow
    workload = WORKLOADS["vol32"]
    source = NpyFiles(str(workload.path(data)))
    started = time.perf_counter()
    with Loader(source, workload.batch_size, shuffle=True, workers=8) as loader:
        next(iter(loader))
        return {"seconds": time.perf_counter() - started}


def imports(times: int = 10) -> dict[str, Any]:
    """Return the milliseconds that `import loader` takes beyond those of NumPy: medians of fresh interpreters, by turns."""
    without, loaded = [], []
    for _ in range(times):
        without.append(_import_s("numpy"))
        loaded.append(_import_s("numpy, loader"))
    return {"ms": (statistics.median(loaded) - statistics.median(without)) * 1e3}


def _import_s(modules: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {modules}"], check=True)
    return time.perf_counter() - started


def memory(data: Path) -> dict[str, Any]:
    """Return what one worker adds to the anonymous memory of supervisor and workers (Σ `Pss_Anon`), in MB, after epochs of vol32.

    Pages that workers share with the supervisor since the fork count once in that sum, so it is the difference that a worker costs.
    """
    few, many = 2, 8
    with WORKLOADS["vol32"].loader(data, few) as loader:
        sums = []
        for workers in (few, many):
            loader.resize(workers)
            for _ in range(3):
                for _ in loader:
                    pass
            sums.append(sum(map(_anonymous_bytes, _family(loader))))
        return {"megabytes": (sums[1] - sums[0]) / (many - few) / 1e6}


def _family(loader: Loader) -> list[int]:
    workers = [worker.pid for worker in loader.stats().workers]
    supervisor = int(Path(f"/proc/{workers[0]}/stat").read_text().rsplit(")", 1)[1].split()[1])
    return [supervisor, *workers]


def stall(workers: int = 2, kills: int = 20) -> dict[str, Any]:
    """Return how much longer than usual the trainer waited when a worker was killed, in ms: median and worst of `kills`.

    Batches of 10 ms of a worker's work, taken as fast as they come.
    """
    with Loader(MapSource(range(100_000)), 10, transforms=[_millisecond], workers=workers) as loader:
        batches = loader.batches()
        usual = statistics.median(_gaps(batches, 100))
        stalls: list[float] = []
        for kill in range(kills):
            os.kill(loader.stats().workers[kill % workers].pid, signal.SIGKILL)
            stalls.append((max(_gaps(batches, 20)) - usual) * 1e3)
        return {"median_ms": statistics.median(stalls), "worst_ms": max(stalls)}


def _millisecond(sample: tuple[Any, ...], rng: np.random.Generator) -> tuple[Any, ...]:
    end = time.perf_counter() + 1e-3
    while time.perf_counter() < end:
        pass
    return sample


def _gaps(batches: Any, count: int) -> list[float]:
    times = [time.perf_counter()]
    for _ in range(count):
        next(batches)
        times.append(time.perf_counter())
    return [after - before for before, after in itertools.pairwise(times)]


def _rate(batches: Any, seconds: float) -> float:
    end = time.perf_counter() + _WARM_S
    while time.perf_counter() < end:
        next(batches)
    count = 0
    started = time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        for _ in range(16):
            next(batches)
        count += 16
    return count / elapsed


def _anonymous_bytes(pid: int) -> int:
    found = re.search(r"Pss_Anon:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text())
    assert found
    return int(found[1]) * 1024
