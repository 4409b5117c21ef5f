"""How large tickets and slots are: pure functions of sizes and of the measured time per row.

A ticket costs 20 to 35 µs over all processes, whatever is in it (docs/measurements.md). At 1.5 ms of work that is 2 %; larger ones gain
nothing and make the workers wait for each other at the end of a batch.
"""

from __future__ import annotations

TICKET_NS = 1_500_000
SHORTEST_TICKET_NS = 500_000

# Several batches share a slot only while that keeps it in the caches and hides from no one that a batch is ready.
_SHARED_SLOT_BYTES = 4 * 1024 * 1024
_SHARED_SLOT_BATCHES = 64

# One block of the order is one ticket of about 0.2 ms; larger ones make the start of an epoch slower, smaller ones cost more per row.
_BLOCK_ROWS = 8_192


# How much memory slots are worth for workers that may or may not come.
_GROWTH_BYTES = 64 * 1024 * 1024


def slot_capacity(batch_bytes: int, batches: int) -> int:
    """Return how many batches a slot can hold: more than one only for small batches."""
    return max(1, min(_SHARED_SLOT_BYTES // max(batch_bytes, 1), _SHARED_SLOT_BATCHES, batches))


def default_slots(batch_rows: int, row_ns: int, workers: int) -> int:
    """Return how many slots keep every worker busy while the trainer uses one.

    Each worker holds up to two tickets. They lie in `2 × workers / tickets per batch` slots; two more are ready or with the trainer.
    """
    tickets_per_batch = max(1, min(batch_rows, batch_rows * row_ns // TICKET_NS))
    return -(-2 * workers // tickets_per_batch) + 2


def auto_slots(batch_rows: int, row_ns: int, workers: int, most_workers: int, slot_bytes: int) -> int:
    """Return how many slots to allocate where the number of workers will change: the arena can't grow.

    Enough for the first `workers`, and for `most_workers` if they share slots by short tickets, as far as that takes at most 64 MiB. A batch of
    much work is cut into tickets for all, so that 3 or 4 slots do; only batches of little work need two slots for each worker.
    """
    tickets_per_batch = max(1, min(batch_rows, batch_rows * row_ns // SHORTEST_TICKET_NS))
    most = -(-2 * most_workers // tickets_per_batch) + 2
    return max(default_slots(batch_rows, row_ns, workers), min(most, _GROWTH_BYTES // max(slot_bytes, 1)))


def batches_per_slot(capacity: int, batch_rows: int, row_ns: float) -> int:
    """Return how many batches to put into the next slot, so that filling it is about one ticket's worth of work."""
    return max(1, min(capacity, round(TICKET_NS / max(1.0, batch_rows * row_ns))))


def ticket_rows(slot_rows: int, row_ns: float, workers: int, slots: int) -> int:
    """Return the rows of each ticket of a slot: 1.5 ms of work.

    Less, down to 0.5 ms, where there are so few slots that workers have to share them: two tickets for each worker must fit into the slots
    that are neither ready nor with the trainer.
    """
    work_ns = slot_rows * row_ns
    shared = -(-2 * workers // max(1, slots - 2))
    tickets = max(round(work_ns / TICKET_NS), min(shared, int(work_ns / SHORTEST_TICKET_NS)), 1)
    return -(-slot_rows // min(tickets, slot_rows))


def first_ticket_rows(slot_rows: int, row_ns: float, workers: int, slots: int) -> int:
    """Return the rows of each ticket of the very first slot: everyone works on it."""
    return min(ticket_rows(slot_rows, row_ns, workers, slots), -(-slot_rows // workers))


def block_rows(batch_size: int, epoch_rows: int) -> int:
    """Return the rows of a block of the order: whole batches, about 8,192 rows, at most an epoch."""
    return min(batch_size * max(1, _BLOCK_ROWS // batch_size), -(-epoch_rows // batch_size) * batch_size)


def block_places(slots: int, capacity: int, batch_size: int, rows: int) -> int:
    """Return how many blocks of the order are needed at once: those that the slots being filled lie in, and one ahead."""
    return min(slots, -(-slots * capacity * batch_size // rows) + 1) + 1
