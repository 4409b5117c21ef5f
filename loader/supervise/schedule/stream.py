"""The batches in their order: which slot is filled with what next, and when it goes to the trainer. Pure, as the schedule is, which deals its rows.

A cursor (epoch and batch) runs ahead of the trainer. Slots are filled in its order, several at a time, and are handed over in the same order. When
the trainer goes elsewhere, the cursor jumps, and the slots that are being filled are stale: nobody gets them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from loader.data.plans.epoch_plan import EpochPlan
from loader.errors import ProtocolError
from loader.ipc.records import ANY_BEFORE_TERM, Ready, Released, Skip, Ticket, TicketKind
from loader.supervise.schedule import sizing
from loader.supervise.schedule.blocks import Blocks
from loader.supervise.schedule.slots import Slot, SlotState


class Stream:
    """The slots, and what is in them.

    Args:
        plan: batches of an epoch.
        slots: number of slots.
        capacity: batches that a slot can hold.
        blocks: blocks of the order, or None where it is sequential.
        cores: that the workers share.
        epoch: to begin with.
        batch: of that epoch to begin with.
        batch_work: whether batch transforms run on the batches of a slot once its rows are written.

    Attributes:
        slots: all of them, by number.
        due: those whose batch transforms are to be put into a ticket.
        latest: the slot that was begun last; None before the first, and after a jump of the cursor.
        order_is_due: whether a block of the order may have to be begun.
    """

    def __init__(
        self, plan: EpochPlan, slots: int, capacity: int, blocks: Blocks | None, cores: int, epoch: int, batch: int, batch_work: bool = False
    ) -> None:
        self.slots = [Slot(number) for number in range(slots)]
        self.due: deque[Slot] = deque()
        self._batch_work = batch_work
        self.latest: Slot | None = None
        self.order_is_due = blocks is not None
        self._plan = plan
        self._capacity = capacity
        self._blocks = blocks
        self._cores = cores
        self._free = [slot.number for slot in reversed(self.slots)]  # last in, first out: the most recent one is still in the cache
        self._filling: deque[Slot] = deque()  # in the order of their batches
        self._handed = 0
        self._deliveries = 0
        self._before_jump = 0  # deliveries that were begun before the latest jump
        self._epoch, self._batch, self._term = epoch, batch, 0

    def counts(self) -> tuple[int, int, int]:
        """Return the numbers of slots that are free, filling (or waiting for their turn), and handed to the trainer."""
        free = len(self._free)
        return free, len(self.slots) - free - self._handed, self._handed

    # From the cursor to the trainer.

    def order_tickets(self, numbers: Iterator[int]) -> list[Ticket]:
        """Begin the blocks of the order that the cursor comes near to; return the tickets that make them."""
        self.order_is_due = False
        return [] if self._blocks is None else self._blocks.tickets(self._epoch, self._batch * self._plan.batch_size, numbers)

    def order_made(self, ticket: Ticket) -> None:
        """A block of the order is written."""
        if self._blocks is None:
            raise ProtocolError(f"a block of the order was made where the order has none: {ticket}")
        self._blocks.at(ticket.place).ready = self.order_is_due = True

    def begin_slot(self, row_ns: float, workers: int) -> Slot | None:
        """Begin to fill a free slot with the next batches; None if no slot is free, or the order of the batches is not known yet.

        Args:
            row_ns: time that one row takes.
            workers: who fill it together.
        """
        if not self._free:
            return None
        plan, first = self._plan, self._batch * self._plan.batch_size
        # The very first slot holds one batch: what a row takes is known from one warm row only, and the trainer waits.
        most = sizing.batches_per_slot(self._capacity, plan.batch_size, row_ns) if self._deliveries else 1
        batches = min(most, plan.batches - self._batch)
        block = None
        if self._blocks is not None:
            block = self._blocks.get(self._blocks.key(self._epoch, first))
            if block is None or not block.ready:
                return None
            batches = min(batches, -(-(block.first + block.rows - first) // plan.batch_size))
            block.users += 1
        self._deliveries += 1
        slot = self.slots[self._free.pop()]
        rows = (batches - 1) * plan.batch_size + plan.rows_of(self._epoch, self._batch + batches - 1)
        if block is not None and first + rows == block.first + block.rows:  # the cursor enters the next one
            self.order_is_due = True
        layout = plan.layout_of(self._epoch, self._batch)
        slot.begin(self._deliveries, self._term, self._epoch, self._batch, batches, layout, rows, block)
        workers = max(1, workers)
        early = sizing.first_ticket_rows(rows, workers, self._deliveries - self._before_jump - 1)
        slot.ticket_rows = min(early, sizing.ticket_rows(rows, row_ns, workers, len(self.slots), self._cores))
        self._filling.append(slot)
        self.latest = slot
        self._batch += batches
        if self._batch == plan.batches:
            self._epoch, self._batch = self._epoch + 1, 0
        return slot

    def finished(self, ticket: Ticket) -> None:
        """The rows of a ticket are written, given up, or not wanted any more."""
        slot = self.slots[ticket.place]
        slot.outstanding -= ticket.rows
        if not slot.outstanding:
            self._settle(slot)

    def failed(self, ticket: Ticket, good_rows: int) -> int | None:
        """Rows of a ticket are given up, from slot row `good_rows` on. Return the slot if its earliest error is this one, else None."""
        slot = self.slots[ticket.place]
        whole = good_rows // self._plan.batch_size * self._plan.batch_size
        earliest = slot.good_rows is None or whole < slot.good_rows
        if earliest:
            slot.good_rows = whole
        self.finished(ticket)
        return ticket.place if earliest else None

    def hand_over(self) -> list[Ready]:
        """Hand over to the trainer the slots whose turn it is."""
        handed: list[Ready] = []
        while self._filling and self._filling[0].state is SlotState.COMPLETE:
            slot = self._filling.popleft()
            slot.become(SlotState.HANDED)
            self._handed += 1
            size, failed = self._plan.batch_size, slot.good_rows is not None
            batches = slot.batches if slot.good_rows is None else slot.good_rows // size
            last_rows = size if failed else slot.rows - (batches - 1) * size
            handed.append(Ready(slot.number, slot.delivery, slot.term, slot.epoch, slot.first, batches, failed, last_rows, slot.layout))
        return handed

    # From the trainer.

    def released(self, record: Released) -> None:
        """The trainer gave a slot back. A second release of the same delivery changes nothing."""
        slot = self.slots[record.slot]
        old = record.delivery == ANY_BEFORE_TERM and slot.term < self._term
        if slot.state is SlotState.HANDED and (old or slot.delivery == record.delivery):
            self._set_free(slot)

    def skip(self, record: Skip) -> None:
        """Jump elsewhere. Rows of stale slots that are in tickets, in a worker's hands or waiting, must still be said to be finished."""
        self._term, self._epoch, self._batch = record.term, record.epoch, record.batch
        self.latest = None
        self._before_jump = self._deliveries
        self.order_is_due = True
        for slot in self.due:
            slot.outstanding = 0
        self.due.clear()
        filling, self._filling = self._filling, deque()
        for slot in filling:
            slot.stale = True
            slot.outstanding -= slot.rows - slot.issued
            slot.rows = slot.issued
            if not slot.outstanding:
                self._settle(slot)

    def is_stale(self, ticket: Ticket) -> bool:
        """Return whether the rows of a ticket are no longer wanted. The order is always wanted."""
        return ticket.kind is not TicketKind.ORDER and self.slots[ticket.place].stale

    def _settle(self, slot: Slot) -> None:
        if self._batch_work and not slot.transformed and not slot.stale and slot.state is SlotState.FILLING and slot.begin_batch_work():
            self.due.append(slot)
            return
        if slot.state is SlotState.FILLING:
            if slot.block is not None:
                slot.block.users -= 1
                self.order_is_due |= not slot.block.users  # it may make room
            slot.become(SlotState.COMPLETE)
        if slot.stale:
            self._set_free(slot)

    def _set_free(self, slot: Slot) -> None:
        self._handed -= slot.state is SlotState.HANDED
        slot.become(SlotState.FREE)
        self._free.append(slot.number)
