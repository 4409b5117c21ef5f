"""What is measured of a peer. Each function runs in a process of its own and returns JSON-able data."""

from __future__ import annotations

import itertools
import os
import re
import signal
import statistics
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.peers.peer import Peer, Unsupported
from benchmarks.workloads import Workload

_WARM_S = 1.5
_COMPARED_BATCHES = 2
_BATCHES_OF_ORDER = 12
_HANG_S = 20.0
_USUAL_BATCHES = 200


def speed(peer: Peer, task: Workload, data: Path, count: int, seconds: float) -> dict[str, Any]:
    """Return `samples_per_s`, `cpu_s_per_gb` of all its processes, `first_batch_s` and `megabytes` (Σ Pss beyond the imports), all while shuffling.

    The time to the first batch begins when the loader is made; importing the peer is done before.
    """
    peer.version()
    before = _pss()
    started = time.perf_counter()
    with peer.batches(task, data, count, shuffle=True) as batches:
        batch = next(batches)
        first_s = time.perf_counter() - started
        nbytes = batch.nbytes
        while time.perf_counter() - started - first_s < _WARM_S:
            batch = next(batches)
        cpu, began, taken = _cpu_s(), time.perf_counter(), 0
        while (elapsed := time.perf_counter() - began) < seconds:
            batch = next(batches)
            taken += 1
        cpu_s, pss = _cpu_s() - cpu, _pss()
        del batch
    return {
        "samples_per_s": taken * task.batch_size / elapsed,
        "cpu_s_per_gb": cpu_s / (taken * nbytes / 1e9),
        "first_batch_s": first_s,
        "megabytes": (pss - before) / 1e6,
    }


def batches(peer: Peer, task: Workload, data: Path, count: int) -> dict[str, Any]:
    """Return the version and the first batches in the order of the samples: as `checksum`, and as `means` of their samples, for pictures."""
    version = peer.version()
    checksum, means = 0, []
    with peer.batches(task, data, count, shuffle=False) as found:
        for batch in itertools.islice(found, _COMPARED_BATCHES):
            checksum = zlib.crc32(np.ascontiguousarray(batch), checksum)
            means += np.asarray(batch).reshape(len(batch), -1).mean(1, dtype=np.float64).tolist()
    return {"version": version, "checksum": checksum, "means": means, "dtype": str(batch.dtype), "shape": list(batch.shape)}


def order(peer: Peer, task: Workload, data: Path, count: int) -> dict[str, Any]:
    """Return a checksum of the first shuffled batches."""
    peer.version()
    checksum = 0
    with peer.batches(task, data, count, shuffle=True) as found:
        for batch in itertools.islice(found, _BATCHES_OF_ORDER):
            checksum = zlib.crc32(np.ascontiguousarray(batch), checksum)
    return {"checksum": checksum}


def killed(peer: Peer, task: Workload, data: Path, count: int) -> dict[str, Any]:
    """Return what happens after SIGKILL of a worker process: `result` in words and, if batches go on, `stall_ms` beyond the usual wait.

    A hang is one if nothing comes for 20 s; then this process ends itself, since others leave threads that can't be stopped.
    """
    peer.version()
    with peer.batches(task, data, count, shuffle=True) as found:
        usual = statistics.median(_waits(found, _USUAL_BATCHES))
        workers = [child for child in psutil.Process().children(recursive=True) if not child.children()]
        if not workers:
            return {"result": "no worker processes"}
        waits: list[float] = []
        errors: list[str] = []
        thread = threading.Thread(target=_take_after, args=(lambda: workers[-1].send_signal(signal.SIGKILL), found, waits, errors), daemon=True)
        thread.start()
        try:
            thread.join(_HANG_S)
        except Exception as error:  # PyTorch raises in the main thread, from a handler of SIGCHLD
            errors.append(type(error).__name__)
        if errors:
            return {"result": f"raises {errors[0]}"}
        if thread.is_alive():
            return {"result": f"hangs (nothing for {_HANG_S:g} s)"}
        return {"result": "goes on", "stall_ms": (max(waits) - usual) * 1e3}


def _take_after(kill: Callable[[], None], found: Iterator[Any], waits: list[float], errors: list[str]) -> None:
    kill()
    try:
        waits += _waits(found, _USUAL_BATCHES)
    except Exception as error:
        errors.append(type(error).__name__)


def _waits(found: Iterator[Any], count: int) -> list[float]:
    waits = []
    for _ in range(count):
        started = time.perf_counter()
        next(found)
        waits.append(time.perf_counter() - started)
    return waits


def _family() -> list[psutil.Process]:
    me = psutil.Process()
    return [me, *me.children(recursive=True)]


def _cpu_s() -> float:
    """Return the CPU time that this process and those that it started have taken."""
    times = [process.cpu_times() for process in _family()]
    return float(sum(each.user + each.system for each in times))


def _pss() -> float:
    """Return the memory of this process and those that it started, in bytes, what several share divided among them."""
    total = 0
    for process in _family():
        found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{process.pid}/smaps_rollup").read_text(), re.MULTILINE)
        assert found
        total += int(found[1]) * 1024
    return total


def run(what: dict[str, Any], peer: Peer, task: Workload, data: Path) -> dict[str, Any]:
    """Measure what `what["kind"]` says."""
    try:
        match what["kind"]:
            case "speed":
                return speed(peer, task, data, what["count"], what["seconds"])
            case "batches":
                return batches(peer, task, data, what["count"])
            case "order":
                return order(peer, task, data, what["count"])
            case _:
                return killed(peer, task, data, what["count"])
    except Unsupported as reason:
        return {"unsupported": str(reason)}


def leave() -> None:
    """End this process at once: some peers hang where the interpreter ends."""
    os._exit(0)
