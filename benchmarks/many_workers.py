"""Many workers whose reads wait: how near the loader comes to what they could do, and what the supervisor pays for them.

Reads sleep, rows take 1 KB, batches are of 64, so that all that the cores do is the loader's own work. Each function but `schedule` runs in a process
of its own.
"""

from __future__ import annotations

import os
import statistics
import struct
import time
from collections import deque
from typing import Any

import numpy as np
import psutil

from loader import Loader, MapSource
from loader.data.order import Order
from loader.data.plans.sample_batches import SampleBatches
from loader.ipc.records import Done, Ready, Released
from loader.supervise.schedule.assignments import SendTicket
from loader.supervise.schedule.schedule import Schedule

_ROW = np.zeros(256, np.float32)
_BATCH_SIZE = 64
_BARE_ROWS = 2_000
_PACE_ROWS_PER_S = 20_000
_STARTS = 7

# Workers, milliseconds of a read → wanted share of the ideal.
CASES: dict[tuple[int, float], float] = {(16, 1.5): 0.85, (16, 5.0): 0.95, (64, 5.0): 0.93, (128, 5.0): 0.80, (128, 20.0): 0.95}
SIMULATED_WORKERS = (2, 16, 64, 256)


class Waiting:
    """Rows that take `wait_s` to come, as from a store that is far away."""

    def __init__(self, wait_s: float) -> None:
        self.wait_s = wait_s

    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, index: int) -> np.ndarray:
        time.sleep(self.wait_s)
        return _ROW


def share(workers: int, wait_ms: float, seconds: float) -> dict[str, Any]:
    """Return `samples_per_s`, and its `ratio` to the ideal: the number of workers over the time of one row in a loop that does nothing else.

    Where the cores can't wake that many processes so often, nothing can reach it: `of_bare` is the ratio to as many processes that run that loop.
    """
    source = Waiting(wait_ms * 1e-3)
    ideal = workers / _bare_row_s(source)
    with Loader(MapSource(source), _BATCH_SIZE, workers=workers, max_workers=workers) as loader:
        batches = loader.batches()
        _take(batches, time.perf_counter() + 1 + 0.1 * wait_ms)
        before, started = _cpu_s(loader), time.perf_counter()
        count = _take(batches, started + seconds)
        elapsed = time.perf_counter() - started
        rate, supervisor = count * _BATCH_SIZE / elapsed, (_cpu_s(loader) - before) / elapsed
    bare = _bare_processes(source, workers, seconds)
    return {"samples_per_s": rate, "ratio": rate / ideal, "of_bare": rate / bare, "supervisor": supervisor}


def paced(seconds: float) -> dict[str, Any]:
    """Return the `share` of a core that the supervisor takes at 20,000 rows/s of 5 ms, as 128 workers can just deliver them."""
    with Loader(MapSource(Waiting(5e-3)), _BATCH_SIZE, workers=128, max_workers=128) as loader:
        batches = loader.batches()
        _take(batches, time.perf_counter() + 2)
        before, started, rows = _cpu_s(loader), time.perf_counter(), 0
        while (elapsed := time.perf_counter() - started) < seconds:
            next(batches)
            rows += _BATCH_SIZE
            time.sleep(max(0.0, rows / _PACE_ROWS_PER_S - (time.perf_counter() - started)))
        return {"share": (_cpu_s(loader) - before) / elapsed, "samples_per_s": rows / elapsed}


def first_batch() -> dict[str, Any]:
    """Return the `ratio` of the time to the first batch of 64 rows of 5 ms with 64 workers to the ideal, and its `seconds`.

    The ideal is the time to the first batch of rows that take no time, and one row more. Both are medians of starts, which differ among themselves
    by more than a row takes.
    """
    times: dict[float, list[float]] = {0.0: [], 5e-3: []}
    for _ in range(_STARTS):
        for wait_s, seconds in times.items():
            started = time.perf_counter()
            with Loader(MapSource(Waiting(wait_s)), _BATCH_SIZE, workers=64, max_workers=64) as loader:
                next(iter(loader))
                seconds.append(time.perf_counter() - started)
    start, first = map(statistics.median, times.values())
    return {"ratio": first / (start + _bare_row_s(Waiting(5e-3))), "seconds": first}


def schedule(workers: int, events: int = 200_000) -> float:
    """Return how many events the schedule alone takes in a second of CPU time: reports, releases and joins in, tickets and batches out.

    Question: does an event cost more if there are more workers? Method: no processes and no pipes; tickets are done at once, in the order in which
    they were dealt, and every batch is released when it is handed over.
    """
    plan = SampleBatches(Order(1_000_000, 0, False), _BATCH_SIZE)
    simulated = Schedule(plan, 2 * workers + 2, 1, None, 5e6, 2)
    for worker in range(workers):
        simulated.worker_joined(worker)
    held: deque[SendTicket] = deque()
    count, started = workers, time.process_time()
    while count < events:
        for command in simulated.commands():
            count += 1
            match command:
                case SendTicket():
                    held.append(command)
                case Ready():
                    simulated.released(Released(command.slot, command.delivery))
                    count += 1
        for _ in range(max(1, len(held) // 4)):
            worker, ticket = held.popleft()
            simulated.done(Done(worker, ticket.number, 5_000_000 * ticket.rows))
            count += 1
    return count / (time.process_time() - started)


def _bare_row_s(source: Waiting) -> float:
    row = np.empty_like(_ROW)
    rows = max(20, int(min(_BARE_ROWS, 1 / max(source.wait_s, 1e-6))))
    started = time.perf_counter()
    for index in range(rows):
        row[:] = source[index]
    return (time.perf_counter() - started) / rows


def _bare_processes(source: Waiting, processes: int, seconds: float) -> float:
    """Return the rows per second of as many processes that do nothing else."""
    read, write = os.pipe()
    started = time.perf_counter()
    for _ in range(processes):
        if os.fork() == 0:
            try:
                row, count = np.empty_like(_ROW), 0
                while time.perf_counter() - started < 1 + seconds:
                    row[:] = source[count]
                    count += time.perf_counter() - started > 1
                os.write(write, struct.pack("<q", count))
            finally:
                os._exit(0)
    rows = sum(struct.unpack("<q", os.read(read, 8))[0] for _ in range(processes))
    for _ in range(processes):
        os.wait()
    return float(rows / seconds)


def _take(batches: Any, until: float) -> int:
    count = 0
    while time.perf_counter() < until:
        next(batches)
        count += 1
    return count


def _cpu_s(loader: Loader) -> float:
    """Return the CPU time that the supervisor has taken."""
    (supervisor,) = psutil.Process().children()
    times = supervisor.cpu_times()
    return float(times.user + times.system)
