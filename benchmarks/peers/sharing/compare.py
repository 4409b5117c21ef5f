"""`make bench-peers BENCH_ARGS=shared`: what does it cost that several scripts read one pool, here and with TensorSocket?

Each figure is of a pool and its readers, all in fresh processes. A reader has a model that sleeps. The first batches of both are compared, bit for
bit, before anything is measured. Then TensorSocket is tried with several settings, of which the fastest is used. Last, one reader is ten times slower
than the others, and one is killed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.clocks import cpu_time_ns
from benchmarks.peers.sharing.pool import COMPARED, WORK

SETTINGS: dict[str, list[dict[str, Any]]] = {
    "loader": [{}],
    "tensorsocket": [{"producer_batch_size": size, "own": own} for size, own in ((2, True), (2, False), (8, True), (8, False))],
}
_PATIENCE_S = 90.0
_LOOK_S = 0.005


class TooSlow(Exception):
    """The readers of a pool have not taken the first batches in time, or a process has ended; in words."""


@dataclass
class Rates:
    """What was measured of a pool.

    Attributes:
        each: batches per second, of each reader.
        producing_ms: CPU time of the pool, for a batch of the reader that took most.
        reading_ms: CPU time of a reader for a batch.
    """

    each: list[float]
    producing_ms: float
    reading_ms: float

    @property
    def mean(self) -> float:
        """Batches per second of a reader."""
        return statistics.fmean(self.each)


@dataclass
class Pool:
    """A pool and its readers, in processes of their own.

    Args:
        who: makes the batches.
        setting: of it.
        data: folder of the data.
        steps_s: how long the model of each reader takes.
    """

    who: str
    setting: dict[str, Any]
    data: Path
    steps_s: Sequence[float]
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __enter__(self) -> Pool:
        self._folder = tempfile.TemporaryDirectory()
        self._place = {"who": self.who, "setting": self.setting, "name": f"sharing-{os.getpid()}-{time.monotonic_ns()}", "ports": _free_ports(4)}
        self.reports = [Path(self._folder.name) / str(number) for number in range(len(self.steps_s))]
        self._start(role="produce", data=str(self.data))
        for report, step_s in zip(self.reports, self.steps_s, strict=True):
            self._start(role="read", report=str(report), step_s=step_s)
        self._wait_for_all()
        return self

    def __exit__(self, *_: object) -> None:
        family = [process for started in self._started for process in _family(started.pid)]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        for started in self._started:
            started.wait()
        self._folder.cleanup()

    def _start(self, **more: Any) -> None:
        command = [sys.executable, "-m", "benchmarks.peers.sharing.pool", json.dumps(self._place | more)]
        self._started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def _wait_for_all(self) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while not all(count > 2 * COMPARED for count in self.taken()):
            if time.monotonic() > deadline or any(process.poll() is not None for process in self._started):
                taken = self.taken()
                self.__exit__()
                raise TooSlow(f"after {_PATIENCE_S:g} s, its readers have taken {taken} batches")
            time.sleep(0.05)

    def taken(self) -> list[int]:
        """Return how many batches each reader has taken."""
        return [int((report.read_text().split() or ["0"])[0]) if report.exists() else 0 for report in self.reports]

    def prints(self) -> list[list[str]]:
        """Return the fingerprints of the first batches, of each reader."""
        return [report.read_text().split()[1:] for report in self.reports]

    def measure(self, seconds: float) -> Rates:
        """Watch it for so long."""
        producer, *scripts = self._started
        before, made, read, began = self.taken(), _cpu_ms([producer]), _cpu_ms(scripts), time.monotonic()
        time.sleep(seconds)
        elapsed, made, read = time.monotonic() - began, _cpu_ms([producer]) - made, _cpu_ms(scripts) - read
        each = [now - then for now, then in zip(self.taken(), before, strict=True)]
        return Rates([count / elapsed for count in each], made / max(each), read / max(1, sum(each)))

    def longest_wait_after_a_kill(self, seconds: float) -> float:
        """Kill the last reader; return the longest time, in so many seconds afterwards, in which the first one took no batch."""
        self._started[-1].kill()
        count, since, longest = self.taken()[0], time.monotonic(), 0.0
        deadline = since + seconds
        while (now := time.monotonic()) < deadline:
            longest = max(longest, now - since)
            if (taken := self.taken()[0]) != count:
                count, since = taken, now
            time.sleep(_LOOK_S)
        return longest


def main(words: Sequence[str]) -> None:
    """Measure, and print tables."""
    options = _parser().parse_args(words)
    WORK.write(options.data, lambda text: print(text, flush=True))
    WORK.warm(options.data)
    best = _tried(options)
    print("| model, ms | readers | | batches/s of a reader | CPU ms for a batch: the pool | each reader |\n|---|---|---|---|---|---|")
    for step_s in options.steps_s:
        for readers in options.readers:
            for who, setting in best.items():
                rates = _median(who, setting, [step_s] * readers, options)
                cells = f"{rates.mean:.1f} | {rates.producing_ms:.1f} | {rates.reading_ms:.1f}"
                print(f"| {1e3 * step_s:g} | {readers} | {who} | {cells} |", flush=True)
    _disturbed(best, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers shared", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--readers", type=int, nargs="+", default=[1, 2, 4], help="numbers of readers (default: 1 2 4)")
    parser.add_argument("--steps-s", type=float, nargs="+", default=[0.02, 0.0], metavar="SECONDS", help="of the models (default: 0.02 and 0)")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of one measurement (default: 8)")
    parser.add_argument("--rounds", type=int, default=1, help="how often; the median counts (default: 1)")
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "loader-bench", help="folder of the data, kept")
    return parser


def _tried(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return the setting of each with which two readers take most batches. Ends the program if the first ones differ."""
    best: dict[str, dict[str, Any]] = {}
    prints: dict[str, list[list[str]]] = {}
    print("| two readers without a model | batches/s of a reader |\n|---|---|")
    for who, settings in SETTINGS.items():
        rates: list[float] = []
        for setting in settings:
            said = ""
            try:
                with Pool(who, setting, options.data, [0.0, 0.0]) as pool:
                    prints[f"{who} {setting}"] = pool.prints()
                    rates.append(pool.measure(options.seconds).mean)
            except TooSlow as error:
                rates.append(0.0)
                said = f" ({error})"
            print(f"| {who} {' '.join(f'{name}={value}' for name, value in setting.items())} | {rates[-1]:.1f}{said} |", flush=True)
        best[who] = settings[rates.index(max(rates))]
    if len({tuple(each) for found in prints.values() for each in found}) > 1:
        sys.exit(f"the first batches differ: {prints}")
    print(f"\nThe first {COMPARED} batches are the same, bit for bit.\n")
    return best


def _median(who: str, setting: dict[str, Any], steps_s: list[float], options: argparse.Namespace) -> Rates:
    found = []
    for _ in range(options.rounds):
        with Pool(who, setting, options.data, steps_s) as pool:
            found.append(pool.measure(options.seconds))
    return sorted(found, key=lambda rates: rates.mean)[len(found) // 2]


def _disturbed(best: dict[str, dict[str, Any]], options: argparse.Namespace) -> None:
    """Measure what a slow reader, and one that is killed, do to others."""
    print("\n| two readers with models of 20 ms, and | | batches/s of these | longest wait |\n|---|---|---|---|")
    for who, setting in best.items():
        with Pool(who, setting, options.data, [0.02, 0.02]) as pool:
            print(f"| no other | {who} | {pool.measure(options.seconds).mean:.1f} | |", flush=True)
        with Pool(who, setting, options.data, [0.02, 0.02, 0.2]) as pool:
            rates = pool.measure(options.seconds)
            print(f"| one of 200 ms | {who} | {statistics.fmean(rates.each[:2]):.1f} (it: {rates.each[2]:.1f}) | |", flush=True)
        with Pool(who, setting, options.data, [0.02, 0.02, 0.02]) as pool:
            print(f"| one that is killed | {who} | | {pool.longest_wait_after_a_kill(15.0):.2f} s |", flush=True)


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _cpu_ms(started: Sequence[subprocess.Popen[bytes]]) -> float:
    return sum(cpu_time_ns(process.pid) for each in started for process in _family(each.pid)) / 1e6


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("", 0))
        return [each.getsockname()[1] for each in sockets]
