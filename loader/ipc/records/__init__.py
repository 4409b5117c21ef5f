"""Everything that is said between the processes: one named tuple per kind, packed here and nowhere else.

    channel        from → to                       records
    ticket pipe    supervisor → a worker           Ticket
    gateway pipe   supervisor → the gateway        Errand
    inbox          workers, gateway → supervisor   Done, Failed, Exhausted; Joined, Lost
    inbox          trainer → supervisor            Packed, Released, Skip, Resize, Leave, Close
    ready pipe     supervisor → trainer            Ready, Look

Records of one channel have one size, so a pipe's stream needs no framing, and a write below PIPE_BUF is never torn (pipe(7)). Text that
goes with a record (a spec, an error) lies in shared memory as JSON, written before the record is sent.
"""

from loader.ipc.records.inbox import (
    ANY_BEFORE_TERM,
    INBOX_BYTES,
    Close,
    Done,
    Exhausted,
    Failed,
    Fate,
    InboxRecord,
    Joined,
    Leave,
    Lost,
    Packed,
    Released,
    Resize,
    Resource,
    Skip,
    unpack_inbox,
)
from loader.ipc.records.ready import READY_BYTES, Look, Ready, ReadyRecord, unpack_ready
from loader.ipc.records.tickets import ERRAND_BYTES, TICKET_BYTES, Errand, Ticket, TicketKind, Verb, errand_of, unpack_errands, unpack_tickets

__all__ = [
    "ANY_BEFORE_TERM",
    "ERRAND_BYTES",
    "INBOX_BYTES",
    "READY_BYTES",
    "TICKET_BYTES",
    "Close",
    "Done",
    "Errand",
    "Exhausted",
    "Failed",
    "Fate",
    "InboxRecord",
    "Joined",
    "Leave",
    "Look",
    "Lost",
    "Packed",
    "Ready",
    "ReadyRecord",
    "Released",
    "Resize",
    "Resource",
    "Skip",
    "Ticket",
    "TicketKind",
    "Verb",
    "errand_of",
    "unpack_errands",
    "unpack_inbox",
    "unpack_ready",
    "unpack_tickets",
]
