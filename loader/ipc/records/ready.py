"""What a trainer is handed."""

from __future__ import annotations

import struct
from typing import NamedTuple

from loader.errors import ProtocolError
from loader.ipc.records.inbox import INBOX, RELEASED


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
        return INBOX.pack(RELEASED, self.slot, self.delivery, self.reader, 0)


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
