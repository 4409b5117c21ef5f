"""What is read from afar, by the loader and by a bare loop. Each function runs in a process of its own and returns JSON-able data.

The server serves a folder. Its objects are `.npy` files: `small` (12 KB), `medium` (115 KB), and `big.npy`, one array of rows of 150 KB.

The bare loop does what a loader can't do without: obstore in two processes, each with its half of the requests always on their way, each answer
copied to its place in a batch.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.workloads import SEED
from loader import Loader, NpyArrays, NpyFiles, Source
from loader.data.order import Order

BATCH_SIZE = 64
_CHECKED_BATCHES = 4
_PROCESSES = 2
_WARM_S = 1.5


@dataclass(frozen=True)
class Objects:
    """One kind of objects.

    Attributes:
        name: of the folder, or of the one array.
        samples: how many there are.
        shape: of a sample, uint8.
        one_object: all samples are in one object.
        depth: requests that the bare loop has on their way, in all processes together.
    """

    name: str
    samples: int
    shape: tuple[int, ...]
    one_object: bool
    depth: int

    @property
    def nbytes(self) -> int:
        """Of a sample."""
        return int(np.prod(self.shape))


KINDS = {
    kind.name: kind
    for kind in (
        Objects("small", 4_000, (64, 64, 3), False, 64),
        Objects("medium", 2_000, (224, 171, 3), False, 256),
        Objects("big", 14_000, (224, 224, 3), True, 256),
    )
}


def write(kind: Objects, data: Path, note: Callable[[str], None]) -> None:
    """Write the objects below `data`, unless they are there."""
    done = data / f"{kind.name}.done"
    if done.exists():
        return
    note(f"writing {kind.name} ...")
    data.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    if kind.one_object:
        array = np.lib.format.open_memmap(data / "big.npy", "w+", np.uint8, (kind.samples, *kind.shape))
        for start in range(0, kind.samples, 500):
            array[start : start + 500] = rng.integers(0, 256, (500, *kind.shape), np.uint8)
        array.flush()
    else:
        (data / kind.name).mkdir(exist_ok=True)
        for number in range(kind.samples):
            np.save(data / kind.name / f"{number:05d}.npy", rng.integers(0, 256, kind.shape, np.uint8))
    done.touch()


def near(kind: Objects, data: Path) -> Source:
    """Return the same samples from this machine."""
    return NpyArrays(data / "big.npy") if kind.one_object else NpyFiles(data / kind.name)


def far(kind: Objects, endpoint: str, **options: Any) -> Source:
    """Return the samples as a source of URLs."""
    if kind.one_object:
        return NpyArrays(f"{endpoint}/big.npy", **options)
    return NpyFiles([f"{endpoint}/{kind.name}/{number:05d}.npy" for number in range(kind.samples)], **options)


def checksum(source: Source, workers: int, seed: int = SEED) -> dict[str, Any]:
    """Return a `checksum` of a whole epoch, and how many `errors` there were."""
    found = 0
    with Loader(source, BATCH_SIZE, shuffle=True, seed=seed, workers=workers) as loader:
        for (x,) in loader:
            found = zlib.crc32(x, found)
        return {"checksum": found, "errors": loader.stats().errors}


def ours(source: Source, workers: int, seconds: float) -> dict[str, Any]:
    """Return `samples_per_s`, a `checksum` of the first batches, and whether the workers are still those of the beginning (`same_workers`)."""
    with Loader(source, BATCH_SIZE, shuffle=True, seed=SEED, drop_last=True, workers=workers) as loader:
        batches = loader.batches()
        found = 0
        for _ in range(_CHECKED_BATCHES):
            found = zlib.crc32(next(batches)[0], found)
        pids = [worker.pid for worker in loader.stats().workers]
        warm = time.perf_counter()
        while time.perf_counter() - warm < _WARM_S:
            next(batches)
        began, count = time.perf_counter(), 0
        while (spent := time.perf_counter() - began) < seconds:
            next(batches)
            count += 1
        same = pids == [worker.pid for worker in loader.stats().workers]
        return {"samples_per_s": count * BATCH_SIZE / spent, "checksum": found, "same_workers": same}


def bare(kind: Objects, endpoint: str, seconds: float) -> dict[str, Any]:
    """Return `samples_per_s` of all processes together."""
    pipes = []
    for number in range(_PROCESSES):
        read, write = os.pipe()
        if os.fork() == 0:
            try:
                os.write(write, np.array(asyncio.run(_bare(kind, endpoint, number, seconds))).tobytes())
            finally:
                os._exit(0)
        os.close(write)
        pipes.append(read)
    rates = [float(np.frombuffer(os.read(read, 8), float)[0]) for read in pipes]
    for _ in pipes:
        os.wait()
    return {"samples_per_s": sum(rates)}


async def _bare(kind: Objects, endpoint: str, number: int, seconds: float) -> float:
    os.environ["TOKIO_WORKER_THREADS"] = "1"  # as the loader sets it: the fastest
    import obstore
    from obstore.store import HTTPStore

    store = HTTPStore.from_url(endpoint, client_options={"allow_http": True})
    slots = np.frombuffer(mmap.mmap(-1, 2 * BATCH_SIZE * kind.nbytes), np.uint8).reshape(2 * BATCH_SIZE, kind.nbytes)
    samples = _endless(kind, number)
    header = 128
    taken, counting = 0, False
    stop = time.perf_counter() + _WARM_S + seconds

    async def one() -> None:
        nonlocal taken
        while time.perf_counter() < stop:
            place, index = next(samples)
            if kind.one_object:
                content = await obstore.get_range_async(store, "big.npy", start=header + index * kind.nbytes, length=kind.nbytes)
                row = np.frombuffer(content, np.uint8)
            else:
                answer = await obstore.get_async(store, f"{kind.name}/{index:05d}.npy")
                row = np.frombuffer(await answer.bytes_async(), np.uint8)[header:]
            slots[place % len(slots)] = row
            taken += counting

    tasks = [asyncio.create_task(one()) for _ in range(kind.depth // _PROCESSES)]
    await asyncio.sleep(_WARM_S)
    began, counting = time.perf_counter(), True
    await asyncio.wait(tasks, timeout=seconds)
    counting = False
    spent = time.perf_counter() - began
    return taken / spent


def _endless(kind: Objects, number: int) -> Iterator[tuple[int, int]]:
    place = epoch = 0
    while True:
        for index in Order(kind.samples, SEED, shuffle=True).indices(epoch, np.arange(number, kind.samples, _PROCESSES)).tolist():
            yield place, index
            place += 1
        epoch += 1
