"""Lines of a text file: how fast they are found, and how fast shuffled ones are delivered as bytes padded to 128, beside a bare loop.

The bare loop is what one writes by hand, once the beginnings of the lines are known: it maps the file and slices each line into its row. As many
processes as the loader has workers run it, each into memory of its own.
"""

from __future__ import annotations

import itertools
import mmap
import os
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.clocks import cpu_time_ns
from benchmarks.workloads import SEED
from loader import Loader, TextLines, decode
from loader.data.order import Order
from loader.data.sources.lines.line_index import LineIndex, find_lines

WIDTH = 128
_BATCH = 512
_CHECKED_BATCHES = 20
_WARM_S = 1.0
_BLOCK_LINES = 100_000


def file_of(data: Path, megabytes: int) -> Path:
    """Return the file of that size."""
    return data / f"lines-{megabytes}.txt"


def write(data: Path, megabytes: int) -> None:
    """Write a file of lines of 20 to 180 letters, unless it is there."""
    path = file_of(data, megabytes)
    if path.exists():
        return
    data.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file:
        while file.tell() < megabytes * 1_000_000:
            lengths = rng.integers(20, 181, _BLOCK_LINES)
            letters = rng.integers(97, 123, int(lengths.sum()), dtype=np.uint8)
            letters[np.cumsum(lengths) - 1] = ord("\n")
            file.write(letters.tobytes())
    unfinished.rename(path)


def measure(data: Path, megabytes: int, workers: int, seconds: float) -> dict[str, Any]:
    """Return the speeds, of the loader and of the bare loop, whose first batches must be the same."""
    path = file_of(data, megabytes)
    with path.open("rb", buffering=0) as opened:
        while opened.read(1 << 20):  # warm
            pass
    started, cpu = time.perf_counter(), time.process_time()
    index = find_lines([str(path)], delimiter=None)
    took_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    bare, bare_cpu_s, bare_checksum = _bare(path, index, workers, seconds)
    ours, ours_cpu_s, checksum = _ours(path, workers, seconds)
    if checksum != bare_checksum:
        raise SystemExit("the batches differ from the bare loop's")
    size = path.stat().st_size / 1e6
    return {
        "index_mb_per_s": size / took_s,
        "index_mb_per_cpu_s": size / cpu_s,
        "samples_per_s": ours,
        "bare_samples_per_s": bare,
        "ratio": ours / bare,
        "cpu_us": ours_cpu_s * 1e6,
        "bare_cpu_us": bare_cpu_s * 1e6,
    }


def _ours(path: Path, workers: int, seconds: float) -> tuple[float, float, int]:
    """Return lines per second, seconds of CPU time a line of all processes together, and a checksum of the first batches."""
    source = TextLines(path, decode=decode.text(None, WIDTH))
    with Loader(source, _BATCH, shuffle=True, seed=SEED, drop_last=True, workers=workers) as loader:
        batches = loader.batches()
        checksum = 0
        for (x,) in itertools.islice(batches, _CHECKED_BATCHES):
            checksum = zlib.crc32(x, checksum)
        del x  # it would keep its slot
        end = time.perf_counter() + _WARM_S
        while time.perf_counter() < end:
            next(batches)
        pids = [worker.pid for worker in loader.stats().workers]
        pids += [os.getpid(), psutil.Process(pids[0]).ppid()]
        count, cpu = 0, sum(map(cpu_time_ns, pids))
        started = time.perf_counter()
        while (elapsed := time.perf_counter() - started) < seconds:
            for _ in range(16):
                next(batches)
            count += 16
        cpu = sum(map(cpu_time_ns, pids)) - cpu
        return count * _BATCH / elapsed, cpu / 1e9 / (count * _BATCH), checksum


def _bare(path: Path, index: LineIndex, workers: int, seconds: float) -> tuple[float, float, int]:
    """Return the same as `_ours`."""
    order = Order(len(index), SEED, shuffle=True).indices(0, np.arange(len(index)))
    pipes = []
    for number in range(workers):
        read, write_end = os.pipe()
        if os.fork() == 0:
            try:
                os.write(write_end, struct.pack("<dd", *_run_bare(path, index, order, number, workers, seconds)))
            finally:
                os._exit(0)
        os.close(write_end)
        pipes.append(read)
    found = [struct.unpack("<dd", os.read(pipe, 16)) for pipe in pipes]
    for _ in pipes:
        os.wait()
    checksum, out = 0, np.empty((_BATCH, WIDTH), np.uint8)
    content = _mapped(path)
    for start in range(0, _CHECKED_BATCHES * _BATCH, _BATCH):
        _fill(content, index, order[start : start + _BATCH], out)
        checksum = zlib.crc32(out, checksum)
    return sum(rate for rate, _ in found), sum(cpu_s for _, cpu_s in found) / len(found), checksum


def _run_bare(path: Path, index: LineIndex, order: Any, number: int, workers: int, seconds: float) -> tuple[float, float]:
    content, out = _mapped(path), np.frombuffer(mmap.mmap(-1, _BATCH * WIDTH), np.uint8).reshape(_BATCH, WIDTH)
    rows, cpu = 0, time.process_time()
    started = time.perf_counter()
    for start in itertools.cycle(range(number * _BATCH, len(order) - _BATCH + 1, workers * _BATCH)):
        elapsed = time.perf_counter() - started
        if elapsed > seconds:
            break
        _fill(content, index, order[start : start + _BATCH], out)
        rows += _BATCH
    return rows / elapsed, (time.process_time() - cpu) / rows


def _fill(content: Any, index: LineIndex, lines: Any, out: Any) -> None:
    for row, start, length in zip(out, index.starts[lines].tolist(), np.minimum(index.lengths[lines], WIDTH).tolist(), strict=True):
        row[:length] = content[start : start + length]
        row[length:] = 0


def _mapped(path: Path) -> Any:
    return np.memmap(path, np.uint8, "r").view(np.ndarray)
