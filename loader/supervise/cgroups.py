"""What the control groups of this process allow, version 1 and 2: its own group and those above it, since the narrowest one decides.

/proc/self/cgroup names the group, /proc/self/mountinfo where its files are. Inside a container the two may not fit together: the name is as
seen from the host, the mount begins at the container's own group. What is not below the mount is then looked for at its root.
"""

from __future__ import annotations

from collections.abc import Iterator
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
