"""Batches out of the slots that a trainer is handed: what those that made a loader and those that have attached to one have in common."""

from __future__ import annotations

import os
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence

from loader.data.layout import SlotLayout, aligned_copy
from loader.data.spec import Array, SampleSpec
from loader.errors import IterationError, LoaderClosed, LoaderError
from loader.ipc.arena import ArenaLayout
from loader.ipc.board import SupervisorCell, TrainerCell
from loader.train.notices import warn_of_first_bad
from loader.train.producer import Producer
from loader.train.remote import forks
from loader.train.remote.connection import TWO_AT_ONCE, Connection
from loader.train.remote.interrupts import Interrupt
from loader.train.remote.starvation import Starvation

# As plain numbers: they are used for every batch, or every slot.
_QUOTA, _QUARANTINED = int(SupervisorCell.QUOTA_GAUGE), int(SupervisorCell.QUARANTINED)
_WAIT_NS, _WAITING = int(TrainerCell.WAIT_NS), int(TrainerCell.WAITING_GAUGE)

# How often it looks at what else there is to do while it waits.
_LOOK_MS = 500

# Copying this much costs less than what a kept slot costs the others.
_SMALL_BYTES = 4096


class SlotReader(Producer):
    """Takes batches out of slots, in order, and lets go of slots.

    Args:
        substitutes: whether others stand in for bad samples, of which the user is to be warned.
        quarantine: setting of that name.
    """

    _supervisor: Connection

    def __init__(self, substitutes: bool, quarantine: str | os.PathLike[str] | None) -> None:
        self._substitutes = substitutes  # until the user has been warned of the first bad sample
        self._quarantine = quarantine
        self._look: Callable[[], object] = _nothing  # called for each slot that is there already
        self._batches: list[tuple[Array, ...]] = []  # of the slot that is being taken, in reverse
        self._error: LoaderError | None = None  # what follows them
        self._starvation = Starvation()
        self._specs: Sequence[SampleSpec] = ()
        self._layouts: tuple[SlotLayout, ...] = ()
        self._slots = 0
        self._small: list[frozenset[int]] = []
        self._interrupt = Interrupt()
        self._closed = False

    @abstractmethod
    def _receive(self) -> None:
        """Wait until the supervisor has sent something, for a moment at most, and read it; or have another one take its place."""

    @property
    def specs(self) -> Sequence[SampleSpec]:
        """Specs of a finished sample, by layout. Blocks until the supervisor has found out, and raises what went wrong while it booted."""
        self.check_owner()
        while not self._specs:
            self._receive()
        return self._specs

    def skip(self) -> None:
        """Continue at the cursor, whatever has been filled until now."""
        self._forget_slot()
        self._supervisor.skip(self.cursor)

    def take(self, leased: bool) -> tuple[Array, ...]:
        """Return the arrays of the batch at the cursor; they are valid as long as anyone holds them.

        Blocks: until it is there. A supervisor that dies is replaced meanwhile.

        Raises:
            SampleError: a sample of this batch could not be produced.
            IterationError: another thread takes batches at the same time.
            SupervisorDied: too many have died, or there is none any more.
        """
        if forks.under_way:
            self.check_owner()
        if self._interrupt.pending is not None:
            raised, self._interrupt.pending = self._interrupt.pending, None
            raise raised
        if not self._batches:
            if self._error is None:
                self._next_slot(leased)
            if not self._batches:
                error, self._error = self._error, None
                raise error or IterationError(TWO_AT_ONCE)
        # There is no text if max_errors=0, and for a moment there is none yet.
        if self._substitutes and self.board.supervisor[_QUARANTINED] and (record := self.board.first_bad.read_text()):
            self._substitutes = False
            warn_of_first_bad(record, self._quarantine)
        return self._batches.pop()

    def _wait(self) -> bool:
        """Wait until the supervisor has sent something, half a second at most, and return whether it has. The time is the trainer's wait for data.

        Raises:
            LoaderClosed: another thread has closed the loader meanwhile.
        """
        raw, started = self.cells.raw, time.perf_counter_ns()
        raw[_WAITING] = 1
        try:
            arrived = self._supervisor.wait(_LOOK_MS)
        finally:
            raw[_WAITING] = 0
        raw[_WAIT_NS] += time.perf_counter_ns() - started
        if self._closed:
            raise LoaderClosed("this loader was closed while it waited for a batch")
        return arrived

    def _next_slot(self, leased: bool) -> None:
        if self._supervisor.records:
            self._look()
        while not self._supervisor.records:
            self._receive()
        supervisor = self._supervisor
        record, memory, self._error = supervisor.lend(self.cursor)
        layout, lent = self._layouts[record.layout], supervisor.outbox.lent
        slots = min(self._slots, supervisor.gauges[_QUOTA] or self._slots)
        if len(lent) < slots:
            self._starvation.copying = False
        elif self._starvation.persists(lent, slots):
            self.cells.add(TrainerCell.COPIES, 1)
            memory = aligned_copy(memory[: layout.nbytes])
        batches = layout.batches(memory, record.batches, record.last_rows, () if leased else self._small[record.layout])
        batches.reverse()
        if record.first < self.cursor.batch:  # others began before
            del batches[record.first - self.cursor.batch :]
        self._batches = batches

    def _forget_slot(self) -> None:
        self._batches = []
        self._error = None

    def _learn(self, layout: ArenaLayout) -> None:
        self._specs = [each.spec for each in layout.layouts]
        self._layouts, self._slots = layout.layouts, layout.slots
        self._small = [each.small_leaves(_SMALL_BYTES) for each in layout.layouts]


def _nothing() -> None:
    return
