"""A trainer that has attached: its descriptors, at both ends, and how the supervisor hears from it."""

from __future__ import annotations

import contextlib
import os
import select
from dataclasses import dataclass

from loader.ipc import memfd
from loader.ipc.attachment import Descriptors
from loader.ipc.board import Cells
from loader.ipc.channels import Outlet, open_pipe, read_records
from loader.ipc.records import INBOX_BYTES
from loader.supervise.sharing.shared_pool import SharedPool


@dataclass
class Attached:
    """A trainer that has attached.

    Attributes:
        number: unique among those that are there.
        pid: process id.
        pidfd: readable when it has died.
        inbox: reading end of the pipe in which it says something.
        ready: to it.
        cells: its row of the board.
        first: number of the first batch of its rank in the plan of the pool.
        retired: whether it reads no more, and only holds what its script still uses.
    """

    number: int
    pid: int
    pidfd: int
    inbox: int
    ready: Outlet
    cells: Cells
    first: int
    retired: bool = False

    @classmethod
    def admit(cls, number: int, pid: int, cells: Cells, first: int, pool: SharedPool, epoll: select.epoll) -> tuple[Attached, Descriptors]:
        """Open and watch all that a trainer needs to be a reader, or raise OSError and leave nothing open. Return its end of it, too."""
        with contextlib.ExitStack() as opened:

            def own(fd: int) -> int:
                opened.callback(os.close, fd)
                return fd

            pidfd = own(os.pidfd_open(pid))
            inbox, inbox_write = map(own, open_pipe())
            ready, ready_write = map(own, open_pipe())
            given = Descriptors(own(memfd.reopen_readonly(pool.arena)), own(os.dup(pool.board)), inbox_write, ready)
            os.set_blocking(inbox, False)
            for fd in (inbox, pidfd):
                epoll.register(fd, select.EPOLLIN)
                opened.callback(epoll.unregister, fd)
            opened.pop_all()  # all or none
        return cls(number, pid, pidfd, inbox, Outlet(ready_write), cells, first), given

    def close(self, epoll: select.epoll) -> None:
        """Watch and own nothing of it any more."""
        for fd in (self.inbox, self.pidfd):  # before they are closed: a worker that is just being forked may hold a copy
            epoll.unregister(fd)
            os.close(fd)
        self.ready.close()

    def read(self) -> bytes | None:
        """Return what it has said, b"" if that is nothing; None at the end: it has closed its loader, and no array is left.

        Read once: if there is more, the next wait ends at once, and one that writes without end holds up nobody.
        """
        try:
            return read_records(self.inbox, INBOX_BYTES) or None
        except BlockingIOError:
            return b""
