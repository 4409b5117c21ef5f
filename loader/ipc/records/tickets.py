"""What the supervisor asks for: a `Ticket` of a worker of this machine, an `Errand` of the gateway, which has the remote ones.

A remote worker has lives. One begins with OPEN, and ends with one `Lost` of the gateway: when its actor has died or was put aside, or after CLOSE.
What is sent to a worker whose life has ended, before the supervisor has heard of that, is dropped by the gateway: those tickets are issued again.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple


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


class Verb(IntEnum):
    """What the gateway is asked to do for a remote worker."""

    OPEN = 0
    """Find an actor for it, and say `Joined` when that can work."""
    WORK = 1
    """Do the ticket."""
    CLOSE = 2
    """It gets no more tickets, and holds none: let its actor go, and say `Lost`."""


class Errand(NamedTuple):
    """What the gateway is asked to do for one remote worker; only WORK has a ticket that means anything."""

    worker: int
    verb: Verb
    ticket: Ticket = Ticket(0, TicketKind.ROWS, 0, 0, 0, 0)

    def pack(self) -> bytes:
        """Return the record's bytes."""
        return errand_of(self.worker, self.verb, self.ticket.pack())


_ERRAND = struct.Struct("<II")
ERRAND_BYTES = _ERRAND.size + TICKET_BYTES


def errand_of(worker: int, verb: Verb, ticket: bytes) -> bytes:
    """Return the bytes of an errand whose ticket is packed already."""
    return _ERRAND.pack(worker, verb) + ticket


def unpack_errands(raw: bytes) -> Iterator[Errand]:
    """Yield the errands in `raw`, a whole number of records."""
    for start in range(0, len(raw), ERRAND_BYTES):
        worker, verb = _ERRAND.unpack_from(raw, start)
        yield Errand(worker, Verb(verb), Ticket._make(_TICKET.unpack_from(raw, start + _ERRAND.size)))
