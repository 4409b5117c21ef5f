"""Scripts that read one pool: what its work costs, what one that is slow or stops does to others, how soon one that comes has its first batch, and
what each costs the supervisor.

Each reader is a process, `python -m benchmarks.shared`. The workers' work is counted in samples and in CPU time, of the batches of the reader that
got most: so that is the work for one reader.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
import psutil

from loader import Loader, NpyArrays
from loader import transforms as T
from loader.ipc.board import SupervisorCell, WorkerCell
from loader.train.remote.remote import Remote

_ROWS = 64
_STEP_S = 20e-3
_SLOW = 10
_APART_S = 0.5
_FIRSTS = 5


def work(readers: int, seconds: float) -> dict[str, Any]:
    """Return what is made, `made`, and the CPU time of the workers, `cpu_ms`, for a batch of the reader that gets most of them.

    Each reader has a model of 20 ms. They begin half a second after one another, and the clock starts with the last one.
    """
    with _pool(batch_shape=(_ROWS, 32, 32, 3), slots=0) as loader, _Readers(loader, [_STEP_S] * readers, seconds, apart_s=_APART_S) as scripts:
        workers = [psutil.Process(worker.pid) for worker in loader.stats().workers]
        made, cpu_s = _made(loader), _cpu_s(workers)
        most = max(one["batches"] for one in scripts.results())
        return {"made": (_made(loader) - made) / _ROWS / most, "cpu_ms": (_cpu_s(workers) - cpu_s) * 1e3 / most}


def slow(seconds: float) -> dict[str, Any]:
    """Return how many batches two readers with models of 20 ms get beside one with a model of 200 ms, as a `share` of those without it."""
    alone, beside = (_batches_of_two([_STEP_S, _STEP_S, *more], seconds) for more in ([], [_SLOW * _STEP_S]))
    return {"share": beside / alone}


def _batches_of_two(steps_s: list[float], seconds: float) -> int:
    with _pool(batch_shape=(_ROWS, 32, 32, 3), slots=0) as loader, _Readers(loader, steps_s, seconds) as scripts:
        return sum(one["batches"] for one in scripts.results()[:2])


def struck(seconds: float) -> dict[str, Any]:
    """Return the longest time, in seconds, that a reader with a model of 20 ms waits for a batch, when another one is `stopped`, and `killed`."""
    return {"stopped": _longest_wait(signal.SIGSTOP, seconds), "killed": _longest_wait(signal.SIGKILL, seconds)}


def _longest_wait(how: signal.Signals, seconds: float) -> float:
    with _pool(batch_shape=(_ROWS, 32, 32, 3), slots=0) as loader, _Readers(loader, [_STEP_S] * 3, seconds) as scripts:
        time.sleep(seconds / 2)
        scripts.strike_last(how)
        return max(one["longest_s"] for one in scripts.results(2))


def first() -> dict[str, Any]:
    """Return the `seconds` that a script which has imported everything takes to attach to a pool that others read, and to get its first batch."""
    with _pool(batch_shape=(_ROWS, 32, 32, 3), slots=0) as loader, _Readers(loader, [_STEP_S] * 2, 2.0 * _FIRSTS):
        seconds = []
        for _ in range(_FIRSTS):
            with _Readers(loader, [_STEP_S], 0.2) as scripts:
                seconds += [one["first_s"] for one in scripts.results()]
        return {"seconds": sorted(seconds)[_FIRSTS // 2]}


def tiny(readers: int, step_s: float, seconds: float) -> dict[str, Any]:
    """Return the CPU time of the supervisor, `us`, for each batch of each of many readers whose batches have 16 rows of 8 numbers."""
    with _pool(batch_shape=(16, 8), slots=4 * readers) as loader:
        supervisor = [psutil.Process(loader.pid)]
        with _Readers(loader, [step_s] * readers, seconds) as scripts:
            before = _cpu_s(supervisor)
            got = [one["batches"] for one in scripts.results()]
            return {"us": (_cpu_s(supervisor) - before) * 1e6 / sum(got), "batches_per_s": sum(got) / seconds}


def _pool(batch_shape: tuple[int, ...], slots: int) -> Loader:
    rows, *shape = batch_shape
    source = NpyArrays(np.zeros((1_000 * rows, *shape), np.uint8), np.zeros(1_000 * rows, np.int32))
    more: dict[str, Any] = {"slots": slots} if slots else {}
    loader = Loader(source, rows, shuffle=True, workers=2, transforms=[T.Rescale(1 / 255)], name=f"bench-{os.getpid()}", shared=True, **more)
    _remote(loader).keep_for_others()
    assert loader.spec
    return loader


class _Readers:
    """Scripts that read a pool.

    Args:
        loader: the pool.
        steps_s: how long a batch takes each.
        seconds: how long each is to read, from when all are there.
        apart_s: how much later each begins than the one before.
    """

    def __init__(self, loader: Loader, steps_s: list[float], seconds: float, apart_s: float = 0.0) -> None:
        self._loader = loader
        self._scripts: list[subprocess.Popen[str]] = []
        there = _there(loader)
        for number, step_s in enumerate(steps_s):
            if number:
                time.sleep(apart_s)
            command = [sys.executable, "-m", "benchmarks.shared", loader.name, str(step_s)]
            self._scripts.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        while _there(loader) < there + len(steps_s):
            _remote(loader).watch()
        for script in self._scripts:
            assert script.stdin is not None
            script.stdin.write(f"{seconds}\n")
            script.stdin.flush()

    def strike_last(self, how: signal.Signals) -> None:
        """Send a signal to the last one."""
        self._scripts[-1].send_signal(how)

    def results(self, first: int | None = None) -> list[dict[str, Any]]:
        """Wait for what they say, or the first of them."""
        return [json.loads(script.communicate()[0]) for script in self._scripts[:first]]

    def __enter__(self) -> _Readers:
        return self

    def __exit__(self, *_: object) -> None:
        for script in self._scripts:
            script.kill()
            script.communicate()


def _there(loader: Loader) -> int:
    return loader._board.supervisor[SupervisorCell.READERS_GAUGE]


def _made(loader: Loader) -> int:
    return sum(worker[WorkerCell.SAMPLES] for worker in loader._board.workers)


def _cpu_s(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def _remote(loader: Loader) -> Remote:
    producer = loader._producer
    assert isinstance(producer, Remote)
    return producer


def _read(name: str, step_s: float) -> dict[str, Any]:
    """Read until as many seconds after a line on standard input as it says; return how many batches were read since, and the longest wait for one."""
    begun = time.perf_counter()
    with Loader.attach(name, epoch=0) as loader:
        batches = loader.batches()
        next(batches)
        first_s = time.perf_counter() - begun
        os.set_blocking(0, False)
        until, count, longest_s = float("inf"), 0, 0.0
        while (now := time.perf_counter()) < until:
            if until == float("inf") and (line := sys.stdin.readline()):
                until, count, longest_s = now + float(line), 0, 0.0
            next(batches)
            longest_s = max(longest_s, time.perf_counter() - now)
            count += 1
            if step_s:
                time.sleep(step_s)
        return {"batches": count, "first_s": first_s, "longest_s": longest_s}


if __name__ == "__main__":
    print(json.dumps(_read(sys.argv[1], float(sys.argv[2]))))
