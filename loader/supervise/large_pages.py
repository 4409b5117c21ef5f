"""Large pages for the arena, made by a child of the supervisor while the loader is at work already.

Shared memory has pages of 4 KiB nearly everywhere, since systems are set up so. A worker that fills a slot meets a new one every microsecond, and an
array of pictures that it writes there takes a quarter longer than it need (docs/measurements.md). The system puts large pages in their place when it
is asked to, which takes CPU time: half a second for an arena of 100 MiB. So it is done once the first batches are out, by a process of low priority,
which the supervisor need not wait for. It opens nothing, runs no code of the user's, and ends with the supervisor.
"""

from __future__ import annotations

import os
import select
import signal

import numpy as np
import numpy.typing as npt

from loader.ipc import memfd
from loader.produce.worker import die_with

# A script that only looks at a few batches, or whose batches are small, has nothing to gain.
_AFTER_S = 1.0
_LEAST_BYTES = 16 * 2**20

_NICENESS = 10  # a tenth of a core, where workers keep all of them busy


class LargePages:
    """The child that makes them, once.

    Args:
        arena: its memory.
        epoll: becomes ready, with `fd`, when the child has ended.

    Attributes:
        fd: pidfd of the child; -1 while there is none.
    """

    def __init__(self, arena: npt.NDArray[np.uint8], epoll: select.epoll) -> None:
        self.fd = -1
        self._arena = arena
        self._epoll = epoll
        self._pid = 0
        self._start_at: float | None = None
        self._wanted = arena.nbytes >= _LEAST_BYTES

    def look(self, now: float) -> None:
        """Start the child if it is time to. To be called once in a while, after all pages are there."""
        if not self._wanted:
            return
        if self._start_at is None:
            self._start_at = now + _AFTER_S
        elif now >= self._start_at:
            self._wanted = False
            self._start()

    def _start(self) -> None:
        supervisor = os.getpid()
        try:
            self._pid = os.fork()
        except OSError:  # no process is to be had, or no memory for it: nothing depends on this one
            return
        if self._pid == 0:
            try:
                die_with(supervisor)
                os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # else those that wait for the end of a pipe would wait for this process
                os.nice(_NICENESS)
                memfd.enlarge_pages(self._arena)
            finally:
                os._exit(0)
        try:
            self.fd = os.pidfd_open(self._pid)
        except OSError:  # no descriptor is left, so nothing would tell of its end
            self._kill()
            return
        self._epoll.register(self.fd, select.EPOLLIN)

    def end(self) -> None:
        """End the child, if there is one, and forget it."""
        if self.fd >= 0:
            self._epoll.unregister(self.fd)
            self._kill()
            os.close(self.fd)
            self.fd = -1

    def _kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
