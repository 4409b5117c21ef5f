"""The batches in their order: which slot is filled with what next, for whom, and when it is handed over. Pure, as is the schedule, which deals rows.

A stream's cursor (epoch and batch) runs ahead of its readers. Slots are filled in its order, several at a time, and each reader is handed them in
the same order. When a reader goes elsewhere, its stream does; the slots that are being filled and that nobody else waits for are stale.

Several streams take turns with the tickets, and share the slots equally: a fast reader must not wait because a slow one has all of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import count
from operator import attrgetter

from loader.data.plans.epoch_plan import EpochPlan
from loader.errors import ProtocolError
from loader.ipc.records import ANY_BEFORE_TERM, Ready, Released, Skip, Ticket, TicketKind
from loader.supervise.schedule import sizing
from loader.supervise.schedule.blocks import Blocks
from loader.supervise.schedule.slots import Slot, SlotState
from loader.supervise.schedule.stream import Reader, Stream

# Names of their own: looking up a member of an enum takes longer than what is done with it.
_COMPLETE, _HANDED = SlotState.COMPLETE, SlotState.HANDED

_turn = attrgetter("turn")


class Streams:
    """The slots, what is in them, and for whom.

    Args:
        plan: batches of an epoch.
        slots: number of slots; two for each stream at least, since a reader may hold a batch until it has the next one.
        capacity: batches that a slot can hold.
        blocks: blocks of the order, or None where it is sequential.
        cores: that the workers share.
        batch_work: whether batch transforms run on the batches of a slot once its rows are written.

    Attributes:
        slots: all of them, by number.
        due: those whose batch transforms are to be put into a ticket.
        cutting: the slot whose rows are put into tickets; None before the first, after a jump, and where several streams take turns.
        order_is_due: whether a block of the order may have to be begun.
        any_complete: whether there may be something to hand over.
    """

    def __init__(self, plan: EpochPlan, slots: int, capacity: int, blocks: Blocks | None, cores: int, batch_work: bool = False) -> None:
        self.slots = [Slot(number) for number in range(slots)]
        self.due: deque[Slot] = deque()
        self.cutting: Slot | None = None
        self.order_is_due = blocks is not None
        self._batch_work = batch_work
        self._plan = plan
        self._capacity = capacity
        self._blocks = blocks
        self._cores = cores
        self._free = [slot.number for slot in reversed(self.slots)]  # last in, first out: the most recent one is still in the cache
        self._readers: dict[int, Reader] = {}
        self._streams: list[Stream] = []
        self._turns = count(1)
        self.any_complete = False
        self._handed = 0
        self._deliveries = 0

    def counts(self) -> tuple[int, int, int]:
        """Return the numbers of slots that are free, filling (or waiting for their turn), and handed to readers."""
        free = len(self._free)
        return free, len(self.slots) - free - self._handed, self._handed

    # Readers.

    def join(self, number: int, epoch: int, batch: int) -> None:
        """A reader is there, and begins with `batch` of `epoch`."""
        stream = Stream(epoch, batch)
        reader = self._readers[number] = Reader(number, stream)
        stream.readers.append(reader)
        self._streams.append(stream)
        self.cutting = None
        self.order_is_due = True

    def leave(self, number: int) -> None:
        """A reader has gone. Rows of stale slots that are in tickets, in a worker's hands or waiting, must still be said to be finished."""
        reader = self._readers.pop(number)
        self._streams.remove(reader.stream)
        self.cutting = None
        self.order_is_due = True
        self._empty_queue(reader)
        for slot in reader.held:
            self._forgo(reader, self.slots[slot])

    def skip(self, record: Skip) -> None:
        """A reader jumps elsewhere. The same holds for stale slots as when it has gone."""
        reader = self._readers[record.reader]
        reader.term = record.term
        reader.stream.jump(record.epoch, record.batch)
        self.cutting = None
        self.order_is_due = True
        self._empty_queue(reader)

    def released(self, record: Released) -> None:
        """A reader gave a slot back. A second release of the same delivery changes nothing."""
        number, delivery, name = record
        reader = self._readers[name]
        term = reader.held.get(number)
        if term is not None:
            slot = self.slots[number]
            if slot.delivery == delivery or (delivery == ANY_BEFORE_TERM and term < reader.term):
                del reader.held[number]
                slot.readers.remove(name)
                if not slot.readers:
                    self._set_free(slot)

    # From the cursors to the readers.

    def order_tickets(self, numbers: Iterator[int]) -> list[Ticket]:
        """Begin the blocks of the order that the cursors come near to; return the tickets that make them."""
        self.order_is_due = False
        if self._blocks is None:
            return []
        return self._blocks.tickets([(stream.epoch, stream.batch * self._plan.batch_size) for stream in self._streams], numbers)

    def order_made(self, ticket: Ticket) -> None:
        """A block of the order is written."""
        if self._blocks is None:
            raise ProtocolError(f"a block of the order was made where the order has none: {ticket}")
        self._blocks.at(ticket.place).ready = self.order_is_due = True

    def next_slot(self, row_ns: float, workers: int) -> Slot | None:
        """Return a slot with rows that are in no ticket, or begin one; None if no slot is free, or the order of the batches is not known yet.

        Args:
            row_ns: time that one row takes.
            workers: who fill it together.
        """
        if len(self._streams) == 1:
            self.cutting = slot = self._begin(self._streams[0], row_ns, workers)
            return slot
        self.cutting = None
        for stream in sorted(self._streams, key=_turn):
            if (slot := self._begin(stream, row_ns, workers)) is not None:
                stream.turn = next(self._turns)
                return slot
        return None

    def _begin(self, stream: Stream, row_ns: float, workers: int) -> Slot | None:
        """Begin the next slot of a stream, if all rows of the one before are in tickets; return the one whose rows are next."""
        if (before := stream.cutting) is not None and before.issued < before.rows:
            return before
        if not self._free or (len(self._streams) > 1 and stream.stock >= len(self.slots) // len(self._streams)):
            return None
        plan, first = self._plan, stream.batch * self._plan.batch_size
        # The very first slot holds one batch: what a row takes is known from one warm row only, and the trainer waits.
        most = sizing.batches_per_slot(self._capacity, plan.batch_size, row_ns) if self._deliveries else 1
        batches = min(most, plan.batches - stream.batch)
        block = None
        if self._blocks is not None:
            block = self._blocks.get(self._blocks.key(stream.epoch, first))
            if block is None or not block.ready:
                return None
            batches = min(batches, -(-(block.first + block.rows - first) // plan.batch_size))
            block.users += 1
        self._deliveries += 1
        slot = self.slots[self._free.pop()]
        rows = (batches - 1) * plan.batch_size + plan.rows_of(stream.epoch, stream.batch + batches - 1)
        if block is not None and first + rows == block.first + block.rows:  # the cursor enters the next one
            self.order_is_due = True
        slot.begin(self._deliveries, stream.epoch, stream.batch, batches, plan.layout_of(stream.epoch, stream.batch), rows, block)
        workers = max(1, workers)
        slot.ticket_rows = sizing.ticket_rows(rows, row_ns, workers, len(self.slots), self._cores)
        if stream.begun < workers:  # from then on, it would be all rows
            slot.ticket_rows = min(slot.ticket_rows, sizing.first_ticket_rows(rows, workers, stream.begun))
        for reader in stream.readers:
            slot.readers.add(reader.number)
            reader.queue.append(slot)
        stream.cutting = slot
        stream.begun += 1
        stream.batch += batches
        if stream.batch == plan.batches:
            stream.epoch, stream.batch = stream.epoch + 1, 0
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
        """Hand over to each reader the slots whose turn it is."""
        self.any_complete = False
        handed: list[Ready] = []
        size = self._plan.batch_size
        for reader in self._readers.values():
            queue, term = reader.queue, reader.term
            while queue and queue[0].state >= _COMPLETE:
                slot = queue.popleft()
                if slot.state is _COMPLETE:
                    slot.become(_HANDED)
                    self._handed += 1
                reader.held[slot.number] = term
                failed = slot.good_rows is not None
                batches = slot.batches if slot.good_rows is None else slot.good_rows // size
                last_rows = size if failed else slot.rows - (batches - 1) * size
                handed.append(Ready(slot.number, slot.delivery, term, slot.epoch, slot.first, batches, failed, last_rows, slot.layout, reader.number))
        return handed

    def is_stale(self, ticket: Ticket) -> bool:
        """Return whether the rows of a ticket are no longer wanted. The order is always wanted."""
        return ticket.kind is not TicketKind.ORDER and self.slots[ticket.place].stale

    # From the readers.

    def _empty_queue(self, reader: Reader) -> None:
        queue, reader.queue = reader.queue, deque()
        for slot in queue:
            self._forgo(reader, slot)

    def _forgo(self, reader: Reader, slot: Slot) -> None:
        """A reader does not want a slot any more. If nobody does, it is free, as soon as no worker has tickets for it."""
        slot.readers.remove(reader.number)
        if slot.readers:
            return
        if slot.state is _HANDED:
            self._set_free(slot)
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
            self.any_complete = True
        if slot.stale:
            self._set_free(slot)

    def _set_free(self, slot: Slot) -> None:
        self._handed -= slot.state is _HANDED
        slot.become(SlotState.FREE)
        self._free.append(slot.number)
