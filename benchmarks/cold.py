"""Data that come from the disk: the loader against bare loops that have 1 to 32 reads at a time.

Question: how much of what the disk can do does the loader get out of it? Method: the files are put out of the page cache one by one, which needs no
privilege, and it is checked that they are gone. Then an epoch is read once, shuffled: by as many processes as the bare loop is to have reads at a
time, each with a buffer of its own and `preadv`; and by the loader with `workers="auto"`, from its first batch on.

    cold_rows   8,000 rows of 150 KB in one file, 1.2 GB
    cold_files  8,000 files of 131 KB, 1.05 GB
"""

from __future__ import annotations

import ctypes
import mmap
import os
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.workloads import SEED, Workload
from loader import Loader, NpyArrays, NpyFiles, Source
from loader.data.order import Order

DEPTHS = (1, 2, 4, 8, 16, 32)
WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("cold_rows", 8_000, (224, 224, 3), "uint8", one_file=True, target=0.85),
        Workload("cold_files", 8_000, (32, 32, 32, 1), "float32", one_file=False, target=0.85),
    )
}

_CHECKED_BATCHES = 4
_MOST_RESIDENT = 0.02


def loader(workload: Workload, data: Path) -> dict[str, Any]:
    """Return `samples_per_s` of an epoch with `workers="auto"`, the number of workers in the end, and a checksum of the first batches."""
    put_out_of_memory(workload, data)
    path = str(workload.path(data))
    source: Source = NpyArrays(path) if workload.one_file else NpyFiles(path)
    with Loader(source, workload.batch_size, shuffle=True, seed=SEED) as batches:
        checksum = rows = 0
        started = 0.0
        for number, (x,) in enumerate(batches):
            if number < _CHECKED_BATCHES:
                checksum = zlib.crc32(x, checksum)
            if number:
                rows += len(x)
            else:
                started = time.perf_counter()
        rate = rows / (time.perf_counter() - started)
        return {"samples_per_s": rate, "workers": len(batches.stats().workers), "checksum": checksum}


def bare(workload: Workload, data: Path, depth: int) -> dict[str, Any]:
    """Return `samples_per_s` of as many processes as `depth` says, and a checksum of what the loader's first batches hold."""
    put_out_of_memory(workload, data)
    order = Order(workload.samples, SEED, shuffle=True).indices(0, np.arange(workload.samples)).tolist()
    places = _places(workload, data)
    started = time.perf_counter()
    children = [_read_in_child(places, order[number::depth]) for number in range(depth)]
    for child in children:
        os.waitpid(child, 0)
    rate = len(order) / (time.perf_counter() - started)
    checksum = 0
    for index in order[: _CHECKED_BATCHES * workload.batch_size]:
        checksum = zlib.crc32(_read(*places[index]), checksum)
    return {"samples_per_s": rate, "checksum": checksum}


def put_out_of_memory(workload: Workload, data: Path) -> None:
    """Put the files out of the page cache. Raises RuntimeError where they stay: they are mapped by somebody, or lie in memory anyway."""
    path = workload.path(data)
    put_files_out_of_memory([path] if workload.one_file else sorted(path.iterdir()))


def put_files_out_of_memory(files: Sequence[Path]) -> None:
    """Do that for some files. Raises RuntimeError likewise."""
    resident = pages = 0
    for file in files:
        opened = os.open(file, os.O_RDONLY)
        os.fsync(opened)
        os.posix_fadvise(opened, 0, 0, os.POSIX_FADV_DONTNEED)
        found = _pages_in_memory(opened, file.stat().st_size)
        resident, pages = resident + int(found.sum()), pages + len(found)
        os.close(opened)
    if resident > _MOST_RESIDENT * pages:
        raise RuntimeError(f"{files[0].parent} can't be put out of memory: of {pages:,} pages in it, {resident:,} are still there")


def _pages_in_memory(file: int, nbytes: int) -> npt.NDArray[np.bool_]:
    """Return which pages of an open file are in memory. Asks `mincore`, since `preadv` with `RWF_NOWAIT` begins to read what is not (Linux 6.18)."""
    mapping: npt.NDArray[np.uint8] = np.frombuffer(mmap.mmap(file, nbytes, prot=mmap.PROT_READ), np.uint8)
    found = np.zeros(-(-nbytes // mmap.PAGESIZE), np.uint8)
    address, length, vector = ctypes.c_void_p(mapping.ctypes.data), ctypes.c_size_t(nbytes), ctypes.c_void_p(found.ctypes.data)
    if ctypes.CDLL(None, use_errno=True).mincore(address, length, vector):
        raise OSError(ctypes.get_errno(), "mincore")
    return (found & 1).astype(np.bool_)


Place = tuple[bytes, int, int]


def _places(workload: Workload, data: Path) -> list[Place]:
    """Return of each sample the file, where it begins there, and its bytes."""
    path = workload.path(data)
    nbytes = int(np.prod(workload.shape)) * np.dtype(workload.dtype).itemsize
    if workload.one_file:
        offset = path.stat().st_size - nbytes * workload.samples
        return [(os.fsencode(path), offset + number * nbytes, nbytes) for number in range(workload.samples)]
    files = sorted(path.iterdir())
    offset = files[0].stat().st_size - nbytes
    return [(os.fsencode(file), offset, nbytes) for file in files]


def _read(path: bytes, offset: int, nbytes: int) -> bytes:
    opened = os.open(path, os.O_RDONLY)
    content = os.pread(opened, nbytes, offset)
    os.close(opened)
    return content


def _read_in_child(places: list[Place], indices: list[int]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        buffer = memoryview(bytearray(places[0][2]))
        several = places[0][0] != places[-1][0]
        opened = -1
        for index in indices:
            path, offset, _ = places[index]
            if several or opened < 0:
                opened = os.open(path, os.O_RDONLY)
            os.preadv(opened, [buffer], offset)
            if several:
                os.close(opened)
    finally:
        os._exit(0)
