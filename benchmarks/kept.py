"""Samples that are kept: a cached source of JPEGs against `NpyArrays` of the same pictures, decoded before; many small files against a pack of them.

cache  What does a cache cost once it is full? All epochs in one process, by turns: NpyArrays, cached, NpyArrays; shuffled, in a loop that does
       nothing. Batches are compared first. `first` is the first epoch of a later run, which compares each sample with its checksum. `later` is a
       cache whose file was put out of memory and read again in one piece, as it is when it comes from the disk.
pack   20,000 files of 4 KB against a pack of them, put out of memory before each epoch, as `cold.py` does it; shuffled, by as many workers.
       The pack is also read with `shuffle="blocks"`, which is made for data that come from a disk. A sum over all samples is compared. `bare` is
       a loop over the files in as many processes as there are workers, which reads nothing ahead.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import cold
from benchmarks.clocks import cpu_time_ns
from benchmarks.pictures import PICTURES
from benchmarks.workloads import SEED, Workload
from loader import ByteFiles, Loader, NpyArrays, NpyFiles, Source, decode

_JPEG = PICTURES["jpeg"]
_ROUNDS = 3
_SMALL = Workload("small_files", 20_000, (32, 32), "float32", one_file=False)


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
    ratios: dict[str, list[float]] = {name: [] for name in (*cached, *(f"{name}_cpu" for name in cached), "first", "later")}
    rates = []
    for _ in range(_ROUNDS):
        for name, source in cached.items():
            before, mine, after = (_rate(one, workers, seconds / _ROUNDS) for one in (arrays, source, arrays))
            ratios[name].append(2 * mine.per_s / (before.per_s + after.per_s))
            ratios[f"{name}_cpu"].append(2 * mine.cpu_ns / (before.cpu_ns + after.cpu_ns))
            rates.append((before.per_s + after.per_s) / 2)
        ratios["first"].append(_first_epoch(jpegs.cache(folder), workers) / _first_epoch(arrays, workers))
        cold.put_files_out_of_memory([folder / "x.npy"])
        (folder / "x.npy").read_bytes()
        before, mine, after = (_rate(one, workers, seconds / _ROUNDS) for one in (arrays, jpegs.cache(folder), arrays))
        ratios["later"].append(2 * mine.per_s / (before.per_s + after.per_s))
    return {"samples_per_s": float(np.median(rates)), **{name: float(np.median(found)) for name, found in ratios.items()}}


class Rate(NamedTuple):
    """Samples per second, and CPU time of a sample in all workers."""

    per_s: float
    cpu_ns: float


def _rate(source: Source, workers: int, seconds: float) -> Rate:
    with Loader(source, _JPEG.batch_size, shuffle=True, seed=SEED, drop_last=True, workers=workers) as loader:
        batches = loader.batches()
        for _ in range(2 * len(loader)):
            next(batches)
        pids = [worker.pid for worker in loader.stats().workers]
        spent_ns = sum(map(cpu_time_ns, pids))
        began, count = time.perf_counter(), 0
        while (spent := time.perf_counter() - began) < seconds:
            next(batches)
            count += 1
        rows = count * _JPEG.batch_size
        return Rate(rows / spent, (sum(map(cpu_time_ns, pids)) - spent_ns) / rows)


def _first_epoch(source: Source, workers: int) -> float:
    with Loader(source, _JPEG.batch_size, shuffle=True, seed=SEED, workers=workers) as loader:
        batches = iter(loader)
        first = next(batches)
        began = time.perf_counter()
        rows = sum(len(x) for (x,) in batches)
        del first
        return rows / (time.perf_counter() - began)


def write_small_files(data: Path, progress: Callable[[str], None]) -> None:
    """Write the files of `pack`, and pack them, unless that was done."""
    _SMALL.write(data, progress)
    packed = data / "small_files_packed"
    if not packed.exists():
        NpyFiles(_SMALL.path(data)).pack(packed, progress=False)


def pack(data: Path, workers: int) -> dict[str, Any]:
    """Return samples per second of files and of a pack that come from the disk, and the ratios: medians of rounds by turns."""
    files = NpyFiles(_SMALL.path(data))
    packed = NpyArrays.from_pack(data / "small_files_packed")
    paths = [*map(Path, files.paths)], [data / "small_files_packed" / "x.npy"]
    rounds: list[list[float]] = []
    sums = set()
    for _ in range(_ROUNDS):
        rounds.append([])
        for source, stored, shuffle in ((files, paths[0], True), (packed, paths[1], True), (packed, paths[1], "blocks")):
            cold.put_files_out_of_memory(stored)
            rate, checksum = _cold_epoch(source, shuffle, workers)
            rounds[-1].append(rate)
            sums.add(checksum)
        rounds[-1].append(cold.bare(_SMALL, data, workers)["samples_per_s"])
    assert len(sums) == 1
    of_files, of_pack, in_blocks, bare = np.array(rounds).T
    rates = {"samples_per_s": of_files, "packed_samples_per_s": of_pack, "bare_samples_per_s": bare}
    ratios = {"ratio": of_pack / of_files, "in_blocks": in_blocks / of_files, "bare_ratio": of_pack / bare}
    return {name: float(np.median(values)) for name, values in (rates | ratios).items()}


def _cold_epoch(source: Source, shuffle: Any, workers: int) -> tuple[float, int]:
    """Return samples per second of an epoch without the start of the processes, and a sum over all samples that does not know their order."""
    with Loader(source, 64, shuffle=shuffle, seed=SEED, workers=workers) as loader:
        total = rows = 0
        loader.spec  # noqa: B018  # is known when the workers begin; with the first batch, the whole of a small pack may come from the disk
        began = time.perf_counter()
        for (x,) in loader:
            total += int(x.view(np.uint32).sum(dtype=np.uint64))
            rows += len(x)
        return rows / (time.perf_counter() - began), total
