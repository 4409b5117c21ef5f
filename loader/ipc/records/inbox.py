"""What the supervisor is told: by workers and the gateway, by the trainer, by other readers of a shared loader."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

from loader.data.rows import UNKNOWN_ROW
from loader.errors import ProtocolError


class Done(NamedTuple):
    """A worker finished a ticket; it worked on it for `busy_ns`. Of `substituted` rows, the journal says why they hold other samples."""

    worker: int
    ticket: int
    busy_ns: int
    substituted: int = 0

    def pack(self) -> bytes:
        """Return the record's bytes."""
        return INBOX.pack(_DONE, self.worker, self.ticket, self.busy_ns, self.substituted)


class Failed(NamedTuple):
    """A worker gave up a ticket. The rows of the batches before slot row `good_rows` are written; the worker's text area says why."""

    worker: int
    ticket: int
    good_rows: int

    def pack(self) -> bytes:
        """Return the record's bytes."""
        return INBOX.pack(_FAILED, self.worker, self.ticket, self.good_rows, 0)


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
        return INBOX.pack(_EXHAUSTED, self.worker, self.row - UNKNOWN_ROW, self.fresh, self.resource)


class Joined(NamedTuple):
    """A remote worker can work: it gets tickets from now on."""

    worker: int

    def pack(self) -> bytes:
        """Return the record's bytes."""
        return INBOX.pack(_JOINED, self.worker, 0, 0, 0)


class Fate(IntEnum):
    """Why the life of a remote worker has ended."""

    PARTED = 0
    """It was let go or put aside, or its node has gone: nothing that it held is to blame."""
    DIED = 1
    """Its process has died while it was at work on a ticket."""
    HUNG = 2
    """It was ended because it made no progress."""
    FELL = 3
    """It was cut off at rows at which another one has been cut off before: they may kill, which a worker of the trainer's machine will show."""


class Lost(NamedTuple):
    """The life of a remote worker has ended; its text area says how.

    Attributes:
        worker: which.
        fate: why.
        row: of the ticket that it was at, or `UNKNOWN_ROW`.
        ticket: that it was at, if this may be to blame.
    """

    worker: int
    fate: Fate
    row: int = UNKNOWN_ROW
    ticket: int = 0

    def pack(self) -> bytes:
        """Return the record's bytes."""
        return INBOX.pack(_LOST, self.worker, self.fate, self.row - UNKNOWN_ROW, self.ticket)


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
        return INBOX.pack(RELEASED, self.slot, self.delivery, self.reader, 0)


class Skip(NamedTuple):
    """The trainer that is reader `reader` has moved: continue with `batch` of `epoch`; all that it is handed from now on carries `term`."""

    term: int
    epoch: int
    batch: int = 0
    reader: int = 0

    def pack(self) -> bytes:
        """Return the record's bytes."""
        return INBOX.pack(_SKIP, self.term, self.epoch, self.batch, self.reader)


class Resize(NamedTuple):
    """Run this many workers from now on; it is the `number`-th request of the script, counted from 1."""

    workers: int
    number: int

    def pack(self) -> bytes:
        """Return the record's bytes."""
        return INBOX.pack(_RESIZE, self.workers, self.number, 0, 0)


class Leave(NamedTuple):
    """The trainer reads no more: it only keeps the loader for others, or has attached to it and keeps what its script still uses."""

    def pack(self) -> bytes:
        """Return the record's bytes."""
        return INBOX.pack(_LEAVE, 0, 0, 0, 0)


class Packed(NamedTuple):
    """The pipeline is there, to be unpickled. The first record of all."""

    def pack(self) -> bytes:
        """Return the record's bytes."""
        return INBOX.pack(_PACKED, 0, 0, 0, 0)


class Close(NamedTuple):
    """End everything."""

    def pack(self) -> bytes:
        """Return the record's bytes."""
        return INBOX.pack(_CLOSE, 0, 0, 0, 0)


InboxRecord = Done | Failed | Exhausted | Released | Skip | Resize | Packed | Leave | Close | Joined | Lost

INBOX = struct.Struct("<IIQQQ")
INBOX_BYTES = INBOX.size
_DONE, _FAILED, _EXHAUSTED, RELEASED, _SKIP, _RESIZE, _PACKED, _CLOSE, _LEAVE, _JOINED, _LOST = range(11)


def unpack_inbox(raw: bytes) -> list[InboxRecord]:
    """Return the records in `raw`, a whole number of them. Raises ProtocolError for what is none."""
    records: list[InboxRecord] = []
    for kind, small, first, second, third in INBOX.iter_unpack(raw):
        if kind == _DONE:
            records.append(Done(small, first, second, third))
        elif kind == RELEASED:
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
        elif kind == _JOINED:
            records.append(Joined(small))
        elif kind == _LOST and first < len(Fate):
            records.append(Lost(small, Fate(first), second + UNKNOWN_ROW, third))
        else:
            raise ProtocolError(f"the inbox has a record of kind {kind} that does not exist: {(kind, small, first, second, third)}")
    return records
