"""The memory limit while running: measure, ask the policy, hand out allowances. The loop does what follows for the workers.

    arena + payload + Pss_Anon of supervisor and workers ≤ limit

Two mechanisms ensure that. The policy looks at measurements several times a second at most. Between two looks, no worker can take more than its
allowance: RLIMIT_DATA, set from here for each worker, counts its private writable mappings, touched or not, so it is a bound from above.
Does not count: what programs take that a transform starts (they inherit the allowance), page cache, mapped files.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import sys
from collections import deque
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

from loader.config import mib
from loader.errors import MemoryLimitError
from loader.ipc.board import Cells, SupervisorCell
from loader.ipc.records import Exhausted
from loader.machine import oom_kills
from loader.supervise.memory.budget import WORKER_BYTES
from loader.supervise.memory.gauges import Gauges, read_statm
from loader.supervise.memory.policy import Decision, MemoryPolicy, Replace, Run, allowances

_DECISIONS = 100
_log = logging.getLogger("loader.supervisor")
_CALM_PAUSE_S, _TENSE_PAUSE_S = 1.0, 0.05

# The kernel adds this many thousandths of all memory to a worker's size when it looks for a victim: a worker can be replaced, others can't.
_OOM_SCORE_ADJ = 500


@dataclass
class _Child:
    """A worker.

    Attributes:
        pid: process id.
        forked_bytes: that it had when it was forked.
        allowance: by how much it may grow, in bytes; 0 until it has been told, before its first ticket.
        least_allowance: the smallest one that it has had: whatever failed was larger than that, whenever it was.
    """

    pid: int
    forked_bytes: int
    allowance: int = 0
    least_allowance: int = sys.maxsize


class MemoryControl:
    """Keeps the workers' memory below the limit.

    Args:
        cells: of the supervisor.
        limit: bytes.
        shared_bytes: of the arena and the arrays that travelled from the trainer.
        is_default: whether the limit was derived, not given.

    Attributes:
        decisions: the latest ones, as (seconds on the monotonic clock, one line of text).
        pause_s: how long to wait until the next look.
        sizes: bytes that each worker has for itself, by its number, as far as they have been measured.
        gateway: process id of the gateway to remote workers, whose memory counts as well; None while there is none.
    """

    def __init__(self, cells: Cells, limit: int, shared_bytes: int, *, is_default: bool) -> None:
        self.decisions: deque[tuple[float, str]] = deque(maxlen=_DECISIONS)
        self.pause_s = _TENSE_PAUSE_S
        self.sizes: dict[int, int] = {}
        self.gateway: int | None = None
        self._cells = cells
        self._shared_bytes = shared_bytes
        self._policy = MemoryPolicy()
        self._gauges = Gauges()
        self._children: dict[int, _Child] = {}
        self._pid = os.getpid()
        self._shared_for: tuple[int, ...] = ()
        ceiling, self._hard = resource.getrlimit(resource.RLIMIT_DATA)  # set by whoever started the trainer
        self._ceiling = ceiling if ceiling != resource.RLIM_INFINITY else 2**62
        self._oom_kills = oom_kills()
        self._announce(limit, is_default)

    def count(self, wanted: int) -> int:
        """Return how many of the `wanted` workers may run now."""
        return self._policy.count(wanted)

    def born(self, number: int, pid: int) -> None:
        """A worker was forked; it has no ticket yet. `share_out` must follow before it gets one."""
        self._children[number] = _Child(pid, read_statm(self._pid).data)
        self._policy.born(number)
        with contextlib.suppress(OSError):  # it is gone already
            Path(f"/proc/{pid}/oom_score_adj").write_text(str(_OOM_SCORE_ADJ))

    def gone(self, number: int) -> None:
        """A worker has died."""
        del self._children[number]

    def share_out(self, wanted: int) -> None:
        """Give each worker its allowance: first to those that give something back, then to those that get more, so that the sum is never too large.

        No allowance is ever smaller than it will be in the end: a worker that allocates at that moment would get no memory.
        """
        count = max(self.count(wanted), len(self._children))
        key = (self._limit, count, *(child.pid for child in self._children.values()))
        if key == self._shared_for:
            return
        self._shared_for = key
        grown = {number: max(0, read_statm(child.pid).data - child.forked_bytes) for number, child in self._children.items()}
        allowed = allowances(self._room(), grown, count)
        for number in sorted(allowed, key=lambda number: allowed[number] - self._children[number].allowance):
            self._allow(self._children[number], allowed[number])

    def look(self, now: float, leaving: Set[int], wanted: int) -> list[int]:
        """Measure; return the workers that are to be replaced. `count` may have changed, too."""
        own = [self._pid, *([] if self.gateway is None else [self.gateway])]
        pids = [*own, *(child.pid for child in self._children.values())]
        found = self._gauges.look(pids, now)
        self._cells[SupervisorCell.PRIVATE_BYTES_GAUGE] = sum(found.values())
        known = self._gauges.all_known(pids)
        self.sizes = {number: found[child.pid] for number, child in self._children.items() if found[child.pid]}
        room = self._limit - self._shared_bytes - sum(found[pid] for pid in own)
        decisions = self._policy.look(now, room, self.sizes, leaving, wanted)
        replaced = self._take(now, decisions)
        self.pause_s = max(self._gauges.pause_s, _TENSE_PAUSE_S if self._policy.tense or not known else _CALM_PAUSE_S)
        return replaced

    def exhausted(self, report: Exhausted, now: float, waiting: bool, wanted: int) -> bool:
        """A worker got no more memory; return whether that was all that the limit leaves, and its first ticket alone took it.

        Args:
            report: its last one.
            now: seconds, monotonic.
            waiting: whether other workers are about to go.
            wanted: how many workers should run.
        """
        room = self._room()
        child = self._children[report.worker]
        ceiling = self._ceiling - child.forked_bytes
        had = min(child.least_allowance, ceiling)
        whole = min(allowances(room, {0: 0}, 1)[0], ceiling)
        alone = report.fresh and self.count(wanted) == 1 and had >= whole * 0.95
        if not alone:
            self._cells.add(SupervisorCell.MEMORY_REPLACED, 1)
            self._note(now, f"worker {report.worker} replaced: it used up its allowance of {mib(max(0, min(child.allowance, ceiling)))}")
        self._take(now, self._policy.exhausted(now, room, had, report.fresh, wanted, waiting))
        return alone

    def killed_by_oom(self, now: float, wanted: int) -> bool:
        """A worker was killed by SIGKILL; return whether it was the kernel, for want of memory."""
        kills, before = oom_kills(), self._oom_kills
        self._oom_kills = kills
        if kills <= before:
            return False
        self._note(now, "a worker was killed by the system because memory ran out")
        self._take(now, self._policy.killed(now, wanted))
        return True

    @property
    def limit(self) -> int:
        """The limit, in bytes."""
        return self._limit

    def check(self, limit: int) -> None:
        """Raise MemoryLimitError, with the arithmetic, for less than arena, supervisor and one worker take."""
        supervisor = read_statm(self._pid).anonymous
        least = self._shared_bytes + supervisor + WORKER_BYTES
        if limit < least:
            parts = f"{mib(self._shared_bytes)} arena and arrays from the script + {mib(supervisor)} supervisor + {mib(WORKER_BYTES)} one worker"
            raise MemoryLimitError(
                f"memory_limit={mib(limit)} is too little while this loader runs: {parts} = {mib(least)}. The arena's size does not change; "
                f"what to do: allow {mib(least)} or more, or make a loader with fewer slots or a smaller batch_size"
            )

    def set_limit(self, limit: int, now: float) -> None:
        """Change the limit, which `check` has found large enough. `share_out` must follow."""
        self._note(now, f"memory_limit changed from {mib(self._limit)} to {mib(limit)}", logging.DEBUG)  # `loader set` is logged where it is answered
        self._policy.forgive()
        self._announce(limit, False)

    def arithmetic(self) -> str:
        """Return what the limit leaves for one worker that runs alone, in words."""
        supervisor = read_statm(self._pid).anonymous
        left = self._limit - self._shared_bytes - supervisor
        return (
            f"memory_limit {mib(self._limit)} - {mib(self._shared_bytes)} arena and arrays from the script - {mib(supervisor)} supervisor "
            f"leaves {mib(left)} for one worker, and it was the only one"
        )

    def _announce(self, limit: int, is_default: bool) -> None:
        self._limit = limit
        self._cells[SupervisorCell.LIMIT_BYTES_GAUGE] = limit
        self._cells[SupervisorCell.LIMIT_IS_DEFAULT_GAUGE] = is_default

    def _room(self) -> int:
        own = read_statm(self._pid).anonymous
        if self.gateway is not None:
            own = max(own, read_statm(self.gateway).anonymous)  # which has what it was forked with in it
        return max(0, self._limit - self._shared_bytes - own)

    def _allow(self, child: _Child, allowance: int) -> None:
        child.allowance = allowance
        child.least_allowance = min(child.least_allowance, allowance)
        size = min(child.forked_bytes + allowance, self._ceiling)
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(child.pid, resource.RLIMIT_DATA, (size, self._hard))

    def _take(self, now: float, decisions: list[Decision]) -> list[int]:
        replaced = []
        for decision in decisions:
            match decision:
                case Replace(worker, why):
                    replaced.append(worker)
                    self._cells.add(SupervisorCell.MEMORY_REPLACED, 1)
                    self._note(now, f"worker {worker} replaced: {why}")
                case Run(workers, why):
                    fewer = workers is not None and workers < (self._cells[SupervisorCell.MEMORY_WORKERS_GAUGE] or sys.maxsize)
                    self._cells[SupervisorCell.MEMORY_WORKERS_GAUGE] = workers or 0
                    text = f"{'all' if workers is None else f'at most {workers}'} workers run: {why}"
                    self._note(now, text, logging.WARNING if fewer else logging.INFO)
        return replaced

    def _note(self, now: float, text: str, level: int = logging.INFO) -> None:
        self.decisions.append((now, text))
        _log.log(level, "memory: %s", text)
