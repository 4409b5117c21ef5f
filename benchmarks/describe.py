"""`source.statistics()` on img224, each picture several times, against a bare loop of the same arithmetic in as many processes.

The loader's time includes the start of its processes. Both results must be the same.
"""

from __future__ import annotations

import mmap
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.workloads import WORKLOADS
from loader import NpyArrays, Statistics
from loader.data.statistics.row_moments import measure_rows, width_of
from loader.data.statistics.totals import Totals

_TIMES = 16
_BLOCK = 32


def measure(data: Path, workers: int) -> dict[str, Any]:
    """Return samples per second of both, and their ratio: bare loop, loader, bare loop."""
    source = NpyArrays(str(WORKLOADS["img224"].path(data)))
    many = source.subset(np.tile(np.arange(len(source)), _TIMES))
    before, expected = _bare(source, workers)
    started = time.perf_counter()
    found = many.statistics(workers=workers, progress=False)
    seconds = time.perf_counter() - started
    after, _ = _bare(source, workers)
    assert found.as_dict() == expected.as_dict()
    bare = (before + after) / 2
    return {"samples_per_s": len(many) / seconds, "bare_samples_per_s": len(many) / bare, "ratio": bare / seconds}


def _bare(source: NpyArrays, processes: int) -> tuple[float, Statistics]:
    """Return the seconds in which so many processes measure all samples, and what they find."""
    (leaf,) = source.spec.leaves
    samples = len(source) * _TIMES
    words: Any = np.frombuffer(mmap.mmap(-1, samples * width_of(leaf.shape) * 8), np.int64).reshape(samples, -1)
    started = time.perf_counter()
    children = []
    for number in range(processes):
        child = os.fork()
        if child == 0:
            try:
                _work(source, words, number, processes)
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    totals = Totals(leaf)
    totals.add(words)
    return time.perf_counter() - started, Statistics(samples, (totals.result(),))


def _work(source: NpyArrays, words: Any, number: int, processes: int) -> None:
    (leaf,) = source.spec.leaves
    buffer = np.empty((_BLOCK, *leaf.shape), leaf.dtype)
    for first in range(number * _BLOCK, len(words), processes * _BLOCK):
        out = words[first : first + _BLOCK]
        rows = buffer[: len(out)]
        source.read(np.arange(first, first + len(out)) % len(source), [rows])
        measure_rows(rows, out)
