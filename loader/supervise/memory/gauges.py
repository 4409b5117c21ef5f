"""How much memory a process has for itself: an exact figure, and cheap ones.

What counts is `Pss_Anon`: anonymous memory, where a page that several processes share since a fork counts for each in part. The cheaper figures
mislead: resident minus shared counts what a worker inherited as its own, `Private_Clean` counts mapped data files, `Private_Dirty` counts
slots that only one process has touched so far (docs/measurements.md). But what resident minus shared *grows* by is what `Pss_Anon` grows by, so
the exact figure is taken now and then, and the cheap one carries it on.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_PSS_ANON = re.compile(rb"^Pss_Anon:\s+(\d+) kB", re.MULTILINE)
_PAGE = os.sysconf("SC_PAGE_SIZE")

# Measuring takes at most this share of a core: 0.4 %.
_PAUSE_PER_COST = 250


def private_bytes(pid: int) -> int:
    """Return the anonymous memory of a process in bytes; 0 when it is gone. Takes 0.4 ms, and up to 17 ms with a large arena mapped."""
    try:
        found = _PSS_ANON.search(Path(f"/proc/{pid}/smaps_rollup").read_bytes())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


@dataclass(frozen=True, slots=True)
class Reading:
    """The cheap figures of a process, in bytes; they take 0.02 ms.

    Attributes:
        anonymous: resident minus shared, which counts in full what a fork inherited.
        data: private writable mappings, touched or not: what RLIMIT_DATA is compared with (and the stack).
    """

    anonymous: int
    data: int


def read_statm(pid: int) -> Reading:
    """Return the cheap figures of a process; zeros when it is gone."""
    try:
        with open(f"/proc/{pid}/statm", "rb", buffering=0) as statm:
            fields = statm.read(200).split()
    except OSError:
        return Reading(0, 0)
    return Reading((int(fields[1]) - int(fields[2])) * _PAGE, int(fields[5]) * _PAGE) if fields else Reading(0, 0)


class Gauges:
    """The private memory of several processes: cheap figures at each look, an exact one of one process when that may cost something again.

    Attributes:
        pause_s: how long to wait at least until the next look, so that all looks together take less than 0.5 % of a core.
    """

    def __init__(self) -> None:
        self.pause_s = 0.0
        self._exact: dict[int, tuple[int, int]] = {}  # exact bytes, and the cheap figure at that time; the oldest first
        self._next_exact = 0.0

    def look(self, pids: Sequence[int], now: float) -> dict[int, int]:
        """Return the private memory of each of `pids` in bytes; 0 for one that has not been measured yet."""
        started = time.perf_counter()
        self._exact = {pid: known for pid, known in self._exact.items() if pid in pids}
        if now >= self._next_exact:
            new = [pid for pid in pids if pid not in self._exact]
            pid = new[0] if new else next(iter(self._exact))
            self._exact.pop(pid, None)
            anonymous = read_statm(pid).anonymous
            self._exact[pid] = private_bytes(pid), anonymous
            self._next_exact = now + (time.perf_counter() - started) * _PAUSE_PER_COST
            started = time.perf_counter()
        found = {pid: self._carried_on(pid) for pid in pids}
        self.pause_s = (time.perf_counter() - started) * _PAUSE_PER_COST
        return found

    def all_known(self, pids: Sequence[int]) -> bool:
        """Return whether each of `pids` has been measured."""
        return all(pid in self._exact for pid in pids)

    def _carried_on(self, pid: int) -> int:
        if pid not in self._exact:
            return 0
        exact, then = self._exact[pid]
        now = read_statm(pid).anonymous
        return max(0, exact + now - then) if now else 0
