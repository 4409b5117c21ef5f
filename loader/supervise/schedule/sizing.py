"""How large tickets and slots are: pure functions of sizes and of the measured time per row.

A ticket costs 20 to 35 µs over all processes where nothing else runs, and some 250 µs where the workers' data empty the caches, whatever is in it
(docs/measurements.md). So it holds as much work as it can without making the first batches late, or the arena large.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from loader.ipc.board import MOST_TICKETS

# What a ticket holds where slots are dear, so that few of them do. Shorter ones are not worth their cost.
TICKET_NS = 1_500_000
SHORTEST_TICKET_NS = 500_000

# What a ticket holds where there are slots for it, times the number of workers per core: their tickets share the cores.
LONG_TICKET_NS = 8_000_000
LONGEST_TICKET_NS = 64_000_000

# How many a worker holds: a second one, so that it need not wait for the next, and more if they are short: while there is so much to do beside the
# first one, the supervisor can nap, and wakes up half as often (docs/measurements.md).
_TICKETS = 2
SHORT_TICKETS = 4
_AHEAD_NS = 5_000_000

# Several batches share a slot only while that keeps it in the caches and hides from no one that a batch is ready.
_SHARED_SLOT_BYTES = 4 * 1024 * 1024
_SHARED_SLOT_BATCHES = 64

# One block of the order is one ticket of about 0.2 ms; larger ones make the start of an epoch slower, smaller ones cost more per row.
_BLOCK_ROWS = 8_192

# Rows that are far away wait for each other: in tickets of a fraction of all that are on their way, a batch is complete early.
FAR_TICKETS = MOST_TICKETS
_FAR_BYTES = 256 * 1024 * 1024

# The most that a ticket for another machine holds: half as much work hides its way, which takes some milliseconds, and so do as many bytes.
REMOTE_TICKET_NS = 45_000_000
REMOTE_TICKET_BYTES = 1024 * 1024

# By the time of a single row, which is all that is known then: on a busy machine, it may have taken several times as long as others will. With too
# few slots, many workers would wait for each other; with slots for too few batches, tickets would be too short.
_ROUGHLY = 4
_VERY_ROUGHLY = 16

# How much memory slots are worth for longer tickets, and for workers that may or may not come.
_GROWTH_BYTES = 64 * 1024 * 1024


def slot_capacity(batch_bytes: int, batches: int, batch_ns: float) -> int:
    """Return how many batches a slot can hold: more than one only for small batches that are filled quickly.

    Args:
        batch_bytes: of a batch.
        batches: of an epoch.
        batch_ns: time that filling one takes, roughly; 0 if that is not known.
    """
    capacity = max(1, min(_SHARED_SLOT_BYTES // max(batch_bytes, 1), _SHARED_SLOT_BATCHES, batches))
    return batches_per_slot(capacity, 1, batch_ns / _VERY_ROUGHLY)


def slots(batch_rows: int, row_ns: int, workers: int, most_workers: int, cores: int, slot_bytes: int, far_rows: int = 0) -> int:
    """Return how many slots to allocate; the arena can't grow.

    Each worker holds two tickets. They lie in `2 × workers / tickets per batch` slots; two more are ready or with the trainer. So many are there for
    the first `workers` at 1.5 ms a ticket, whatever they take. As far as 64 MiB do, there are enough for long tickets, for more of them if they are
    short, and for `most_workers`; if these are more than `cores`, even if a row takes a quarter of `row_ns`. If samples are far away, as far as
    256 MiB do, there are enough for all rows that are on their way at once.
    """
    least = _slots_of_tickets(batch_rows, row_ns, workers, TICKET_NS, _TICKETS)
    if far_rows:
        least = max(least, min(-(-far_rows // batch_rows) + 2, _FAR_BYTES // max(slot_bytes, 1)))
    long_ns = _long_ticket_ns(most_workers, cores)
    least_ns = row_ns // _ROUGHLY if most_workers > cores else row_ns
    most = _slots_of_tickets(batch_rows, least_ns, most_workers, long_ns, tickets_each(min(batch_rows * row_ns, long_ns)))
    return max(least, min(most, _GROWTH_BYTES // max(slot_bytes, 1)))


def remote_slots(batch_rows: int, row_ns: int, row_bytes: int, workers: int, slot_bytes: int) -> int:
    """Return how many slots more to allocate for so many workers on other machines: for two tickets of each, as far as 256 MiB hold them."""
    tickets_per_slot = max(1, batch_rows // _most_remote_rows(row_ns, row_bytes))
    return min(-(-2 * workers // tickets_per_slot), _FAR_BYTES // max(slot_bytes, 1))


def quota(slots: int, readers: int, expected: int = 1) -> int:
    """Return how many slots a reader may hold: so many that one more could come, and have two while nobody lets go of any.

    There would be as many for the one that comes, but for three: a loop that keeps no batch holds two when it takes the next one, and with a third it
    need not be handed copies (`loader.train.remote.starvation`).

    Args:
        slots: in all.
        readers: that are there.
        expected: how many there will be, each with batches of its own, who share the slots equally; 1 if that is not known.
    """
    if 1 < expected >= readers:
        return slots // expected
    return max(2, min(3, (slots - 2) // max(1, readers)), (slots - 2) // (readers + 1))


def _slots_of_tickets(batch_rows: int, row_ns: int, workers: int, ticket_ns: int, each: int) -> int:
    tickets_per_batch = max(1, min(batch_rows, batch_rows * row_ns // ticket_ns))
    return -(-each * workers // tickets_per_batch) + 2


def tickets_each(ticket_ns: float, full: bool = False) -> int:
    """Return how many tickets a worker may hold.

    Args:
        ticket_ns: time that one takes.
        full: whether a slot holds as many small batches as it may. Then the speed of memory is the limit, and more slots in use than are needed would
            no longer be in the caches when they are filled again. The same if there are workers on other machines, whose tickets are long.
    """
    return _TICKETS if full else max(_TICKETS, min(SHORT_TICKETS, 1 + math.ceil(_AHEAD_NS / max(1.0, ticket_ns))))


@cache
def _long_ticket_ns(workers: int, cores: int) -> int:
    return min(LONG_TICKET_NS * max(workers, cores) // cores, LONGEST_TICKET_NS)


def batches_per_slot(capacity: int, batch_rows: int, row_ns: float) -> int:
    """Return how many batches to put into the next slot, so that filling it is about 1.5 ms of work."""
    return max(1, min(capacity, round(TICKET_NS / max(1.0, batch_rows * row_ns))))


class Hands(NamedTuple):
    """Who fills the slots.

    Attributes:
        local, remote: workers on this machine and on others.
        row_ns, remote_row_ns: time that one of them takes for a row.
    """

    local: int
    row_ns: float
    remote: int = 0
    remote_row_ns: float = 0.0

    @property
    def all(self) -> int:
        """How many they are."""
        return self.local + self.remote


@dataclass(frozen=True)
class TicketSizes:
    """How many rows a ticket has.

    Attributes:
        cores: that the local workers share.
        far_rows: how many rows are to be on their way at once; 0 if samples are not far away.
        row_bytes: of a row; only where there may be remote workers.
    """

    cores: int
    far_rows: int = 0
    row_bytes: int = 1

    def batches(self, capacity: int, batch_rows: int, hands: Hands) -> int:
        """Return how many batches to put into the next slot: more if it may be a ticket for another machine, which is longer."""
        batches = batches_per_slot(capacity, batch_rows, hands.row_ns)
        if not hands.remote:
            return batches
        return max(batches, min(capacity, _most_remote_rows(hands.remote_row_ns, self.row_bytes) // batch_rows))

    def rows(self, slot_rows: int, hands: Hands, slots: int) -> tuple[int, int]:
        """Return the rows of each ticket of a slot, for a local and for a remote worker.

        If they are far away, `FAR_TICKETS` of each worker together have all that are on their way.
        """
        if self.far_rows:
            rows = max(1, min(slot_rows, -(-self.far_rows // (FAR_TICKETS * max(1, hands.all)))))
            return rows, rows
        rows = ticket_rows(slot_rows, hands.row_ns, max(1, hands.local), slots, self.cores)
        return rows, remote_ticket_rows(slot_rows, hands, slots, rows, self.row_bytes) if hands.remote else rows


def ticket_rows(slot_rows: int, row_ns: float, workers: int, slots: int, cores: int) -> int:
    """Return the rows of each ticket of a slot: 8 ms of work, and up to 64 ms if there are many workers for each core.

    Less, down to 0.5 ms, where there are so few slots that workers have to share them: two tickets for each worker must fit into the slots
    that are neither ready nor with the trainer.
    """
    work_ns = slot_rows * row_ns
    shared = -(-2 * workers // max(1, slots - 2))
    tickets = max(round(work_ns / _long_ticket_ns(workers, cores)), min(shared, int(work_ns / SHORTEST_TICKET_NS)), 1)
    return -(-slot_rows // min(tickets, slot_rows))


def remote_ticket_rows(slot_rows: int, hands: Hands, slots: int, local_rows: int, row_bytes: int) -> int:
    """Return the rows of each ticket of a slot for a worker on another machine: 23 to 45 ms of work, or 1 MiB.

    Fewer where two for each remote worker would not fit into the slots beside those of the local ones: down to those that a local worker gets.

    Args:
        slot_rows: of the slot.
        hands: who fills it.
        slots: in all.
        local_rows: of a ticket for a local worker.
        row_bytes: of a row.
    """
    parts = -(-slot_rows // _most_remote_rows(hands.remote_row_ns, row_bytes))
    rows = -(-slot_rows // parts)
    room = (slots - 2) * slot_rows - 2 * hands.local * local_rows
    return max(min(rows, local_rows), min(rows, room // (2 * hands.remote)))


def _most_remote_rows(row_ns: float, row_bytes: int) -> int:
    return max(1, min(int(REMOTE_TICKET_NS // max(1.0, row_ns)), -(-REMOTE_TICKET_BYTES // max(1, row_bytes))))


def first_ticket_rows(slot_rows: int, workers: int, filled: int) -> int:
    """Return the most rows of a ticket, `filled` slots after the start or a jump: everyone works on the first slot, half of all on the next."""
    return -(-slot_rows // workers) * (filled + 1)


def block_rows(batch_size: int, capacity: int, epoch_rows: int) -> int:
    """Return the rows of a block of the order: whole batches, about 8,192 rows, at most an epoch.

    Whole slots, too, unless these are much larger: a slot reads one block, so the last one of a block would be filled only in part.
    """
    slot_rows = batch_size * capacity
    unit = slot_rows if slot_rows <= 2 * _BLOCK_ROWS else batch_size
    return min(unit * max(1, round(_BLOCK_ROWS / unit)), -(-epoch_rows // batch_size) * batch_size)


def block_places(slots: int, capacity: int, batch_size: int, rows: int) -> int:
    """Return how many blocks of the order are needed at once: those that the slots being filled lie in, and one ahead."""
    return min(slots, -(-slots * capacity * batch_size // rows) + 1) + 1
