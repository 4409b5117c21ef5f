"""Leases: an array that is handed out keeps its slot, and the slot goes back when the last array or view of it is gone.

The lease is the object at the root of every array over a slot: arrays refer to it, views of them refer to it through numpy, frameworks refer
to the arrays. Its end is noticed by `__del__`, not by a weak reference to an array: numpy shortens chains of views, so that a view may
outlive the array that it was made from (docs/measurements.md).
"""

from __future__ import annotations

import os
from collections import deque
from typing import Any

from loader.data.spec import Array
from loader.ipc.channels import own_end
from loader.train.remote import forks
from loader.train.remote.interrupts import Interrupt


class Outbox:
    """The trainer's way to a supervisor, and the set of its slots that the trainer still holds.

    Leases refer to it, so its descriptor is closed when the last of them is gone; another file can never get its number while one may write.

    What does not fit into the pipe waits here: a supervisor that is stopped, or a pipe of one page where the user has used up their share
    (pipe-user-pages-soft, pipe(7)), must hold up neither a finalizer nor the script.

    Args:
        inbox: writing end of it; the caller owns it.
        interrupt: what a signal in the middle of a release sets.
        count: the board's cell for how many slots are lent; None once a successor writes it.

    Attributes:
        lent: slots that are in use.
        waiting: records that did not fit.
    """

    def __init__(self, inbox: int, interrupt: Interrupt | None = None, count: memoryview | None = None) -> None:
        self.fd = -1
        self.fd = own_end(inbox)
        self._pid = os.getpid()
        self.waiting: deque[bytes] = deque()
        self.lent: set[int] = set()
        self.interrupt = interrupt or Interrupt()
        self.count = count

    def lend(self, slot: int) -> None:
        """Note that a slot is in use."""
        self.lent.add(slot)
        if self.count is not None:
            self.count[0] = len(self.lent)

    def give_back(self, slot: int, release: bytes) -> None:
        """Note that a slot is no longer in use, and tell the supervisor. A second call does no harm."""
        self.lent.discard(slot)
        if self.send(release) and self.count is not None:
            self.count[0] = len(self.lent)

    def send(self, record: bytes) -> bool:
        """Write one record, or keep it for `flush`. Return False, and do nothing, in a forked child, where everything is the parent's.

        Never blocks. Records of one thread keep their order; a finalizer's may overtake others, which a release may.
        """
        if forks.under_way and os.getpid() != self._pid:
            return False
        if self.waiting:
            self.waiting.append(record)
        elif self.fd >= 0:
            try:
                os.write(self.fd, record)
            except BlockingIOError:
                self.waiting.append(record)
        return True

    def flush(self) -> None:
        """Write what waits, as far as there is room. Called by the thread that takes batches; a finalizer may add to the end meanwhile."""
        try:
            while self.waiting:
                os.write(self.fd, self.waiting[0])
                self.waiting.popleft()
        except BlockingIOError:
            return

    def __del__(self) -> None:
        # If leases and this are garbage together, they may be finalized later and still want to send.
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


class Lease:
    """The right to use a slot, until nothing refers to it any more. `np.asarray` makes an array of it: the slot's bytes, which hold the lease.

    `__del__` may run on any thread and in the middle of anything: it takes no lock, writes one record and changes a set, each one atomic.

    Args:
        memory: the slot's bytes.
        slot: its number.
        release: the record that says that it is over.
        outbox: to send that.
        interface: the array interface of `memory`, where it is known.
    """

    __slots__ = ("__array_interface__", "_memory", "_outbox", "_release", "slot")

    def __init__(self, memory: Array, slot: int, release: bytes, outbox: Outbox, interface: dict[str, Any] | None = None) -> None:
        self._memory = memory
        self._outbox = outbox
        self._release = release
        self.slot = slot
        self.__array_interface__: dict[str, Any] = interface or memory.__array_interface__
        outbox.lend(slot)

    def __del__(self) -> None:
        try:
            self._outbox.give_back(self.slot, self._release)
        except AttributeError:  # Ctrl-C hit while it was being made
            return
        except BaseException as error:  # Python drops what a finalizer raises; a signal usually hits the write, which wakes the supervisor
            self._outbox.interrupt.pending = error.with_traceback(None)
            self._outbox.give_back(self.slot, self._release)
