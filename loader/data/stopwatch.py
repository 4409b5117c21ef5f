"""How long each stage of a pipeline takes, from a few tickets in a second: reading, decoding, each transform, writing.

Timing every call would cost more than it tells. So rows are timed when the last ones that were have begun `_EVERY_NS` ago, whatever they
hold; long ones are all timed, short ones one in dozens. All others cost two comparisons.

A stage is a number of a cell:

    READ          the source, without what it decodes
    WRITE         into the slot, where no transform or read does it, and class weights
    DECODE        from the content of files or lines to arrays, by a decoder of the source
    3 + place     the transform at that place in the list; the last cell is shared by all that come after
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from enum import IntEnum
from functools import partial
from typing import Any

READ = 0
WRITE = 1
DECODE = 2
STAGES = 24

_OWN = ("read", "write", "decode")
_EVERY_NS = 50_000_000
_RECENT = 15
_ENOUGH = 5
_SLOW_TIMES = 3
_SLOW_NS = 1_000_000
_LONGEST_NAME = 40

SLOW_KNOWN_NS = 10_000_000_000
"""For how long a slow sample is told of: as far as `stats()` looks back."""


class Timing(IntEnum):
    """Cells of a process that a stopwatch writes; the stages follow them. They grow, except for the gauge."""

    SAMPLES = 0
    """That were timed."""
    CPU_NS = 1
    """CPU time of the process, timed or not."""
    QUEUE_NS = 2
    """For how long it was ready to run but had no core."""
    ORDER_NS = 3
    """For computing the order of samples; all of it."""
    SLOW_TICKETS = 4
    """That took several times as long as usual for so many rows; all of them are counted, timed or not."""
    SLOW_NS = 5
    """How much longer than usual they took."""
    SLOW_SAMPLE_GAUGE = 6
    """Index of a sample that was a slow ticket by itself, plus one; 0 where none is known."""
    SLOW_AT_NS_GAUGE = 7
    """When that was, by the monotonic clock."""
    BATCH_NS = 8
    """For batch transforms; all of it."""
    BATCHES = 9
    """That went through them."""


TIMING_CELLS = len(Timing) + STAGES


class Stopwatch:
    """Times what one process does with samples.

    Args:
        cells: `TIMING_CELLS` of them, to write to.
        clocks: whether CPU time is noted as well: where the process does nothing else.

    Attributes:
        limit_ns: rows that took more than this, each, are to be told of by `slow`.
    """

    def __init__(self, cells: memoryview, *, clocks: bool) -> None:
        self._cells = cells
        self._stages = cells[len(Timing) :]
        self._clocks = clocks
        self._cpu_ns = time.process_time_ns() if clocks else 0
        self._queue_ns = queue_time_ns() if clocks else 0
        self._next = self._last = 0
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._typical_ns = 0.0
        self._worst_ns = 0.0
        self.limit_ns = float("inf")

    def begin(self, now_ns: int, rows: int) -> Stopwatch | None:
        """Return this one if the next `rows` rows, which begin now, are to be timed. Then `lap` and `end` are to be called."""
        if now_ns < self._next:
            return None
        self._next = now_ns + _EVERY_NS
        self._last = now_ns
        self._cells[Timing.SAMPLES] += rows
        return self

    def lap(self, stage: int) -> None:
        """What was done since the last call was `stage`."""
        now = time.monotonic_ns()
        self._stages[stage] += now - self._last
        self._last = now

    def end(self, elapsed_ns: int, rows: int) -> None:
        """Rows that were timed are done."""
        self._recent.append(elapsed_ns / rows)
        if len(self._recent) >= _ENOUGH:
            self._typical_ns = sorted(self._recent)[len(self._recent) // 2]
            self.limit_ns = _SLOW_TIMES * self._typical_ns
        if self._clocks:
            self._note_clocks()

    def ordered(self, elapsed_ns: int) -> None:
        """A part of the order has been computed."""
        self._cells[Timing.ORDER_NS] += elapsed_ns

    def mixed(self, elapsed_ns: int) -> None:
        """A batch went through the batch transforms."""
        self._cells[Timing.BATCH_NS] += elapsed_ns
        self._cells[Timing.BATCHES] += 1

    def slow(self, elapsed_ns: int, rows: int, index: Callable[[], int]) -> None:
        """Rows took unusually long. `index` tells which sample the first one is."""
        excess = elapsed_ns - rows * self._typical_ns
        if excess < _SLOW_NS:  # the machine was busy
            return
        self._cells[Timing.SLOW_TICKETS] += 1
        self._cells[Timing.SLOW_NS] += int(excess)
        now = time.monotonic_ns()
        old = now - self._cells[Timing.SLOW_AT_NS_GAUGE] > SLOW_KNOWN_NS
        if rows == 1 and (old or excess > self._worst_ns / 2):
            self._worst_ns = excess
            self._cells[Timing.SLOW_SAMPLE_GAUGE] = index() + 1
            self._cells[Timing.SLOW_AT_NS_GAUGE] = now

    def _note_clocks(self) -> None:
        cpu, queue = time.process_time_ns(), max(queue_time_ns(), self._queue_ns)  # 0 where there is no descriptor left
        self._cells[Timing.CPU_NS] += cpu - self._cpu_ns
        self._cells[Timing.QUEUE_NS] += queue - self._queue_ns
        self._cpu_ns, self._queue_ns = cpu, queue


def queue_time_ns() -> int:
    """Return for how long this process was ready to run but had no core; 0 where the kernel does not count it. Takes 2 µs."""
    try:
        schedstat = os.open("/proc/self/schedstat", os.O_RDONLY)  # a file object would take five times as long
    except OSError:
        return 0
    try:
        return int(os.read(schedstat, 64).split()[1])
    except (OSError, IndexError):
        return 0
    finally:
        os.close(schedstat)


def stage_of(place: int) -> int:
    """Return the stage of the transform at a place in the list."""
    return min(len(_OWN) + place, STAGES - 1)


def batch_stage_name(transforms: Sequence[object]) -> str:
    """Return a name for all batch transforms together: that of the only one, if there is one only."""
    return _name(transforms[0]) if len(transforms) == 1 else "batch_transforms"


def stage_names(transforms: Sequence[object]) -> list[str]:
    """Return a name for each stage, READ, WRITE and DECODE first. Transforms of the same name are told apart by their place in the list."""
    names = [_name(transform) for transform in transforms]
    names = [f"{name} ({place})" if names.count(name) > 1 else name for place, name in enumerate(names)]
    most = STAGES - len(_OWN)
    if len(names) > most:
        names[most - 1 :] = [f"the last {len(names) - most + 1} transforms"]
    return [*_OWN, *names]


def _name(transform: Any) -> str:
    while isinstance(transform, partial):
        transform = transform.func
    name = str(getattr(transform, "__name__", type(transform).__name__))
    return "lambda" if name == "<lambda>" else name[:_LONGEST_NAME]
