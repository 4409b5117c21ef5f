"""What the system says about memory: how much the control groups of this process allow, and how much a process has for itself.

Of the groups, version 1 and 2, its own one and those above it are asked, since the narrowest one decides. /proc/self/cgroup names the group,
/proc/self/mountinfo where its files are. Inside a container the two may not fit together: the name is as seen from the host, the mount begins at the
container's own group. What is not below the mount is then looked for at its root.

Of a process, what counts is `Pss_Anon`: anonymous memory, where a page that several processes share since a fork counts for each in part. The
cheaper figures mislead: resident minus shared counts what a worker inherited as its own, `Private_Clean` counts mapped data files, `Private_Dirty`
counts slots that only one process has touched so far (docs/measurements.md). But what resident minus shared *grows* by is what `Pss_Anon` grows by,
so the exact figure is taken now and then, and the cheap one carries it on (`Gauges`).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_V2_FILES = ("memory.max", "memory.current", "memory.stat", "memory.events", "")
_V1_FILES = ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat", "memory.oom_control", "total_")


@dataclass(frozen=True)
class Group:
    """One control group that accounts for memory.

    Attributes:
        path: its folder.
        files: names of its files: limit, usage, statistics, events; and what the names of hierarchical figures begin with.
    """

    path: Path
    files: tuple[str, str, str, str, str]

    def available(self) -> int | None:
        """Return the bytes that may be allocated in it, or None where it has no limit.

        Pages of files count as usage, but the kernel takes them back before it kills anyone: they are as good as free.
        """
        limit, used, stat, _, prefix = self.files
        try:
            room = int((self.path / limit).read_text()) - int((self.path / used).read_text())
        except (OSError, ValueError):  # no such file, or its limit is "max"
            return None
        counts = _numbers(self.path / stat)
        return room + counts.get(f"{prefix}inactive_file", 0) + counts.get(f"{prefix}active_file", 0)

    def oom_kills(self) -> int | None:
        """Return how many of its processes the OOM killer has killed, or None where that is not counted."""
        return _numbers(self.path / self.files[3]).get("oom_kill")


def memory_groups(proc: Path = Path("/proc")) -> list[Group]:
    """Return the groups that bound the memory of this process, the innermost first; none where there is no such thing."""
    found: list[Group] = []
    for line in _lines(proc / "self/cgroup"):
        hierarchy, controllers, name = line.split(":", 2)
        if hierarchy == "0" and not controllers:
            found += [Group(path, _V2_FILES) for path in _upwards(proc, "cgroup2", "", name)]
        elif "memory" in controllers.split(","):
            found += [Group(path, _V1_FILES) for path in _upwards(proc, "cgroup", "memory", name)]
    return [group for group in found if (group.path / group.files[1]).exists() or (group.path / group.files[3]).exists()]


def available(proc: Path = Path("/proc")) -> list[int]:
    """Return what each of the groups with a limit leaves, in bytes."""
    return [left for group in memory_groups(proc) if (left := group.available()) is not None]


def oom_kills(proc: Path = Path("/proc")) -> int:
    """Return a count that moves when the OOM killer kills in the group of this process (or anywhere, where groups do not count it)."""
    for group in memory_groups(proc):
        if (kills := group.oom_kills()) is not None:
            return kills
    return _numbers(proc / "vmstat").get("oom_kill", 0)


def _upwards(proc: Path, kind: str, controller: str, name: str) -> Iterator[Path]:
    for line in _lines(proc / "self/mountinfo"):
        fields, _, rest = line.partition(" - ")
        filesystem, _, options = rest.split(" ", 2)
        if filesystem != kind or (controller and controller not in options.split(",")):
            continue
        root, mount = fields.split(" ")[3:5]
        inside = "/" if name.startswith("/..") else name
        below = inside[len(root.rstrip("/")) :] if f"{inside}/".startswith(f"{root.rstrip('/')}/") else "/"
        top = Path(mount)
        here = top / below.strip("/")
        yield here
        while here != top:
            here = here.parent
            yield here
        return


def _numbers(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in _lines(path))
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


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
