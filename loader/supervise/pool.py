"""The worker processes: fork them, notice their deaths, end them. No policy."""

from __future__ import annotations

import gc
import os
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from loader.ipc import deaths
from loader.ipc.channels import Outlet, open_pipe


@dataclass
class Child:
    """A worker process as the supervisor sees it.

    Attributes:
        number: of the worker.
        pid: process id.
        pidfd: readable when it has died.
        tickets: writing end of its ticket pipe.
    """

    number: int
    pid: int
    pidfd: int
    tickets: Outlet

    def close(self) -> int:
        """Close the descriptors and reap the process, which must be dead or about to be; return its wait status."""
        self.tickets.close()
        os.close(self.pidfd)
        return os.waitpid(self.pid, 0)[1]


class Pool:
    """All workers of a supervisor.

    Args:
        run: `run(number, tickets)` is what a worker does; it gets the reading end of its ticket pipe.
        private: descriptors of the supervisor that no worker may hold, since CLOEXEC does not help a fork.
    """

    def __init__(self, run: Callable[[int, int], None], private: list[int]) -> None:
        self._run = run
        self._private = private
        self.children: dict[int, Child] = {}

    def start(self, number: int) -> Child:
        """Fork worker `number`."""
        read, write = open_pipe()
        pid = os.fork()
        if pid == 0:
            self._be_worker(number, read, write)
        os.close(read)
        child = Child(number, pid, os.pidfd_open(pid), Outlet(write))
        self.children[number] = child
        return child

    def _be_worker(self, number: int, read: int, write: int) -> None:
        status = 1
        try:
            for child in self.children.values():
                child.tickets.close()
                os.close(child.pidfd)
            for fd in [write, *self._private]:
                os.close(fd)
            self.children.clear()
            self._run(number, read)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    def bury(self, number: int) -> int:
        """Forget a worker that has died; return its wait status."""
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


def death_in_words(status: int, out_of_memory: bool = False) -> str:
    """Return what a wait status means; `out_of_memory`: the system's counter of such kills has moved."""
    return deaths.in_words(os.waitstatus_to_exitcode(status), out_of_memory)
