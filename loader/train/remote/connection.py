"""What a trainer hears from a supervisor, and what it says: slots that it is handed, jumps, and the slots that it has lent and gives back."""

from __future__ import annotations

import select
from collections import deque

import numpy as np

from loader.data.spec import Array
from loader.errors import IterationError, LoaderError, ProtocolError, from_record
from loader.ipc.arena import Arena, ArenaLayout
from loader.ipc.board import Cells, Phase, SupervisorCell
from loader.ipc.channels import read_records
from loader.ipc.records import ANY_BEFORE_TERM, READY_BYTES, Leave, Ready, Released, Skip, unpack_ready
from loader.ipc.text_area import read_text
from loader.train.producer import Cursor
from loader.train.remote.lease import Lease, Outbox

# As plain numbers: they are read for each slot.
_HEARTBEAT, _PHASE = int(SupervisorCell.HEARTBEAT_NS_GAUGE), int(SupervisorCell.PHASE_GAUGE)

TWO_AT_ONCE = (
    "two threads take batches from one loader at the same time, or a signal handler takes one during a wait for a batch. "
    "What to do: take batches in one thread, hold a lock around next(), or make a loader for each thread"
)


class Connection:
    """A supervisor, as one of its readers sees it. Leases keep the mapping of the arena as long as they need it.

    Args:
        cells: the supervisor's, on the board.
        arena: descriptor of the arena's memory.
        ready: reading end of the ready pipe.
        outbox: to the supervisor.
        shared: whether other scripts read the same slots, so that they can't be written to.

    Attributes:
        records: slots that the supervisor has handed over and nobody has taken yet, in order.
        arena: None until it has been announced.
        outbox: to the supervisor, and its slots that are lent.
        gauges: the supervisor's cells, by number.
    """

    def __init__(self, cells: Cells, arena: int, ready: int, outbox: Outbox, shared: bool) -> None:
        self._cells = cells
        self.gauges = cells.raw
        self._heartbeat = self._silence_ms = 0
        self._term = 0  # number of skips that it was sent; tells which records are older than the last one
        self._arena_fd = arena
        self._ready = ready
        self.outbox = outbox
        self._shared = shared
        self.records: deque[Ready] = deque()
        self.arena: Arena | None = None
        self._poll = select.poll()
        self._poll.register(ready, select.POLLIN)

    def wait(self, timeout_ms: int) -> bool:
        """Wait until the supervisor has sent something or has died; return whether that is so.

        Raises:
            IterationError: another thread waits already.
        """
        try:
            arrived = bool(self._poll.poll(timeout_ms))
        except RuntimeError as error:  # "concurrent poll() invocation"
            raise IterationError(TWO_AT_ONCE) from error
        if self.outbox.waiting:
            self.outbox.flush()
        heartbeat = self.gauges[_HEARTBEAT]
        self._silence_ms = 0 if arrived or heartbeat != self._heartbeat else self._silence_ms + timeout_ms
        self._heartbeat = heartbeat
        return arrived

    @property
    def silence_s(self) -> float:
        """How long this process has waited without a sign of life.

        The time since the last one would not do: Ctrl-Z stops trainer and supervisor alike, and whoever is continued first would see a long one.
        """
        return self._silence_ms / 1000

    def be_patient_again(self) -> None:
        """Wait for a sign of life as if there had just been one."""
        self._silence_ms = 0

    def read(self) -> bool:
        """Read what the supervisor has sent; return whether it is alive. Its death ends the stream, because nobody else holds the other end.

        Blocks: until there is something, so call it after `wait`.

        Raises:
            LoaderError: what the supervisor said before it gave up.
        """
        raw = read_records(self._ready, READY_BYTES)
        for record in unpack_ready(raw):
            if isinstance(record, Ready) and record.term == self._term:
                self.records.append(record)
        phase = self.gauges[_PHASE]
        if phase == Phase.FAILED and (error := self._cells.read_text()):  # if it is not complete yet, another record will follow
            raise from_record(error)
        if raw and phase == Phase.RUNNING and self.arena is None:
            self.find_arena(self._cells[SupervisorCell.ARENA_BYTES_GAUGE])
        return bool(raw)

    def find_arena(self, nbytes: int) -> ArenaLayout:
        """Map the arena, of which there are `nbytes` before its layout; return that."""
        layout = ArenaLayout.read(self._arena_fd, nbytes)
        self.arena = Arena(self._arena_fd, layout, writable=not self._shared)
        return layout

    # Slots.

    def lend(self, due: Cursor) -> tuple[Ready, Array, LoaderError | None]:
        """Take the first of `records`, of which there must be one, for a batch that is due. Other readers may have begun the slot before it.

        Args:
            due: where that is.

        Returns:
            The record; the bytes of its slot, which keep it; and the error of the batch after those in it, if that failed.

        Raises:
            IterationError: another thread has taken the batch. The supervisor then continues with it once more.
            ProtocolError: there is no arena yet.
        """
        record = self.records.popleft() if self.records else None
        if record is None or record.epoch != due.epoch or not record.first <= due.batch < record.first + record.batches + record.failed:
            self.skip(due)
            raise IterationError(TWO_AT_ONCE)
        if self.arena is None:
            raise ProtocolError(f"the supervisor handed over {record} and has announced no arena")
        error = from_record(read_text(self.arena.text(record.slot))) if record.failed else None
        memory, interface = self.arena.lendable(record.slot)
        lease = Lease(memory, record.slot, record.release(), self.outbox, interface)
        return record, np.asarray(lease), error

    def skip(self, to: Cursor) -> None:
        """Have the supervisor continue with another batch. What it has sent before is dropped, and so is what it sends until it has read this."""
        self._term += 1
        self.outbox.send(Skip(self._term, to.epoch, to.batch).pack())
        self._release_unread()

    def leave(self) -> None:
        """Read no more: what is lent stays so until it is released."""
        self.outbox.send(Leave().pack())
        self._release_unread()

    def _release_unread(self) -> None:
        self.records.clear()
        if self.arena is not None:
            for slot in set(range(self.arena.layout.slots)) - self.outbox.lent:
                self.outbox.send(Released(slot, ANY_BEFORE_TERM).pack())
