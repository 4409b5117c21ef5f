"""What is measured of a peer. Each function runs in a process of its own and returns JSON-able data."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import re
import signal
import statistics
import threading
import time
import traceback
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.cold import put_out_of_memory
from benchmarks.peers.loaders.peer import Peer, Unsupported
from benchmarks.peers.opened import Opened
from benchmarks.peers.tasks import Task

_WARM_S = 0.5
_LEAST_BATCHES = 16  # some loaders deliver batches in bursts
_COMPARED_BATCHES = 2
_BATCHES_OF_ORDER = 6
_WATCHED_S = 1.5
_HANG_S = 10.0
_QUIET_S = 0.4
_SETTLED_S = 5.0

Measured = dict[str, Any]


def trial(peer: Peer, task: Task, data: Path, count: int, seconds: float) -> Measured:
    """Return `samples_per_s` of a short run, and a `checksum` of its first batches."""
    if task.cold:
        put_out_of_memory(task.work, data)
    checksum = 0
    with peer.batches(task, data, count, shuffle=True) as found:
        for batch in itertools.islice(found, _BATCHES_OF_ORDER):
            checksum = zlib.crc32(np.ascontiguousarray(batch), checksum)
        del batch
        taken = _take(found, seconds, _most_batches(task))
    return {"samples_per_s": taken.samples / taken.seconds, "checksum": checksum}


def speed(peer: Peer, task: Task, data: Path, count: int, seconds: float) -> Measured:
    """Return `samples_per_s`, `cpu_s_per_gb` of all processes, `first_batch_s`, and `megabytes`: the most of Σ Pss that was seen beyond the imports.

    The time to the first batch begins when the loader is made; importing the peer is done before.
    """
    if task.cold:
        put_out_of_memory(task.work, data)
    before = _of_family(_pss)
    started = time.perf_counter()
    with peer.batches(task, data, count, shuffle=True) as found:
        batch = next(found)
        first_s = time.perf_counter() - started
        del batch
        pss = [_of_family(_pss)]
        if not task.cold:
            _take(found, _WARM_S)
            pss.append(_of_family(_pss))
        cpu, taken = _of_family(_cpu_s), _take(found, seconds, _most_batches(task))
        cpu_s = _of_family(_cpu_s) - cpu
        pss.append(_of_family(_pss))
    return {
        "samples_per_s": taken.samples / taken.seconds,
        "cpu_s_per_gb": cpu_s / (taken.nbytes / 1e9),
        "first_batch_s": first_s,
        "megabytes": (max(pss) - before) / 1e6,
    }


class _Taken:
    def __init__(self) -> None:
        self.samples = self.nbytes = self.batches = 0
        self.seconds = 0.0


def _most_batches(task: Task) -> float:
    """Return how many batches may be measured: the files of the second epoch are in memory, and some are read ahead."""
    return 0.8 * task.work.samples / task.work.batch_size if task.cold else math.inf


def _take(found: Iterator[Any], seconds: float, most: float = math.inf) -> _Taken:
    """Take batches for that long; up to three times as long, if there are few."""
    taken, began = _Taken(), time.perf_counter()
    while taken.batches < most and (taken.seconds < seconds or (taken.batches < _LEAST_BATCHES and taken.seconds < 3 * seconds)):
        batch = next(found)
        taken.batches += 1
        taken.samples += len(batch)
        taken.nbytes += batch.nbytes
        del batch
        taken.seconds = time.perf_counter() - began
    return taken


def outputs(peer: Peer, task: Task, data: Path, count: int) -> Measured:
    """Return what the first batches hold, in the order of the samples: as `checksum`, and as `means` of their samples, for pictures.

    Batches of buckets may come in any order, so theirs is the checksum of all those of an epoch, sorted. Of pictures that are changed at random,
    `random_mean` is returned, too.
    """
    checksums, means = [], []
    with peer.batches(task, data, count, shuffle=False) as found:
        for batch in itertools.islice(found, _batches_of_an_epoch(task) if task.edges else _COMPARED_BATCHES):
            checksums.append(zlib.crc32(np.ascontiguousarray(batch)))
            means += np.asarray(batch).reshape(len(batch), -1).mean(1, dtype=np.float64).tolist()
        shape = [len(batch), *batch.shape[2:]] if task.edges else list(batch.shape)
        got: Measured = {"dtype": str(batch.dtype), "shape": shape, "checksum": zlib.crc32(repr(sorted(checksums)).encode()), "means": means}
        del batch
    if task.augmented:
        with peer.batches(task, data, count, shuffle=True) as found:
            got["random_mean"] = statistics.fmean(float(np.asarray(batch).mean()) for batch in itertools.islice(found, _COMPARED_BATCHES))
    return got


def _batches_of_an_epoch(task: Task) -> int:
    buckets = np.bincount(np.searchsorted(task.edges, task.work.lengths()))  # type: ignore[attr-defined]
    return int((buckets // task.work.batch_size).sum())


def held(peer: Peer, task: Task, data: Path, count: int) -> Measured:
    """Return how many `batches` a loader has read files for when nobody takes any, beyond those that were taken; `all`, if that is every file."""
    if task.work.one_file:
        raise Unsupported("rows of one file can't be watched")
    with Opened(task.work.path(data)) as opened, peer.batches(task, data, count, shuffle=True) as found:
        for _ in range(_COMPARED_BATCHES):
            batch = next(found)
            del batch
        files = _when_settled(opened)
    return {"batches": files / task.work.batch_size - _COMPARED_BATCHES, "all": files == task.work.samples}


def _when_settled(opened: Opened) -> int:
    """Return the number of opened files once no more are opened."""
    files, changed = len(opened.names()), time.perf_counter()
    end = changed + _SETTLED_S
    while (now := time.perf_counter()) < min(end, changed + _QUIET_S):
        time.sleep(_QUIET_S / 8)
        if (more := len(opened.names())) > files:
            files, changed = more, now
    return files


def killed(peer: Peer, task: Task, data: Path, count: int) -> Measured:
    """Return what happens after SIGKILL of a worker process: `result` in words and, if batches go on, `stall_ms` beyond the longest wait before.

    A hang is one if nothing comes for 10 s.
    """
    others = set(psutil.Process().children(recursive=True))
    with peer.batches(task, data, count, shuffle=True) as found:
        next(found)
        workers = [child for child in psutil.Process().children(recursive=True) if child not in others and not child.children()]
        workers = [child for child in workers if "resource_tracker" not in " ".join(child.cmdline())]
        if not workers:
            return {"result": "no worker processes"}
        usual = max(_waits(found, _WATCHED_S))
        waits: list[float] = []
        errors: list[str] = []
        thread = threading.Thread(target=_take_after, args=(workers[-1], found, waits, errors), daemon=True)
        thread.start()
        try:
            thread.join(_WATCHED_S + _HANG_S)
        except Exception as error:  # PyTorch raises in the main thread, from a handler of SIGCHLD
            errors.append(type(error).__name__)
        if errors:
            return {"result": f"raises {errors[0]}"}
        if thread.is_alive():
            return {"result": f"hangs (nothing for {_HANG_S:g} s)"}
        return {"result": "goes on", "stall_ms": max(0.0, max(waits) - usual) * 1e3}


def _take_after(worker: psutil.Process, found: Iterator[Any], waits: list[float], errors: list[str]) -> None:
    worker.send_signal(signal.SIGKILL)
    try:
        waits += _waits(found, _WATCHED_S)
    except Exception as error:
        errors.append(type(error).__name__)


def _waits(found: Iterator[Any], seconds: float) -> list[float]:
    waits: list[float] = []
    began = started = time.perf_counter()
    while len(waits) < _BATCHES_OF_ORDER or started - began < seconds:
        next(found)
        ended = time.perf_counter()
        waits.append(ended - started)
        started = ended
    return waits


def _of_family(figure: Callable[[psutil.Process], float]) -> float:
    """Return the sum of something over this process and those that it started. One that ends meanwhile does not count."""
    me, total = psutil.Process(), 0.0
    for process in [me, *me.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError, FileNotFoundError):
            total += figure(process)
    return total


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _pss(process: psutil.Process) -> float:
    """Return the memory of a process in bytes, what several share divided among them."""
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{process.pid}/smaps_rollup").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def run(what: Measured, peer: Peer, task: Task, data: Path) -> Measured:
    """Measure what `what["kind"]` says. What a peer can't do, or fails at, is returned as `unsupported`."""
    from benchmarks.peers import fit

    try:
        match what["kind"]:
            case "trial":
                return trial(peer, task, data, what["count"], what["seconds"])
            case "speed":
                return speed(peer, task, data, what["count"], what["seconds"])
            case "outputs":
                return outputs(peer, task, data, what["count"])
            case "held":
                return held(peer, task, data, what["count"])
            case "fit":
                return fit.measure(peer, task, data, what["count"], what["steps"])
            case "bare_fit":
                return fit.bare(task, data, what["steps"])
            case _:
                return killed(peer, task, data, what["count"])
    except Unsupported as reason:
        return {"unsupported": str(reason)}
    except Exception as error:
        return {"unsupported": f"{type(error).__name__}: {error}"[:200], "traceback": traceback.format_exc()}


def leave() -> None:
    """End this process at once: some peers hang where the interpreter ends."""
    os._exit(0)
