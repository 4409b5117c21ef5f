"""The slots, from the free list and back to it: what workers report about their rows, and when nobody wants one any more. Pure."""

from __future__ import annotations

from collections import deque

from loader.ipc.records import Ticket, TicketKind
from loader.supervise.schedule.slots import Slot, SlotState

# Names of their own: looking up a member of an enum takes longer than what is done with it.
_COMPLETE, _HANDED = SlotState.COMPLETE, SlotState.HANDED


class SlotPool:
    """All slots.

    Args:
        slots: how many.
        batch_size: rows of a full batch.
        batch_work: whether batch transforms run on the batches of a slot once its rows are written.

    Attributes:
        slots: by number.
        free: numbers of those that nobody has; last in, first out: the most recent one is still in the cache.
        due: those whose batch transforms are to be put into a ticket.
        any_complete: whether there may be something to hand over.
        order_is_due: whether a block of the order may have to be begun.
    """

    def __init__(self, slots: int, batch_size: int, batch_work: bool = False) -> None:
        self.slots = [Slot(number) for number in range(slots)]
        self.free = [slot.number for slot in reversed(self.slots)]
        self.due: deque[Slot] = deque()
        self.any_complete = False
        self.order_is_due = True
        self._batch_size = batch_size
        self._batch_work = batch_work
        self._filled = 0

    def counts(self) -> tuple[int, int, int]:
        """Return the numbers of slots that are free, being filled, and filled: in the hands of readers, or waiting for their turn."""
        free = len(self.free)
        return free, len(self.slots) - free - self._filled, self._filled

    # From the workers.

    def finished(self, ticket: Ticket) -> None:
        """The rows of a ticket are written, given up, or not wanted any more."""
        slot = self.slots[ticket.place]
        slot.outstanding -= ticket.rows
        if not slot.outstanding:
            self._settle(slot)

    def failed(self, ticket: Ticket, good_rows: int) -> int | None:
        """Rows of a ticket are given up, from slot row `good_rows` on. Return the slot if its earliest error is this one, else None."""
        slot = self.slots[ticket.place]
        whole = good_rows // self._batch_size * self._batch_size
        earliest = slot.good_rows is None or whole < slot.good_rows
        if earliest:
            slot.good_rows = whole
        self.finished(ticket)
        return ticket.place if earliest else None

    def is_stale(self, ticket: Ticket) -> bool:
        """Return whether the rows of a ticket are no longer wanted. The order is always wanted."""
        return ticket.kind is not TicketKind.ORDER and self.slots[ticket.place].stale

    # From the readers.

    def forgo(self, slot: Slot, reader: int) -> None:
        """A reader does not want a slot any more. When nobody does, it is free, as soon as no worker has tickets for it.

        Rows of stale slots that are in tickets, in a worker's hands or waiting, must still be said to be finished.
        """
        slot.readers.remove(reader)
        if slot.readers:
            return
        if slot.state is _HANDED:
            self.set_free(slot)
            return
        slot.stale = True
        if slot in self.due:
            self.due.remove(slot)
            slot.outstanding = 0
        else:
            slot.outstanding -= slot.rows - slot.issued
            slot.rows = slot.issued
        if not slot.outstanding:
            self._settle(slot)

    def _settle(self, slot: Slot) -> None:
        if self._batch_work and not slot.transformed and not slot.stale and slot.state is SlotState.FILLING and slot.begin_batch_work():
            self.due.append(slot)
            return
        if slot.state is SlotState.FILLING:
            if slot.block is not None:
                slot.block.users -= 1
                self.order_is_due |= not slot.block.users  # it may make room
            slot.become(_COMPLETE)
            self._filled += 1
            self.any_complete = True
        if slot.stale:
            self.set_free(slot)

    def set_free(self, slot: Slot) -> None:
        """Nobody has a slot any more."""
        self._filled -= 1
        slot.become(SlotState.FREE)
        self.free.append(slot.number)
