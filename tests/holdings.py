"""What the process that runs tests holds. It is looked at before and after each test, so /proc is read here, in a third of psutil's time."""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

# Processes of others, by pid and start. None of them gets the mark later: who has it has inherited it.
_strangers: set[tuple[int, str]] = set()


def holdings(mark: str) -> Counter[str]:
    """Count what this run holds: its processes one by one, its descriptors and its mapped memory files by kind.

    Args:
        mark: `NAME=value`, which the processes of this run have in their environment.
    """
    return Counter([*_processes(mark.encode()), *_descriptors(), *_mappings()])


class _Process(NamedTuple):
    pid: int
    name: str
    state: str
    parent: int
    began: str


def _processes(mark: bytes) -> Iterator[str]:
    """Yield those below this one, and those that bear the mark: the parent of one that is among nobody's children may have been killed."""
    running = [found for pid in filter(str.isdigit, os.listdir("/proc")) if (found := _look(int(pid)))]
    below, before = {os.getpid()}, 0
    while len(below) > before:
        before = len(below)
        below.update(process.pid for process in running if process.parent in below)
    for process in running:
        if process.pid != os.getpid() and (process.pid in below or _bears(process, mark)):
            command = _command(process)
            if "multiprocessing.resource_tracker" not in command:
                yield f"process {process.pid}: {command}"


def _look(pid: int) -> _Process | None:
    name, _, rest = _read(f"/proc/{pid}/stat").decode(errors="replace").rpartition(") ")
    fields = rest.split()
    return _Process(pid, name.partition("(")[2], fields[0], int(fields[1]), fields[19]) if fields else None


def _bears(process: _Process, mark: bytes) -> bool:
    if (process.pid, process.began) in _strangers:
        return False
    environment = _read(f"/proc/{process.pid}/environ")
    if mark in environment.split(b"\0"):
        return True
    if environment:
        _strangers.add((process.pid, process.began))
    return False


def _command(process: _Process) -> str:
    if process.state == "Z":
        return f"{process.name}, ended but not waited for"
    return _read(f"/proc/{process.pid}/cmdline").decode(errors="replace").replace("\0", " ").strip()


def _descriptors() -> Iterator[str]:
    for entry in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{entry}")
            if target.startswith(("/memfd:", "pipe:", "socket:", "anon_inode:[pidfd]")):
                yield f"descriptor of {re.sub(r':.[0-9]+.$', '', target)}"


def _mappings() -> Iterator[str]:
    text = _read("/proc/self/maps")
    if b"/memfd:" in text:
        for line in text.decode(errors="replace").splitlines():
            if "/memfd:" in line:
                yield f"mapping of {line[line.index('/memfd:') :]}"


def _read(path: str) -> bytes:
    """Return what a file of /proc says; nothing if the process has gone, or is another user's."""
    pieces = []
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDONLY)
        try:
            while piece := os.read(fd, 1 << 16):
                pieces.append(piece)
        finally:
            os.close(fd)
    return b"".join(pieces)
