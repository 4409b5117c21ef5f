"""The tuner's eyes and diary: reads the board and the kernel's clocks twice a second, keeps what was decided. The policy is in `tuner`."""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from loader.ipc.board import Board, TrainerCell, WorkerCell, WorkerState, busy_ns
from loader.supervise.tuning.intervals import Observation
from loader.supervise.tuning.tuner import Tuner

_EVERY_S = 0.5
_REMEMBERED = 64
_log = logging.getLogger("loader.supervisor")


@dataclass(frozen=True)
class Decision:
    """A change of the number of workers.

    Attributes:
        at: time.monotonic() in seconds.
        before, after: workers.
        reason: in words.
    """

    at: float
    before: int
    after: int
    reason: str


@dataclass
class _Clocks:
    """Kernel counters of one worker process, in ns."""

    pid: int
    cpu_ns: int = 0
    queue_ns: int = 0


class Tuning:
    """Looks at a running loader, and says how many workers it should have.

    Args:
        board: counters of all processes.
        cores: that the loader may use.
        active: whether the number of workers is to be tuned; may be changed at any time.

    Attributes:
        active: see above.
        ceiling: most workers; may be lowered and raised again, for instance by what memory allows.
        decisions: the latest ones, oldest first.
    """

    def __init__(self, board: Board, cores: int, *, active: bool) -> None:
        self._board = board
        self._cores = cores
        self._tuner: Tuner | None = None
        self._clocks: dict[int, _Clocks] = {}
        self._cpu_ns = self._queue_ns = 0
        self._next = 0.0
        self._before: tuple[float, ...] | None = None
        self.active = active
        self.ceiling = len(board.workers)
        self.decisions: deque[Decision] = deque(maxlen=_REMEMBERED)

    def look(self, now: float, workers: int, filling: int) -> int | None:
        """Return another number of workers, or None. Costs some µs for each worker, twice a second, and nothing in between.

        Args:
            now: time.monotonic().
            workers: that are wanted at present.
            filling: slots that are being filled.
        """
        if not self.active:
            self._tuner = self._before = None
            return None
        if now < self._next:
            return None
        self._next = now + _EVERY_S
        self._tuner = self._tuner or Tuner(self._cores)
        counters = self._counters(now)
        before, self._before = self._before, counters
        if before is None:
            return None
        elapsed, wait, batches, samples, made, busy, cpu, queue = (max(0.0, new - old) for new, old in zip(counters, before, strict=True))
        seen = Observation(elapsed, wait / 1e9, int(batches), int(samples), int(made), busy / 1e9, cpu / 1e9, queue / 1e9, filling)
        advice = self._tuner.observe(seen, workers, max(1, self.ceiling), now)
        if advice is None:
            return None
        self.decisions.append(Decision(now, workers, advice.workers, advice.reason))
        _log.info("workers %d → %d: %s", workers, advice.workers, advice.reason)
        return advice.workers

    def _counters(self, now: float) -> tuple[float, ...]:
        trainer = self._board.trainer
        made = busy = 0
        for number, cells in enumerate(self._board.workers):
            pid = cells[WorkerCell.PID_GAUGE]
            if not pid:
                continue
            made += cells[WorkerCell.SAMPLES]
            busy += busy_ns(cells, time.monotonic_ns())
            if cells[WorkerCell.STATE_GAUGE] != WorkerState.ABSENT:
                self._read_clocks(number, pid)
        taken = (trainer[TrainerCell.WAIT_NS], trainer[TrainerCell.BATCHES], trainer[TrainerCell.SAMPLES])
        return (now, *taken, made, busy, self._cpu_ns, self._queue_ns)

    def _read_clocks(self, number: int, pid: int) -> None:
        known = self._clocks.get(number)
        if known is None or known.pid != pid:
            known = self._clocks[number] = _Clocks(pid)
        cpu_ns, queue_ns = cpu_time_ns(pid), queue_time_ns(pid)
        self._cpu_ns += max(0, cpu_ns - known.cpu_ns)
        self._queue_ns += max(0, queue_ns - known.queue_ns)
        known.cpu_ns, known.queue_ns = max(cpu_ns, known.cpu_ns), max(queue_ns, known.queue_ns)


def cpu_time_ns(pid: int) -> int:
    """Return the CPU time of a process and its threads; 0 when it is gone.

    From outside, in 1 µs, so that workers pay nothing for it. The number of another process's clock is what clock_getcpuclockid(3) makes of a pid.
    """
    try:
        return time.clock_gettime_ns((~pid << 3) | 2)
    except OSError:
        return 0


def queue_time_ns(pid: int) -> int:
    """Return for how long a process was ready to run but had no core; 0 when it is gone, or where the kernel does not count it."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_bytes().split()[1])
    except (OSError, IndexError):
        return 0
