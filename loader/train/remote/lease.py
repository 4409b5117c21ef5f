"""Leases: an array that is handed out keeps its slot, and the slot goes back when the last array or view of it is gone.

The lease is the object at the root of every array over a slot: arrays refer to it, views of them refer to it through numpy, frameworks refer
to the arrays. Its end is noticed by `__del__`, not by a weak reference to an array: numpy shortens chains of views, so that a view may
outlive the array that it was made from (docs/measurements.md).
"""

from __future__ import annotations

import gc
import os
import sys
from collections import deque
from typing import Any

import numpy as np

from loader.data.spec import Array
from loader.ipc.channels import own_end
from loader.ipc.records import Released


class Interrupt:
    """What a signal handler raised where it went no further: a Ctrl-C, or the `sys.exit` of a script that was told to end. The next use raises it."""

    pending: BaseException | None = None


class Outbox:
    """The trainer's way to a supervisor, and the set of its slots that the trainer still holds.

    Leases refer to it, so its descriptor is closed when the last of them is gone; another file can never get its number while one may write.

    What does not fit into the pipe waits here: a supervisor that is stopped, or a pipe of one page where the user has used up their share
    (pipe-user-pages-soft, pipe(7)), must hold up neither a finalizer nor the script.

    Args:
        inbox: writing end of it; the caller owns it.
        interrupt: what a signal in the middle of a release sets.
        count: the board's cell for how many slots are lent; None once a successor writes it.
    """

    def __init__(self, inbox: int, interrupt: Interrupt | None = None, count: memoryview | None = None) -> None:
        self.fd = -1
        self.fd = own_end(inbox)
        self._pid = os.getpid()
        self._waiting: deque[bytes] = deque()
        self.lent: set[int] = set()
        self.interrupt = interrupt or Interrupt()
        self.count = count

    def lend(self, slot: int) -> None:
        """Note that a slot is in use."""
        self.lent.add(slot)
        self._show()

    def give_back(self, slot: int, release: bytes) -> None:
        """Note that a slot is not in use any more, and tell. A second time does no harm."""
        self.lent.discard(slot)
        self.send(release)
        if os.getpid() == self._pid:  # a forked child changes its copy of the set only; the cell is everyone's
            self._show()

    def _show(self) -> None:
        if self.count is not None:
            self.count[0] = len(self.lent)

    def send(self, record: bytes) -> None:
        """Write one record, or keep it for `flush`. Does nothing in a forked child, where everything is the parent's.

        Never blocks. Records of one thread keep their order; a finalizer's may overtake others, which a release may.
        """
        if os.getpid() != self._pid or self.fd < 0:
            return
        if self._waiting:
            self._waiting.append(record)
            return
        try:
            os.write(self.fd, record)
        except BlockingIOError:
            self._waiting.append(record)

    def flush(self) -> None:
        """Write what waits, as far as there is room. For the thread that takes batches; a finalizer only adds to the end meanwhile."""
        try:
            while self._waiting:
                os.write(self.fd, self._waiting[0])
                self._waiting.popleft()
        except BlockingIOError:
            return

    def __del__(self) -> None:
        # Where leases and this are garbage together, they may be finalized later and still want to send.
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


class Lease:
    """The right to use a slot, until nothing refers to it any more.

    `__del__` may run on any thread and in the middle of anything: it takes no lock, writes one record and changes a set, each one atomic.

    Args:
        memory: the slot's bytes.
        slot: its number.
        delivery: which filling of it.
        outbox: to tell that it is over.
    """

    __slots__ = ("__array_interface__", "_memory", "_outbox", "_release", "slot")

    def __init__(self, memory: Array, slot: int, delivery: int, outbox: Outbox) -> None:
        self._memory = memory
        self._outbox = outbox
        self._release = Released(slot, delivery).pack()
        self.slot = slot
        self.__array_interface__: dict[str, Any] = memory.__array_interface__
        outbox.lend(slot)

    def array(self) -> Array:
        """Return the slot's bytes as an array that holds this lease."""
        return np.asarray(self)

    def __del__(self) -> None:
        try:
            self._outbox.give_back(self.slot, self._release)
        except AttributeError:  # Ctrl-C hit while it was being made
            return
        except BaseException as error:  # Python drops what a finalizer raises; the write, which wakes the supervisor, is where a signal mostly hits
            self._outbox.interrupt.pending = error.with_traceback(None)
            self._outbox.give_back(self.slot, self._release)


def collect_young() -> None:
    """Let go of batches that lie in garbage cycles: some frameworks keep them so."""
    gc.collect(0)


def drop_tensorflow_references() -> None:
    """Let go of batches that TensorFlow has finished with, if it is there."""
    if "tensorflow" in sys.modules:
        from loader.train.keras.tensorflow import drop_pending_references

        drop_pending_references()


def let_jax_catch_up() -> None:
    """Let go of batches that JAX has still to work on, if it is there, by waiting for it."""
    if "jax" in sys.modules:
        from loader.train.keras.jax import catch_up

        catch_up()
