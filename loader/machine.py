"""What this machine lends a process: cores, and memory by the control groups, version 1 and 2.

A process's own group counts and those above it, since the narrowest one decides. /proc/self/cgroup names the group, /proc/self/mountinfo where
its files are. Inside a container the two may not fit together: the name is as seen from the host, the mount begins at the container's own group.
What is not below the mount is then looked for at its root.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_V2_FILES = ("memory.max", "memory.current", "memory.stat", "memory.events", "")
_V1_FILES = ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat", "memory.oom_control", "total_")


def available_cores(proc: Path = _PROC) -> int:
    """Return the number of cores that this process may use: those that it may run on, or what a container's CPU quota comes to, if that is less."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    quotas = [math.ceil(quota) for version, path in _groups(proc, "cpu") if (quota := _cpu_quota(version, path)) is not None]
    return max(1, min([cores, *quotas]))


def _cpu_quota(version: int, path: Path) -> float | None:
    """Return how many cores' time a group may use (`docker run --cpus`), or None where it has no limit."""
    names = ["cpu.max"] if version == 2 else ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
    try:
        quota, period = (int(number) for name in names for number in (path / name).read_text().split())
        return quota / period if quota > 0 else None
    except (OSError, ValueError, ZeroDivisionError):  # no such file, or its quota is "max"
        return None


@dataclass(frozen=True)
class MemoryGroup:
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


def memory_groups(proc: Path = _PROC) -> list[MemoryGroup]:
    """Return the groups that bound the memory of this process, the innermost first; none where there is no such thing."""
    found = [MemoryGroup(path, _V2_FILES if version == 2 else _V1_FILES) for version, path in _groups(proc, "memory")]
    return [group for group in found if (group.path / group.files[1]).exists() or (group.path / group.files[3]).exists()]


def available_memory(proc: Path = _PROC) -> list[int]:
    """Return what each of the groups with a limit leaves, in bytes."""
    return [left for group in memory_groups(proc) if (left := group.available()) is not None]


def free_memory(proc: Path = _PROC) -> int:
    """Return what the machine can still allocate without swapping, in bytes."""
    sizes = {fields[0]: int(fields[1]) * 1024 for line in _lines(proc / "meminfo") if len(fields := line.split()) == 3}
    if "MemAvailable:" not in sizes:
        import psutil  # knows other systems; takes 20 ms

        return int(psutil.virtual_memory().available)
    return min(sizes["MemAvailable:"], sizes["MemTotal:"])  # of a container of LXC, the first may be that of its host


def page_cache_bytes(proc: Path = _PROC) -> int:
    """Return how many bytes of files can be in memory, at most: what the machine has, or what the groups leave."""
    return min([os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *available_memory(proc)])


def oom_kills(proc: Path = _PROC) -> int:
    """Return a count that moves when the OOM killer kills in the group of this process (or anywhere, where groups do not count it)."""
    for group in memory_groups(proc):
        if (kills := group.oom_kills()) is not None:
            return kills
    return _numbers(proc / "vmstat").get("oom_kill", 0)


def _groups(proc: Path, controller: str) -> Iterator[tuple[int, Path]]:
    """Yield version and folder of each group that may bound what a controller hands out, the innermost first of each hierarchy."""
    for line in _lines(proc / "self/cgroup"):
        hierarchy, controllers, name = line.split(":", 2)
        if hierarchy == "0" and not controllers:
            yield from ((2, path) for path in _upwards(proc, "cgroup2", "", name))
        elif controller in controllers.split(","):
            yield from ((1, path) for path in _upwards(proc, "cgroup", controller, name))


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
