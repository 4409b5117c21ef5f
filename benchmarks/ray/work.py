"""What each process of `make bench-ray` does."""

from __future__ import annotations

import hashlib
import itertools
import os
import socket
import statistics
import time
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

from benchmarks.fresh import Measured
from loader import Loader, MapSource, RayWorkers
from loader.ipc import memfd
from loader.ipc.board import GatewayCell, WorkerCell
from loader.produce.remote.hedging.hedging import Hedging
from tests.ray.remotely import remote_pids, rows_of_remote

_BLOCK_BYTES = 8 << 20
BLOCKS = 16
"""Slots of the loader, and places for blocks of the bare sockets."""

_NAP_S = 0.01
_TIMES_SLOWER = 20
_PATIENCE_S = 300
_ROW_BYTES = 1024
_BATCH_SIZE = 64


class Waiting:
    """Rows that take `wait_s` to come, as those that are hard to decode do on machines of their own.

    Args:
        wait_s: how long.
        slow: while this file is there, the node `b` takes twenty times as long.
        hedging: whether late tickets are done by somebody else, too.
    """

    def __init__(self, wait_s: float, slow: str = "", hedging: bool = True) -> None:
        self.wait_s, self.slow, self.hedging = wait_s, slow, hedging

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if not self.hedging:  # in the supervisor, of which the gateway is a fork
            for name in ("_give_to_another", "_look_at_slow_one", "_compare"):
                setattr(Hedging, name, lambda *arguments: None)
            Hedging._is_late = lambda hedging, actor, now_s: False  # type: ignore[method-assign]

    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, index: int) -> np.ndarray:
        slow = self.slow and os.environ.get("LOADER_TEST_NODE") == "b" and os.path.exists(self.slow)
        if self.wait_s:
            time.sleep(self.wait_s * (_TIMES_SLOWER if slow else 1))
        return np.full(_ROW_BYTES, index % 251, np.uint8)


class Blocks:
    """Rows of 8 MB that exist already, so that what is measured is their way.

    Here, a worker naps at each, so that the one that a loader always has leaves the cores to those that are measured.
    """

    @cached_property
    def _rows(self) -> np.ndarray:
        return blocks()

    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, index: int) -> np.ndarray:
        if "LOADER_TEST_NODE" not in os.environ:
            time.sleep(_NAP_S)
        return self._rows[index % len(self._rows)]


def blocks() -> np.ndarray:
    """Return what is sent, again and again."""
    return np.random.default_rng(0).integers(0, 256, (4, _BLOCK_BYTES), np.uint8)


def source_of(what: Measured) -> MapSource:
    return MapSource(Blocks() if "blocks" in what["source"] else Waiting(**what["source"]))


def loader_of(what: Measured) -> Loader:
    """A loader with `workers` here and `remote` elsewhere; 0 of these: none."""
    remote = RayWorkers(min=what["remote"], max=what["remote"], address=what["address"]) if what["remote"] else None
    workers = what["workers"]
    settings = {"workers": workers, "max_workers": workers or None, "slots": what.get("slots") if workers else None, "remote": remote}
    return Loader(source_of(what), what.get("batch_size", _BATCH_SIZE), shuffle=True, **settings)


def digest(what: Measured) -> Measured:
    """Return a digest of the first batches."""
    with loader_of(what) as loader:
        return {"digest": _digest(loader.batches())}


def _digest(batches: Iterator[Any]) -> str:
    found = hashlib.blake2b(digest_size=8)
    for _ in range(4):
        found.update(next(batches)[0])
    return found.hexdigest()


def rate(what: Measured) -> Measured:
    """Say `ready` when all workers are there; return the `samples_per_s` from then on, the bytes of them that came from nodes, and the `digest`."""
    with loader_of(what) as loader:
        batches = loader.batches()
        found = _digest(batches)
        _until_all_are_there(loader, batches, what["remote"])
        print("ready", flush=True)
        _take(batches, what.get("settle_s", 2.0))
        started, made = time.perf_counter(), _made_remotely(loader)
        count = _take(batches, what["seconds"])
        elapsed, made = time.perf_counter() - started, _made_remotely(loader) - made
        gateway_us = loader._producer.board.gateway[GatewayCell.CPU_NS] / max(1, _counted(loader, "tickets")) / 1e3
        return {
            "digest": found,
            "samples_per_s": count * what.get("batch_size", _BATCH_SIZE) / elapsed,
            "remote_bytes_per_s": made * loader._producer.specs[0].nbytes / elapsed,
            "hedges": _counted(loader, "hedges"),
            "gateway_us": gateway_us,
        }


def gaps(what: Measured) -> Measured:
    """Say `ready` when all workers are there; return the usual and the longest wait for a batch before that and later, and how long an actor takes
    for a ticket."""
    with loader_of(what) as loader:
        batches = loader.batches()
        found = _digest(batches)
        _until_all_are_there(loader, batches, what["remote"])
        usual = _waits(batches, 4.0)
        print("ready", flush=True)
        waits = _waits(batches, what["seconds"])
        after = waits[len(waits) // 2 :]  # long since over
        return {
            "digest": found,
            "before_s": statistics.median(usual),
            "before_longest_s": max(usual),
            "longest_s": max(waits),
            "longest_at_s": sum(waits[: waits.index(max(waits))]),
            "after_s": statistics.median(after),
            "after_longest_s": max(after),
            "ticket_s": _counted(loader, "made_ns") / max(1, _counted(loader, "tickets")) / 1e9,
        }


def _waits(batches: Iterator[Any], seconds: float) -> list[float]:
    waits, end = [], time.perf_counter() + seconds
    while (started := time.perf_counter()) < end:
        next(batches)
        waits.append(time.perf_counter() - started)
    return waits


def _counted(loader: Loader, what: str) -> int:
    return sum(node[what] for node in loader._producer.board.gateway.read_text().get("nodes", []))


def _made_remotely(loader: Loader) -> int:
    return sum(cells[WorkerCell.SAMPLES] for cells in rows_of_remote(loader))


def _until_all_are_there(loader: Loader, batches: Iterator[Any], remote: int) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while remote and len(remote_pids(loader)) < remote:
        next(batches)
        time.sleep(0.05)
        assert time.monotonic() < deadline, f"{len(remote_pids(loader))} of {remote} remote workers have come"


def _take(batches: Iterator[Any], seconds: float) -> int:
    end, count = time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        next(batches)
        count += 1
    return count


def sockets(what: Measured) -> Measured:
    """Return the bytes per second that come from so many `senders` by a socket each, into shared memory: one after the other is read to the end of
    a block, as nothing else is to be done."""
    slots = memfd.shared_with_forks("blocks", BLOCKS * _BLOCK_BYTES).reshape(BLOCKS, _BLOCK_BYTES)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        senders = [_fork_sender(listener.getsockname()) for _ in range(what["senders"])]
        connections = [listener.accept()[0] for _ in senders]
    count, begun, warm_s = 0, 0.0, 1.0
    started = time.perf_counter()
    for slot, connection in zip(itertools.cycle(slots), itertools.cycle(connections), strict=False):
        connection.recv_into(slot, 0, socket.MSG_WAITALL)
        count += 1
        if (elapsed := time.perf_counter() - started) >= warm_s + what["seconds"]:
            break
        if elapsed < warm_s:
            count, begun = 0, elapsed
    for connection in connections:
        connection.close()
    for pid in senders:
        os.waitpid(pid, 0)
    return {"bytes_per_s": count * _BLOCK_BYTES / (elapsed - begun)}


def _fork_sender(address: tuple[str, int]) -> int:
    if pid := os.fork():
        return pid
    try:
        with socket.create_connection(address) as connection:
            for block in itertools.cycle(blocks()):
                connection.sendall(block)
    except OSError:
        os._exit(0)
    finally:
        os._exit(1)


def ray_data(what: Measured) -> Measured:
    """Return the `samples_per_s` of Ray Data's `iter_batches` with the same rows on the same cluster."""
    import ray

    ray.init(address=what["address"], log_to_driver=False, logging_level="ERROR")
    ray.data.DataContext.get_current().enable_progress_bars = False
    source = Waiting(**what["source"])

    def rows(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"x": np.stack([source[index] for index in batch["id"].tolist()])}

    count = 200_000
    data = ray.data.range(count, override_num_blocks=count // _BATCH_SIZE).map_batches(rows, batch_size=_BATCH_SIZE)
    batches = iter(data.iter_batches(batch_size=_BATCH_SIZE, batch_format="numpy"))
    next(batches)
    _take(batches, 10.0)
    started = time.perf_counter()
    taken = _take(batches, what["seconds"])
    return {"samples_per_s": taken * _BATCH_SIZE / (time.perf_counter() - started)}


def single(what: Measured) -> Measured:
    return {"digest": digest, "rate": rate, "gaps": gaps, "sockets": sockets, "ray_data": ray_data}[what["kind"]](what)
