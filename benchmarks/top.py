"""What it costs to watch a loader, refreshing every second: `loader top` in a terminal of its own, and `loader metrics`, against nobody looking."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from benchmarks.clocks import cpu_time_ns
from benchmarks.workloads import WORKLOADS

_WARM_S = 2.0
_ROUND_S = 1.0  # a refresh

_Processes = tuple["subprocess.Popen[bytes]", "subprocess.Popen[bytes]"]  # who looks, and who pays for it; they may be the same

# What Prometheus does: another process, which asks for the page and reads it.
_SCRAPE = """
import sys, time, urllib.request
while True:
    with urllib.request.urlopen(sys.argv[1], timeout=10) as page:
        page.read()
    time.sleep(1)
"""


def measure(data: Path, workers: int, rounds: int) -> dict[str, Any]:
    """Return what `loader top` costs training on `mnist`: time, and CPU time of a batch, in per cent; CPU time of a refresh, in ms."""
    return _beside(_top, data, workers, rounds)


def measure_metrics(data: Path, workers: int, rounds: int) -> dict[str, Any]:
    """Return the same for a scrape of `loader metrics` each second."""
    return _beside(_metrics, data, workers, rounds)


def _beside(watching: Callable[[int], AbstractContextManager[_Processes]], data: Path, workers: int, rounds: int) -> dict[str, Any]:
    """Read one loader in rounds, and stop whoever looks in every other one."""
    workload = WORKLOADS["mnist"]
    with workload.loader(data, workers) as loader:
        batches = loader.batches()
        _rate(batches, _WARM_S)
        with watching(os.getpid()) as (looking, paying):
            _rate(batches, _WARM_S)
            pids = [loader.pid, paying.pid, os.getpid(), *(worker.pid for worker in loader.stats().workers)]
            slower, more_cpu, supervising, showing = [], [], [], []
            for _ in range(rounds):
                looking.send_signal(signal.SIGSTOP)
                alone, quiet_ns = _round(batches, pids)
                looking.send_signal(signal.SIGCONT)
                watched, busy_ns = _round(batches, pids)
                slower.append(100 * (alone / watched - 1))
                more_cpu.append(100 * ((sum(busy_ns) / watched) / (sum(quiet_ns) / alone) - 1))
                supervising.append((busy_ns[0] - quiet_ns[0]) / 1e6 / _ROUND_S)
                showing.append(busy_ns[1] / 1e6 / _ROUND_S)
            for process in (looking, paying):
                assert process.poll() is None, f"{process.args} has ended with {process.returncode}"
    found = {"slower": slower, "cpu": more_cpu, "supervisor_ms": supervising, "own_ms": showing}
    return {name: statistics.median(values) for name, values in found.items()}


@contextlib.contextmanager
def _top(trainer: int) -> Iterator[_Processes]:
    terminal, end = pty.openpty()
    top = subprocess.Popen([sys.executable, "-m", "loader", "top", str(trainer)], stdin=end, stdout=end, stderr=subprocess.DEVNULL)
    os.close(end)
    screen = subprocess.Popen(["cat"], stdin=terminal, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(terminal)
    try:
        yield top, top
    finally:
        top.kill()
        top.wait()
        screen.wait()


@contextlib.contextmanager
def _metrics(trainer: int) -> Iterator[_Processes]:
    exporter = subprocess.Popen([sys.executable, "-m", "loader", "metrics", "--port", "0"], stdout=subprocess.PIPE)
    assert exporter.stdout is not None
    url = exporter.stdout.readline().decode().partition(" at ")[2].partition(";")[0]
    scraper = subprocess.Popen([sys.executable, "-c", _SCRAPE, url])
    try:
        yield scraper, exporter
    finally:
        for process in (scraper, exporter):
            process.kill()
            process.wait()


def _round(batches: Any, pids: list[int]) -> tuple[float, list[int]]:
    """Return batches per second, and the CPU time that each process takes meanwhile."""
    before = [cpu_time_ns(pid) for pid in pids]
    rate = _rate(batches, _ROUND_S)
    return rate, [cpu_time_ns(pid) - cpu for pid, cpu in zip(pids, before, strict=True)]


def _rate(batches: Any, seconds: float) -> float:
    started, count = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - started) < seconds:
        for _ in range(16):
            next(batches)
        count += 16
    return count / elapsed
