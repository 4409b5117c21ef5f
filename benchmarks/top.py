"""What it costs to watch a loader: `loader top` in a terminal of its own, refreshing every second, against nobody looking."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.clocks import cpu_time_ns
from benchmarks.workloads import WORKLOADS

_WARM_S = 2.0
_ROUND_S = 1.0  # a refresh


def measure(data: Path, workers: int, rounds: int) -> dict[str, Any]:
    """Return by how many per cent training on `mnist` is slower beside `loader top`, and the CPU time that a refresh takes, in ms.

    One loader is read in rounds, and the command is stopped in every other one.
    """
    workload = WORKLOADS["mnist"]
    with workload.loader(data, workers) as loader:
        batches = loader.batches()
        _rate(batches, _WARM_S)
        with _top(os.getpid()) as top:
            _rate(batches, _WARM_S)
            ratios, supervising, showing = [], [], []
            for _ in range(rounds):
                top.send_signal(signal.SIGSTOP)
                alone, quiet_ns, _ = _round(batches, loader.pid, top.pid)
                top.send_signal(signal.SIGCONT)
                watched, busy_ns, top_ns = _round(batches, loader.pid, top.pid)
                ratios.append(100 * (alone / watched - 1))
                supervising.append((busy_ns - quiet_ns) / 1e6 / _ROUND_S)
                showing.append(top_ns / 1e6 / _ROUND_S)
            assert top.poll() is None, f"loader top has ended with {top.returncode}"
    return {"slower": statistics.median(ratios), "supervisor_ms": statistics.median(supervising), "top_ms": statistics.median(showing)}


@contextlib.contextmanager
def _top(trainer: int) -> Iterator[subprocess.Popen[bytes]]:
    terminal, end = pty.openpty()
    top = subprocess.Popen([sys.executable, "-m", "loader", "top", str(trainer)], stdin=end, stdout=end, stderr=subprocess.DEVNULL)
    os.close(end)
    screen = subprocess.Popen(["cat"], stdin=terminal, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(terminal)
    try:
        yield top
    finally:
        top.kill()
        top.wait()
        screen.wait()


def _round(batches: Any, *pids: int) -> tuple[float, int, int]:
    """Return batches per second, and the CPU time that two processes take meanwhile."""
    before = [cpu_time_ns(pid) for pid in pids]
    rate = _rate(batches, _ROUND_S)
    one, other = (cpu_time_ns(pid) - cpu for pid, cpu in zip(pids, before, strict=True))
    return rate, one, other


def _rate(batches: Any, seconds: float) -> float:
    started, count = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - started) < seconds:
        for _ in range(16):
            next(batches)
        count += 16
    return count / elapsed
