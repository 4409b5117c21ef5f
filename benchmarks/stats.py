"""What the statistics cost: a loader that counts and times, beside one that times no stages and one that does neither.

All three run in one process and are read by turns, in many short rounds, so that whatever else the machine does hits all of them alike. There
is no setting that turns statistics off; the source does it, in the supervisor, before the workers are forked.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.clocks import cpu_time_ns
from benchmarks.workloads import SEED, WORKLOADS
from loader import Loader, NpyArrays

_ARMS = ("on", "no stages", "off")
_WARM_S = 2.0
_ROUND_S = 0.25
_BATCHES = 16


def _nothing(*given: Any, **named: Any) -> None:
    """Stand in for what counts."""


class Arm(NpyArrays):
    """A source in whose processes less is counted.

    Attributes:
        arm: one of `_ARMS`.
    """

    arm = "on"

    def open(self) -> None:
        """Open the source and turn off what this arm goes without."""
        from loader.data.stopwatch import Stopwatch
        from loader.ipc.board import Cells
        from loader.measure.meter import Meter
        from loader.supervise.schedule.slots import SlotClock

        super().open()
        if self.arm != "on":
            Stopwatch.begin = _nothing  # type: ignore[method-assign]
        if self.arm == "off":
            Cells.add = _nothing  # type: ignore[method-assign]
            Meter.look = _nothing  # type: ignore[method-assign]
            SlotClock.note = _nothing  # type: ignore[method-assign]


def measure(data: Path, workers: int, rounds: int) -> dict[str, Any]:
    """Return what statistics add to a batch, as a share: of the CPU time of all processes, and of the time that it takes."""
    workload = WORKLOADS["mnist"]
    loaders = []
    for arm in _ARMS:
        source = Arm(str(workload.path(data)))
        source.arm = arm
        loaders.append(Loader(source, workload.batch_size, shuffle=True, seed=SEED, drop_last=True, workers=workers))
    position: Any = loaders[-1]._position
    position._cells, position._next_look = [0] * len(position._cells), math.inf
    feeds = [loader.batches() for loader in loaders]
    for feed in feeds:
        _take(feed, _WARM_S)
    supervisors = [psutil.Process(loader._producer.pid) for loader in loaders]
    found: list[list[tuple[float, float]]] = [[] for _ in _ARMS]
    for number in range(rounds):
        for arm in sorted(range(len(_ARMS)), key=lambda arm: (arm + number) % len(_ARMS)):
            _take(feeds[arm], _ROUND_S / 5)  # what was filled while the others were read
            found[arm].append(_round(feeds[arm], supervisors[arm]))
    for loader in loaders:
        loader.close()
    return {
        "cpu_all": _added(found[0], found[2], 0),
        "cpu_stages": _added(found[0], found[1], 0),
        "time_all": _added(found[0], found[2], 1),
        "time_stages": _added(found[0], found[1], 1),
        "batches_per_s": 1 / statistics.median(took for _, took in found[0]),
    }


def _take(feed: Any, seconds: float) -> int:
    end, count = time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        for _ in range(_BATCHES):
            next(feed)
        count += _BATCHES
    return count


def _round(feed: Any, supervisor: psutil.Process) -> tuple[float, float]:
    """Return the CPU time of all processes and the time per batch, in seconds."""
    pids = [os.getpid(), supervisor.pid, *(worker.pid for worker in supervisor.children())]
    cpu, started = sum(map(cpu_time_ns, pids)), time.perf_counter()
    count = _take(feed, _ROUND_S)
    return (sum(map(cpu_time_ns, pids)) - cpu) / 1e9 / count, (time.perf_counter() - started) / count


def _added(with_it: list[tuple[float, float]], without: list[tuple[float, float]], which: int) -> float:
    """Return by which share one is more than the other, by the median over neighbouring rounds, in per cent."""
    return 100 * (statistics.median(one[which] / other[which] for one, other in zip(with_it, without, strict=True)) - 1)
