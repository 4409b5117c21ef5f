"""What is put into slots: the next batches of a stream, cut into tickets of so many rows, and the blocks of the order that they need. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from loader.data.plans.epoch_plan import EpochPlan
from loader.errors import ProtocolError
from loader.ipc.records import Ticket
from loader.supervise.schedule import sizing
from loader.supervise.schedule.blocks import Blocks
from loader.supervise.schedule.sizing import Hands, TicketSizes
from loader.supervise.schedule.slot_pool import SlotPool
from loader.supervise.schedule.slots import Slot
from loader.supervise.schedule.stream import Stream


class SlotContents:
    """Begins slots.

    Args:
        plan: batches of an epoch.
        pool: the slots.
        capacity: batches that a slot can hold.
        blocks: blocks of the order, or None where it is sequential.
        sizes: of tickets.
    """

    def __init__(self, plan: EpochPlan, pool: SlotPool, capacity: int, blocks: Blocks | None, sizes: TicketSizes) -> None:
        self._plan = plan
        self._pool = pool
        self._capacity = capacity
        self._blocks = blocks
        self._sizes = sizes
        self._orphans: deque[Slot] = deque()  # not cut to the end, and left behind by the stream that began them
        self._deliveries = 0

    # Blocks of the order.

    def order_tickets(self, streams: Sequence[Stream], numbers: Iterator[int]) -> list[Ticket]:
        """Begin the blocks of the order that the cursors come near to; return the tickets that make them."""
        self._pool.order_is_due = False
        cursors = [(stream.epoch, stream.batch * self._plan.batch_size) for stream in streams]
        return [] if self._blocks is None else self._blocks.tickets(cursors, numbers)

    def order_made(self, ticket: Ticket) -> None:
        """A block of the order is written."""
        if self._blocks is None:
            raise ProtocolError(f"a block of the order was made where the order has none: {ticket}")
        self._blocks.at(ticket.place).ready = self._pool.order_is_due = True

    # Slots.

    def leave_behind(self, slot: Slot | None) -> None:
        """The stream that began a slot has ended. The rest of its rows is put into tickets all the same: others may have it in their queues."""
        if slot is not None and slot.issued < slot.rows:
            self._orphans.append(slot)

    def left_behind(self) -> Slot | None:
        """Return a slot that was left behind, and has rows that are in no ticket; None if there is none."""
        while self._orphans:
            if self._orphans[0].issued < self._orphans[0].rows:
                return self._orphans[0]
            self._orphans.popleft()
        return None

    def begin(self, stream: Stream, hands: Hands, most: int | None = None) -> Slot | None:
        """Begin the next slot of a stream, if all rows of the one before are in tickets; return the one whose rows are next.

        Args:
            stream: its readers get the slot.
            hands: who fills the slot.
            most: slots that the stream may have, where there are others.
        """
        if (before := stream.cutting) is not None and before.issued < before.rows:
            return before
        free = self._pool.free
        if not free or (most is not None and stream.stock >= most):
            return None
        plan, first = self._plan, stream.batch * self._plan.batch_size
        # The very first slot holds one batch: what a row takes is known from one warm row only, and the trainer waits.
        batches = self._sizes.batches(self._capacity, plan.batch_size, hands) if self._deliveries and self._capacity > 1 else 1
        batches = min(batches, plan.batches - stream.batch % plan.batches)
        block = None
        if self._blocks is not None:
            block = self._blocks.get(self._blocks.key(stream.epoch, first))
            if block is None or not block.ready:
                return None
            batches = min(batches, -(-(block.first + block.rows - first) // plan.batch_size))
            block.users += 1
        self._deliveries += 1
        slot = self._pool.slots[free.pop()]
        rows = (batches - 1) * plan.batch_size + plan.rows_of(stream.epoch, stream.batch + batches - 1)
        if block is not None and first + rows == block.first + block.rows:  # the cursor enters the next one
            self._pool.order_is_due = True
        slot.begin(self._deliveries, stream.epoch, stream.batch, batches, plan.layout_of(stream.epoch, stream.batch), rows, block)
        slot.ticket_rows, slot.remote_ticket_rows = self._sizes.rows(rows, hands, len(self._pool.slots))
        if stream.begun < hands.all:  # from then on, it would be all rows
            first_rows = sizing.first_ticket_rows(rows, hands.all, stream.begun)
            slot.ticket_rows, slot.remote_ticket_rows = min(slot.ticket_rows, first_rows), min(slot.remote_ticket_rows, first_rows)
        stream.cutting = slot
        stream.begun += 1
        stream.put_in_queues(slot, plan.batches)
        return slot
