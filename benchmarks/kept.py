"""Samples that are kept: a cached source of JPEGs against `NpyArrays` of the same pictures, decoded before.

Question: what does a cache cost once it is full? Method: all epochs in one process, by turns: NpyArrays, cached, NpyArrays; shuffled, in a loop that
does nothing. Batches are compared first. `first` is the first epoch of a later run, which compares each sample with its checksum.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pictures import PICTURES
from benchmarks.workloads import SEED
from loader import ByteFiles, Loader, NpyArrays, Source, decode

_JPEG = PICTURES["jpeg"]
_ROUNDS = 3


def cache(data: Path, workers: int, seconds: float) -> dict[str, Any]:
    """Return samples per second of NpyArrays, and the share of that of a cache in a folder and in memory."""
    jpegs = ByteFiles(str(_JPEG.path(data)), decode=decode.image(size=_JPEG.shape[:2]))  # type: ignore[arg-type]
    decoded, folder = data / "jpeg_decoded.npy", data / "jpeg_cache"
    shutil.rmtree(folder, ignore_errors=True)
    cached = {"folder": jpegs.cache(folder), "memory": jpegs.cache()}
    for source in cached.values():
        with Loader(source, _JPEG.batch_size, workers=workers) as loader:
            rows = np.concatenate([x.copy() for (x,) in loader])
        if not decoded.exists():
            np.save(decoded, rows)
        assert (np.load(decoded, mmap_mode="r") == rows).all()
    arrays = NpyArrays(str(decoded))
    ratios: dict[str, list[float]] = {name: [] for name in (*cached, "first")}
    rates = []
    for _ in range(_ROUNDS):
        for name, source in cached.items():
            before, mine, after = (_rate(one, workers, seconds / _ROUNDS) for one in (arrays, source, arrays))
            ratios[name].append(2 * mine / (before + after))
            rates.append((before + after) / 2)
        ratios["first"].append(_first_epoch(jpegs.cache(folder), workers) / _first_epoch(arrays, workers))
    return {"samples_per_s": float(np.median(rates)), **{name: float(np.median(found)) for name, found in ratios.items()}}


def _rate(source: Source, workers: int, seconds: float) -> float:
    with Loader(source, _JPEG.batch_size, shuffle=True, seed=SEED, drop_last=True, workers=workers) as loader:
        batches = loader.batches()
        for _ in range(2 * len(loader)):
            next(batches)
        began, count = time.perf_counter(), 0
        while (spent := time.perf_counter() - began) < seconds:
            next(batches)
            count += 1
        return count * _JPEG.batch_size / spent


def _first_epoch(source: Source, workers: int) -> float:
    with Loader(source, _JPEG.batch_size, shuffle=True, seed=SEED, workers=workers) as loader:
        batches = iter(loader)
        first = next(batches)
        began = time.perf_counter()
        rows = sum(len(x) for (x,) in batches)
        del first
        return rows / (time.perf_counter() - began)
