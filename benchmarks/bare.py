"""The bare loop: the same system calls into the same kind of memory by as many processes, and nothing else. No queue, no supervisor, no trainer.

Question: how fast could any loader on this machine be? Method: each process fills every n-th batch of each epoch into a few slots of its own, round
and round, for a given time; paths, orders and buffers are made before (`mnist1024` computes its orders in the loop).
"""

from __future__ import annotations

import mmap
import os
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.augment import AugmentWorkload
from benchmarks.pictures import PictureWorkload
from benchmarks.workloads import SCALE, SEED, Workload
from loader.data.order import Order

_SLOTS = 3
_CHECKED_BATCHES = 4


def measure(workload: Workload, data: Path, processes: int, seconds: float) -> dict[str, Any]:
    """Return `samples_per_s` of all processes together, and a checksum of the first batches."""
    pipes = [_start(workload, data, number, processes, seconds) for number in range(processes)]
    results = [struct.unpack("<dI", os.read(pipe, 12)) for pipe in pipes]
    for _ in pipes:
        os.wait()
    return {"samples_per_s": sum(rate for rate, _ in results), "checksum": _first_checksum(workload, data)}


def _start(workload: Workload, data: Path, number: int, processes: int, seconds: float) -> int:
    read, write = os.pipe()
    if os.fork() == 0:
        try:
            os.write(write, struct.pack("<dI", _run(workload, data, number, processes, seconds), 0))
        finally:
            os._exit(0)
    os.close(write)
    return read


def _run(workload: Workload, data: Path, number: int, processes: int, seconds: float) -> float:
    fill = _filler(workload, data)
    slots = _slots(workload)
    orders = _orders(workload, number, processes)
    for turn in range(64):  # warm
        fill(next(orders), slots[turn % _SLOTS])
    rows = turn = 0
    started = time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        fill(next(orders), slots[turn % _SLOTS])
        turn += 1
        rows += workload.batch_size
    return rows / elapsed


def _orders(workload: Workload, number: int, processes: int) -> Iterator[Any]:
    """Yield the sample numbers of this process's batches, for ever."""
    order = Order(workload.samples, SEED, shuffle=True)
    positions = np.arange(workload.samples)
    epoch = 0
    indices = order.indices(0, positions)
    while True:
        for start in range(number * workload.batch_size, workload.samples - workload.batch_size + 1, processes * workload.batch_size):
            yield indices[start : start + workload.batch_size]
        if workload.orders:
            epoch += 1
            indices = order.indices(epoch, positions)


def _slots(workload: Workload) -> list[Any]:
    dtype = np.dtype("float32" if workload.rescale else workload.dtype)
    shape = (workload.batch_size, *workload.delivered)
    nbytes = int(np.prod(shape)) * dtype.itemsize
    return [np.frombuffer(mmap.mmap(-1, nbytes), dtype).reshape(shape) for _ in range(_SLOTS)]


def _filler(workload: Workload, data: Path) -> Any:
    if isinstance(workload, PictureWorkload | AugmentWorkload):
        return workload.filler(data)
    if not workload.one_file:
        return _file_filler(workload, data)
    array = np.load(workload.path(data), mmap_mode="r")
    if not workload.rescale:
        return lambda indices, out: np.take(array, indices, axis=0, out=out, mode="clip")
    scale = np.float32(SCALE)

    def rescale(indices: Any, out: Any) -> None:
        for row, index in enumerate(indices.tolist()):
            np.multiply(array[index], scale, out=out[row], casting="unsafe")

    return rescale


def _file_filler(workload: Workload, data: Path) -> Any:
    paths = [os.fsencode(path) for path in sorted(workload.path(data).glob("*.npy"))]
    row_bytes = int(np.prod(workload.shape)) * np.dtype(workload.dtype).itemsize
    header = bytearray(os.path.getsize(paths[0]) - row_bytes)

    def read(indices: Any, out: Any) -> None:
        memory = memoryview(out.reshape(-1).view(np.uint8))
        start = 0
        for index in indices.tolist():
            fd = os.open(paths[index], os.O_RDONLY)
            os.preadv(fd, [header, memory[start : start + row_bytes]], 0)
            os.close(fd)
            start += row_bytes

    return read


def _first_checksum(workload: Workload, data: Path) -> int:
    fill, slot = _filler(workload, data), _slots(workload)[0]
    orders = _orders(workload, 0, 1)
    checksum = 0
    for _ in range(_CHECKED_BATCHES):
        fill(next(orders), slot)
        checksum = zlib.crc32(slot, checksum)
    return checksum
