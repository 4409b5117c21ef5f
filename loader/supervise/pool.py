"""The worker processes: fork them, have the loop's epoll tell of their deaths, reap them, end them. No policy."""

from __future__ import annotations

import gc
import logging
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from loader.data.proc_maps import cut_short
from loader.ipc import last_words
from loader.ipc.channels import Outlet, open_pipe

_log = logging.getLogger("loader.supervisor")


class TicketOutlet(Protocol):
    """Where tickets for one worker go."""

    def send(self, record: bytes) -> None:
        """Send a ticket, packed."""

    def close(self) -> None:
        """No more will come; the worker ends."""


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
        private: returns the descriptors of the supervisor that no worker may hold, since CLOEXEC does not help a fork.
        before_fork: called before each fork.
        epoll: becomes ready, with the pidfd, when a worker has died.

    Attributes:
        children: the workers, by number.
        outlets: where tickets for each worker go; also of those that are no children of this process.
    """

    def __init__(
        self, run: Callable[[int, int, int], None], private: Callable[[], list[int]], before_fork: Callable[[], None], epoll: select.epoll
    ) -> None:
        self._before_fork = before_fork
        self._run = run
        self._private = private
        self._epoll = epoll
        self.children: dict[int, Child] = {}
        self.outlets: dict[int, TicketOutlet] = {}

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
        self.outlets[number] = child.tickets
        self._epoll.register(child.pidfd, select.EPOLLIN)
        _log.debug("worker %d started (pid %d)", number, pid)
        return child

    def _be_worker(self, number: int, read: int, write: int, words: int) -> None:
        status = 1
        try:
            for child in self.children.values():
                child.close_descriptors()
            for fd in [write, self._epoll.fileno(), *self._private()]:
                os.close(fd)
            self.children.clear()
            self._run(number, read, words)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    def owner(self, pidfd: int) -> int | None:
        """Return the number of the worker that a pidfd stands for; None for another descriptor."""
        return next((number for number, child in self.children.items() if child.pidfd == pidfd), None)

    @property
    def descriptors(self) -> list[int]:
        """Those that belong to the workers."""
        return [fd for child in self.children.values() for fd in (child.tickets.fd, child.pidfd, child.last_words_fd) if fd >= 0]

    def bury(self, number: int) -> Death:
        """Reap a worker that has died, and forget it."""
        child = self.children.pop(number)
        del self.outlets[number]
        # Before it is closed: a worker that is just being forked may hold a copy, and a closed descriptor with a living copy stays in the epoll set.
        self._epoll.unregister(child.pidfd)
        return child.close()

    def end(self) -> None:
        """Kill and reap all workers. Their tickets no longer matter."""
        for child in self.children.values():
            os.kill(child.pid, signal.SIGKILL)
        for number in list(self.children):
            self.bury(number)


def prepare_to_fork() -> None:
    """Move all objects out of the garbage collector's sight, so that no collection in a worker copies their pages. OpenCV gets no threads.

    Nothing is collected before: imports leave hardly any garbage, and looking for it takes 10 ms and more (docs/measurements.md). OpenCV's threads
    would not survive the fork, and the workers are threads enough.
    """
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(0)
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
        words += f" ({'; '.join(cut_short()) or 'likely cause: a mapped file has become shorter, or its disk can not be read'})"
    return words
