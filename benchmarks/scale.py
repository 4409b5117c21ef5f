"""Very many paths, very many rows, and the step from one epoch to the next. Each function runs in a process of its own."""

from __future__ import annotations

import itertools
import os
import re
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.workloads import SEED, WORKLOADS
from loader import Loader, NpyArrays, NpyFiles

_PATHS = 1_000_000
_ROWS = 1_000_000_000
_FEW_ROWS = 1_000
_EPOCHS = 50
_WORK_SHARE = 1.5


def write_paths(data: Path) -> None:
    """Make folders that are links to the files of vol32, as many as give a million different paths."""
    workload = WORKLOADS["vol32"]
    folder = data / "paths"
    folder.mkdir(exist_ok=True)
    for number in range(_PATHS // workload.samples):
        link = folder / f"c{number:03d}"
        if not link.is_symlink():
            link.symlink_to(workload.path(data).resolve())


def paths(data: Path) -> dict[str, Any]:
    """Return `source_s` and `first_batch_s` for 10⁶ paths and 8 workers.

    Question: what do a million files cost before training begins? Method: the time of `NpyFiles(list)`, the list being there, and that from
    `Loader(...)` to the first batch of a shuffled epoch. TensorFlow is not imported. The paths differ, but lead through links to the 5,000 files of
    vol32, all in the page cache: what is asked is the cost of the index, not of the disk.
    """
    files = sorted(os.listdir(WORKLOADS["vol32"].path(data)))
    listed = [f"{data}/paths/c{number:03d}/{file}" for number in range(_PATHS // len(files)) for file in files]
    started = time.perf_counter()
    source = NpyFiles(listed)
    built = time.perf_counter()
    with Loader(source, 64, shuffle=True, seed=SEED, workers=8) as loader:
        next(iter(loader))
        return {"source_s": built - started, "first_batch_s": time.perf_counter() - built}


def epoch_gap(data: Path, workers: int) -> dict[str, Any]:
    """Return the wait for the first batch of an epoch over the wait for any other: `ratio` behind work, `idle_ratio` in a loop without any.

    Question: is there a pause between epochs? Method: vol32 in `for batch in loader`; the median of 50 waits between epochs (from the end of the
    work on the last batch, through the end of the iterator and the making of the next one, to the first batch), over the median of all waits inside
    those epochs. What the loop does with a batch is not part of a wait.

    A loop that does nothing is always ahead of the workers: its waits are the time to fill a batch, and any pause shorter than that is hidden. So
    the ratio that counts is taken behind work, a sleep 1.5 times as long as that: the loader is ahead, the waits are those for a batch that lies
    ready, and any pause shows. These two waits are returned in µs, too: `between_us` and `inside_us`. Without work, batches come in bursts and
    the median says little; `idle_ratio` is that of the means.
    """
    with WORKLOADS["vol32"].loader(data, workers) as loader:
        for _ in loader:
            pass
        between, inside = _waits(loader, 0.0)
        filling_s = statistics.mean(inside)
        idle_ratio = statistics.mean(between) / filling_s
        between_us, inside_us = (statistics.median(waits) * 1e6 for waits in _waits(loader, _WORK_SHARE * filling_s))
        return {"ratio": between_us / inside_us, "idle_ratio": idle_ratio, "between_us": between_us, "inside_us": inside_us}


def _waits(loader: Loader, work_s: float) -> tuple[list[float], list[float]]:
    """Return the waits between epochs and inside them, in seconds."""
    between: list[float] = []
    inside: list[float] = []
    worked = time.perf_counter()
    for _ in range(_EPOCHS + 1):
        waits = between
        for _ in loader:
            waits.append(time.perf_counter() - worked)
            waits = inside
            if work_s:
                time.sleep(work_s)
            worked = time.perf_counter()
    return between[1:], inside


def write_rows(data: Path) -> None:
    """Write files of 10⁹ and of 10³ rows of one byte, all zeros; they take no disk."""
    for rows in (_ROWS, _FEW_ROWS):
        path = _rows_path(data, rows)
        if not path.exists():
            data.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (rows,)})
                file.truncate(file.tell() + rows)


def rows(data: Path) -> dict[str, Any]:
    """Return `seconds` from `Loader(...)` to the first batch of 10⁹ shuffled rows, and `megabytes` of memory that they take more than 10³ rows.

    Question: does anything grow with the number of rows? Method: files of one byte a row, without blocks on disk and not in the page cache, so that
    every row of the first batch costs a page fault; 2 workers. Memory is the anonymous memory of supervisor and workers (Σ `Pss_Anon`) after 500
    batches of 64.
    """
    private = {}
    for count in (_FEW_ROWS, _ROWS):
        path = _rows_path(data, count)
        _forget_pages(path)
        source = NpyArrays(str(path))
        started = time.perf_counter()
        with Loader(source, 64, shuffle=True, seed=SEED, workers=2) as loader:
            batches = loader.batches()
            next(batches)
            seconds = time.perf_counter() - started
            for _ in itertools.islice(batches, 500):
                pass
            private[count] = sum(map(_anonymous_bytes, psutil.Process().children(recursive=True)))
    return {"seconds": seconds, "megabytes": (private[_ROWS] - private[_FEW_ROWS]) / 1e6}


def _rows_path(data: Path, rows: int) -> Path:
    return data / f"rows{rows}.npy"


def _forget_pages(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def _anonymous_bytes(process: psutil.Process) -> int:
    found = re.search(r"Pss_Anon:\s+(\d+) kB", Path(f"/proc/{process.pid}/smaps_rollup").read_text())
    assert found
    return int(found[1]) * 1024
