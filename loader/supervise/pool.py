"""The worker processes: fork them, notice their deaths, end them. No policy.

Files that are mapped and have become shorter: who touches what is missing dies of SIGBUS.
"""

from __future__ import annotations

import gc
import logging
import mmap
import os
import signal
import stat
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from loader.ipc import last_words
from loader.ipc.channels import Outlet, open_pipe
from loader.supervise import pool

_log = logging.getLogger("loader.supervisor")


class Death(NamedTuple):
    """How a worker died.

    Attributes:
        status: its wait status.
        last_words: the stacks that it left; empty where it left none.
    """

    status: int
    last_words: str


@dataclass
class Child:
    """A worker process as the supervisor sees it.

    Attributes:
        number: of the worker.
        pid: process id.
        pidfd: readable when it has died.
        tickets: writing end of its ticket pipe.
        last_words_fd: memory for what it says when it crashes or hangs.
    """

    number: int
    pid: int
    pidfd: int
    tickets: Outlet
    last_words_fd: int

    def close_descriptors(self) -> None:
        """Close what belongs to the worker. Runs in: the supervisor, and in every later fork of it, which holds copies."""
        self.tickets.close()
        os.close(self.pidfd)
        os.close(self.last_words_fd)

    def close(self) -> Death:
        """Close the descriptors and reap the process, which must be dead or about to be."""
        status = os.waitpid(self.pid, 0)[1]
        words = last_words.read(self.last_words_fd)
        self.close_descriptors()
        return Death(status, words)


class Pool:
    """All workers of a supervisor.

    Args:
        run: `run(number, tickets, last_words_fd)` is what a worker does; it gets the reading end of its ticket pipe, and memory for last words.
        private: descriptors of the supervisor that no worker may hold, since CLOEXEC does not help a fork.
        before_fork: called before each fork.
    """

    def __init__(self, run: Callable[[int, int, int], None], private: list[int], before_fork: Callable[[], None]) -> None:
        self._before_fork = before_fork
        self._run = run
        self._private = private
        self.children: dict[int, Child] = {}

    def start(self, number: int) -> Child:
        """Fork worker `number`."""
        read, write = open_pipe()
        words = last_words.create()
        self._before_fork()
        pid = os.fork()
        if pid == 0:
            self._be_worker(number, read, write, words)
        os.close(read)
        child = Child(number, pid, os.pidfd_open(pid), Outlet(write), words)
        self.children[number] = child
        _log.debug("worker %d started (pid %d)", number, pid)
        return child

    def _be_worker(self, number: int, read: int, write: int, words: int) -> None:
        status = 1
        try:
            for child in self.children.values():
                child.close_descriptors()
            for fd in [write, *self._private]:
                os.close(fd)
            self.children.clear()
            self._run(number, read, words)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    def bury(self, number: int) -> Death:
        """Forget a worker that has died."""
        return self.children.pop(number).close()

    def end(self) -> None:
        """Kill and reap all workers. Their tickets do not matter any more."""
        for child in self.children.values():
            os.kill(child.pid, signal.SIGKILL)
        for number in list(self.children):
            self.bury(number)


def prepare_to_fork() -> None:
    """Move all objects out of the garbage collector's sight, so that no collection in a worker copies their pages."""
    gc.collect()
    gc.freeze()


def death_in_words(status: int, *, timed_out: bool = False, out_of_memory: bool = False) -> str:
    """Return what a wait status means.

    Args:
        status: as `os.waitpid` gives it.
        timed_out: whether the supervisor killed it for making no progress.
        out_of_memory: whether the system's counter of processes killed for want of memory has moved.
    """
    if timed_out:
        return "killed for making no progress"
    words = last_words.in_words(os.waitstatus_to_exitcode(status), out_of_memory)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGBUS:
        words += f" ({'; '.join(pool.cut_short()) or 'likely cause: a mapped file has become shorter, or its disk can not be read'})"
    return words


def cut_short() -> list[str]:
    """Return in words which of the files that this process has mapped end before their mapping does; its forks have the same mappings."""
    found: dict[str, str] = {}
    for line in Path("/proc/self/maps").read_text(errors="surrogateescape").splitlines():
        addresses, _, offset, _, inode, *rest = line.split(maxsplit=5)
        path = rest[0] if rest else ""
        start, end = (int(address, 16) for address in addresses.split("-"))
        mapped = int(offset, 16) + end - start
        try:
            known = os.stat(path)
        except OSError:  # no file, or one that has been removed: its data are still there
            continue
        if stat.S_ISREG(known.st_mode) and known.st_ino == int(inode) and mapped - known.st_size >= mmap.PAGESIZE:
            found[path] = f"{path} has {known.st_size:,} bytes, of which {mapped:,} are mapped: it was longer when it was opened"
    return list(found.values())
