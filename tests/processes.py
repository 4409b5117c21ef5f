"""The processes of a loader as the system sees them, and waiting for what happens to them."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import psutil

from loader import Loader

PATIENCE_S = 60.0


def wait_until(condition: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> None:
    """Return as soon as `condition()` is true; fail if it never is. A look costs a millisecond of CPU time: what lasts is looked at less often."""
    began = time.monotonic()
    while not condition():
        waited_s = time.monotonic() - began
        assert waited_s < patience_s, f"waited {patience_s:g} s in vain until {what}"
        time.sleep(min(0.002 + waited_s / 20, 0.02))


def workers_of(loader: Loader, count: int = 1) -> list[int]:
    """Return the process ids of the workers, as soon as `count` of them are there."""
    found: list[int] = []

    def there() -> bool:
        found[:] = filter(alive, _workers(loader))
        return len(found) >= count

    wait_until(there, f"{count} workers are there")
    return found  # another look might find fewer


def _workers(loader: Loader) -> list[int]:
    return [worker.pid for worker in loader.stats().workers if worker.pid]


def supervisor_of(loader: Loader) -> int:
    """Return the process id of the supervisor: the parent of the workers."""
    wait_until(lambda: _parents(loader), "a worker is there")
    (pid,) = _parents(loader)
    return pid


def _parents(loader: Loader) -> set[int]:
    found = set()
    for pid in _workers(loader):
        with contextlib.suppress(psutil.Error):
            found.add(psutil.Process(pid).ppid())
    return found - {0, 1}


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be reaped does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until_gone(pids: Iterable[int]) -> None:
    """Return when none of the processes runs any more. We promise one second; a busy machine takes as long as it takes."""
    wait_until(lambda: not any(map(alive, pids)), f"{list(pids)} are gone")


def family(pid: int) -> list[int]:
    """Return the process ids of all that run below `pid`."""
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True) if alive(child.pid)]
    except psutil.NoSuchProcess:
        return []


def anonymous_bytes(pid: int) -> int:
    """Return the anonymous memory of a process, its share of what it shares."""
    (kilobytes,) = re.findall(r"^Pss_Anon:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return int(kilobytes) * 1024


def open_files() -> set[int]:
    """Return the descriptors that this process has."""
    return {fd for fd in range(1024) if os.path.lexists(f"/proc/self/fd/{fd}")}


@contextlib.contextmanager
def only_free(count: int) -> Iterator[None]:
    """Let this process open so many descriptors and no more."""
    taken = open_files()
    free = (number for number in range(max(taken) + count + 2) if number not in taken)
    limit = next(number for place, number in enumerate(free) if place == count)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
