"""Everything that is said between the processes: one named tuple per kind, packed here and nowhere else.

    channel        from → to               records
    ticket pipe    supervisor → a worker   Ticket
    inbox          workers → supervisor    Done, Failed, Exhausted
    inbox          trainer → supervisor    Packed, Released, Skip, Resize, Leave, Close
    ready pipe     supervisor → trainer    Ready, Look

Records of one channel have one size, so a pipe's stream needs no framing, and a write below PIPE_BUF is never torn (pipe(7)). Text that
goes with a record (a spec, an error) lies in shared memory as JSON, written before the record is sent.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from loader.data.rows import UNKNOWN_ROW
from loader.errors import ProtocolError


class TicketKind(IntEnum):
    """What a worker is asked to do."""

    ROWS = 0
    """Fill rows of a slot."""
    ORDER = 1
    """Write a block of the epoch's order to the arena."""
    BATCH = 2
    """Run the batch transforms on whole batches of a slot whose rows are written."""


class Ticket(NamedTuple):
    """Work for one worker, in numbers only.

    Attributes:
        number: unique among the tickets of a supervisor.
        kind: what to do.
        place: number of the slot (ROWS, BATCH) or of the order block's place (ORDER).
        epoch: which order and which random draws.
        first: first row of this rank's epoch to produce.
        rows: how many.
        slot_row: where in the slot they start (ROWS, BATCH).
        block: place of the order block that holds them, which begins at row `block_first` (ROWS and BATCH of a shuffled epoch).
        block_first: see `block`.
        attempt: 0 means the rows' own samples; k, for a ticket of one row, that the k-th one in its place is to be tried first. For BATCH: how often
            a worker may have died while it changed them, so that from 1 on the rows are made again first.
        layout: number of the layout that the slot has (ROWS, BATCH).
    """

    number: int
    kind: TicketKind
    place: int
    epoch: int
    first: int
    rows: int
    slot_row: int = 0
    block: int = 0
    block_first: int = 0
    attempt: int = 0
    layout: int = 0

    def pack(self) -> bytes:
        """Return the record's bytes."""
        return _TICKET.pack(*self)


_TICKET = struct.Struct("<QIIQQIIQQQI")
TICKET_BYTES = _TICKET.size


def unpack_tickets(raw: bytes) -> Iterator[Ticket]:
    """Yield the tickets in `raw`, a whole number of records."""
    for fields in _TICKET.iter_unpack(raw):
        yield Ticket._make(fields)


class Done(NamedTuple):
    """A worker finished a ticket; it worked on it for `busy_ns`. Of `substituted` rows, the journal says why they hold other samples."""

    worker: int
    ticket: int
    busy_ns: int
    substituted: int = 0

    def pack(self) -> bytes:
        """Return the record's bytes."""
        return _INBOX.pack(_DONE, self.worker, self.ticket, self.busy_ns, self.substituted)


class Failed(NamedTuple):
    """A worker gave up a ticket. The rows of the batches before slot row `good_rows` are written; the worker's text area says why."""

    worker: int
    ticket: int
    good_rows: int

    def pack(self) -> bytes:
        """Return the record's bytes."""
        return _INBOX.pack(_FAILED, self.worker, self.ticket, self.good_rows, 0)


class Resource(IntEnum):
    """What a worker has run out of."""

    MEMORY = 0
    DESCRIPTORS = 1


class Exhausted(NamedTuple):
    """A worker got no more memory, or descriptors, for the first ticket that it holds, and is about to exit.

    Attributes:
        worker: number of the worker.
        row: of the ticket that it was at, or `UNKNOWN_ROW`; where it is known, the worker's text area says why.
        fresh: whether it was its first ticket, so that nothing but this ticket can have taken what is missing.
        resource: what it has run out of.
    """

    worker: int
    row: int
    fresh: bool
    resource: Resource

    def pack(self) -> bytes:
        """Return the record's bytes."""
        return _INBOX.pack(_EXHAUSTED, self.worker, self.row - UNKNOWN_ROW, self.fresh, self.resource)


ANY_BEFORE_TERM = 0


class Released(NamedTuple):
    """The trainer no longer uses what it got in a slot.

    Attributes:
        slot: number of the slot.
        delivery: which one, or `ANY_BEFORE_TERM`: whatever was handed over before the latest `Skip`. So a slot can't get lost, even if Ctrl-C
            hit the trainer between reading a record and noting it.
        reader: who it is.
    """

    slot: int
    delivery: int
    reader: int = 0

    def pack(self) -> bytes:
        """Return the record's bytes."""
        return _INBOX.pack(_RELEASED, self.slot, self.delivery, self.reader, 0)


class Skip(NamedTuple):
    """The trainer that is reader `reader` has moved: continue with `batch` of `epoch`; all that it is handed from now on carries `term`."""

    term: int
    epoch: int
    batch: int = 0
    reader: int = 0

    def pack(self) -> bytes:
        """Return the record's bytes."""
        return _INBOX.pack(_SKIP, self.term, self.epoch, self.batch, self.reader)


class Resize(NamedTuple):
    """Run this many workers from now on; it is the `number`-th request of the script, counted from 1."""

    workers: int
    number: int

    def pack(self) -> bytes:
        """Return the record's bytes."""
        return _INBOX.pack(_RESIZE, self.workers, self.number, 0, 0)


class Leave(NamedTuple):
    """The trainer reads no more: it only keeps the loader for others, or has attached to it and keeps what its script still uses."""

    def pack(self) -> bytes:
        """Return the record's bytes."""
        return _INBOX.pack(_LEAVE, 0, 0, 0, 0)


class Packed(NamedTuple):
    """The pipeline is there, to be unpickled. The first record of all."""

    def pack(self) -> bytes:
        """Return the record's bytes."""
        return _INBOX.pack(_PACKED, 0, 0, 0, 0)


class Close(NamedTuple):
    """End everything."""

    def pack(self) -> bytes:
        """Return the record's bytes."""
        return _INBOX.pack(_CLOSE, 0, 0, 0, 0)


InboxRecord = Done | Failed | Exhausted | Released | Skip | Resize | Packed | Leave | Close

_INBOX = struct.Struct("<IIQQQ")
INBOX_BYTES = _INBOX.size
_DONE, _FAILED, _EXHAUSTED, _RELEASED, _SKIP, _RESIZE, _PACKED, _CLOSE, _LEAVE = range(9)


def unpack_inbox(raw: bytes) -> list[InboxRecord]:
    """Return the records in `raw`, a whole number of them. Raises ProtocolError for what is none."""
    records: list[InboxRecord] = []
    for kind, small, first, second, third in _INBOX.iter_unpack(raw):
        if kind == _DONE:
            records.append(Done(small, first, second, third))
        elif kind == _RELEASED:
            records.append(Released(small, first, second))
        elif kind == _FAILED:
            records.append(Failed(small, first, second))
        elif kind == _EXHAUSTED and third < len(Resource):
            records.append(Exhausted(small, first + UNKNOWN_ROW, bool(second), Resource(third)))
        elif kind == _SKIP:
            records.append(Skip(small, first, second, third))
        elif kind == _RESIZE:
            records.append(Resize(small, first))
        elif kind == _PACKED:
            records.append(Packed())
        elif kind == _LEAVE:
            records.append(Leave())
        elif kind == _CLOSE:
            records.append(Close())
        else:
            raise ProtocolError(f"the inbox has a record of kind {kind} that does not exist: {(kind, small, first, second, third)}")
    return records


class Look(NamedTuple):
    """The board has news: the arena exists, or nothing more will come. It is there to wake the trainer; the board itself says what."""

    def pack(self) -> bytes:
        """Return the record's bytes."""
        return _READY.pack(_LOOK_KIND, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


class Ready(NamedTuple):
    """A slot belongs to the trainer until it sends `Released`.

    Attributes:
        slot: number of the slot.
        delivery: number of this delivery, to be sent back with the release.
        term: of the `Skip` that it follows.
        epoch: of its batches.
        first: number of its first batch in the epoch.
        batches: how many are in it, complete.
        failed: whether the batch after those is due to fail, with the error in the slot's text area.
        last_rows: of the last of its batches; the others are full.
        layout: number of the layout that they have.
        reader: which trainer it is for; 0 is the one that started the supervisor.
    """

    slot: int
    delivery: int
    term: int
    epoch: int
    first: int
    batches: int
    failed: bool
    last_rows: int
    layout: int = 0
    reader: int = 0

    def pack(self) -> bytes:
        """Return the record's bytes."""
        return _READY.pack(_READY_KIND, *self)

    def release(self) -> bytes:
        """Return the bytes of the `Released` that gives the slot back. Made for each slot, so in one step."""
        return _INBOX.pack(_RELEASED, self.slot, self.delivery, self.reader, 0)


ReadyRecord = Ready | Look

_READY = struct.Struct("<IIQQQQIIIII")
READY_BYTES = _READY.size
_READY_KIND, _LOOK_KIND = range(2)


def unpack_ready(raw: bytes) -> list[ReadyRecord]:
    """Return the records in `raw`, a whole number of them. Raises ProtocolError for what is none."""
    found: list[ReadyRecord] = []
    for kind, slot, delivery, term, epoch, first, batches, failed, last_rows, layout, reader in _READY.iter_unpack(raw):
        if kind == _READY_KIND:
            found.append(Ready(slot, delivery, term, epoch, first, batches, bool(failed), last_rows, layout, reader))
        elif kind == _LOOK_KIND:
            found.append(Look())
        else:
            raise ProtocolError(f"the ready pipe has a record of kind {kind} that does not exist")
    return found
