"""Which files a process has mapped, and where: what its arrays look into, whoever mapped it, as the system tells it (proc(5), /proc/PID/maps)."""

from __future__ import annotations

import mmap
import os
import stat
from bisect import bisect_right
from pathlib import Path
from typing import NamedTuple

_MAPS = "/proc/self/maps"


class Region(NamedTuple):
    """Addresses of this process at which a part of a file is mapped, shared with all others that map it.

    Attributes:
        start, stop: the addresses.
        offset: of the part, in bytes from the start of the file.
        path: absolute.
    """

    start: int
    stop: int
    offset: int
    path: str


class Mappings:
    """The regions of now; what is mapped later is not among them. On other systems than Linux there are none."""

    def __init__(self) -> None:
        self._regions = _regions() if os.path.exists(_MAPS) else []
        self._starts = [region.start for region in self._regions]

    def find(self, low: int, high: int) -> Region | None:
        """Return the region that all addresses from `low` to below `high` are in, if the file can still be opened by its name."""
        place = bisect_right(self._starts, low) - 1
        if place < 0 or high > self._regions[place].stop or not os.path.isfile(self._regions[place].path):
            return None
        return self._regions[place]


def _regions() -> list[Region]:
    """Return the regions by address.

    A mapping that keeps changes to itself ("p" in place of "s") is none: what it shows need not be in the file. Nor is one of a file that was
    deleted: its name ends with " (deleted)".
    """
    found: list[Region] = []
    with open(_MAPS, "rb") as lines:
        for line in lines:
            fields = line.rstrip(b"\n").split(maxsplit=5)
            if len(fields) < 6 or not fields[1].endswith(b"s") or not fields[5].startswith(b"/") or fields[5].endswith(b" (deleted)"):
                continue
            start, stop = (int(address, 16) for address in fields[0].split(b"-"))
            region = Region(start, stop, int(fields[2], 16), os.fsdecode(fields[5].replace(rb"\012", b"\n")))
            last = found[-1] if found else None
            # The system splits a mapping where advice (madvise) differs from page to page.
            if last and (last.stop, last.path, last.offset + last.stop - last.start) == (start, region.path, region.offset):
                found[-1] = last._replace(stop=stop)
            else:
                found.append(region)
    return found


def cut_short() -> list[str]:
    """Return in words which files are shorter than what this process, and so its forks, have mapped: who touches what is missing dies of SIGBUS."""
    found: dict[str, str] = {}
    for line in Path(_MAPS).read_text(errors="surrogateescape").splitlines():
        addresses, access, offset, _, inode, *rest = line.split(maxsplit=5)
        path = rest[0] if rest else ""
        start, end = (int(address, 16) for address in addresses.split("-"))
        mapped = int(offset, 16) + end - start
        if not access.startswith("r"):  # the gaps of a library, which nobody can touch, reach beyond its end
            continue
        try:
            known = os.stat(path)
        except OSError:  # no file, or one that has been removed: its data are still there
            continue
        if stat.S_ISREG(known.st_mode) and known.st_ino == int(inode) and mapped - known.st_size >= mmap.PAGESIZE:
            found[path] = f"{path} has {known.st_size:,} bytes, of which {mapped:,} are mapped: it was longer when it was opened"
    return list(found.values())
