"""The batches in their order: which slot is filled with what next, for whom, and when it is handed over. Pure, as is the schedule, which deals rows.

A stream's cursor (epoch and batch) runs ahead of its readers. Slots are filled in its order, several at a time, and each reader is handed them in
the same order. A slot is free when the last of its readers has let go. When a reader goes elsewhere, it gets a stream of its own; the slots that are
being filled and that nobody else waits for are stale.

Readers share what they can. A stream whose cursor comes to a batch that is in a slot already, or on its way there, takes that slot for its readers
as well; when its cursor meets that of another stream, they are one from then on (`_joins_another`). A reader that is so slow that its unread slots
hold up others is set apart (`set_apart`): these slots are filled for it once more, when it comes to them, and are the same bit for bit. So that those
behind come up with those ahead, these can be made to give way (`give_way`).

Several streams take turns with the tickets, and share the slots equally. A reader is handed only some slots at a time, because what is in its hands
can't be taken back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import count
from operator import attrgetter

from loader.data.plans.epoch_plan import EpochPlan
from loader.ipc.records import ANY_BEFORE_TERM, Ready, Released, Skip, Ticket
from loader.supervise.schedule import fairness, sizing
from loader.supervise.schedule.fairness import Gap, HoldUp
from loader.supervise.schedule.sizing import Hands
from loader.supervise.schedule.slot_contents import SlotContents
from loader.supervise.schedule.slot_pool import SlotPool
from loader.supervise.schedule.slots import Slot, SlotState
from loader.supervise.schedule.stream import Reader, Stream

# Names of their own: looking up a member of an enum takes longer than what is done with it.
_COMPLETE, _HANDED = SlotState.COMPLETE, SlotState.HANDED

_GIVING_WAY = 2  # turns that a stream lets pass

_turn = attrgetter("turn")


class Streams:
    """What is in the slots, and for whom.

    Args:
        plan: batches of an epoch.
        pool: the slots.
        contents: begins slots.
        sharing: how many readers are expected, each with batches of its own; 1 if any number may come, 0 if only one is there.

    Attributes:
        cutting: the slot whose rows are put into tickets; None before the first, after a jump, and where several streams take turns.
        quota: how many slots a reader may hold.
        readers: those that there are, by number.
    """

    def __init__(self, plan: EpochPlan, pool: SlotPool, contents: SlotContents, sharing: int = 0) -> None:
        self.cutting: Slot | None = None
        self._plan = plan
        self._pool = pool
        self._slots = pool.slots
        self._contents = contents
        self._sharing = sharing
        self.readers: dict[int, Reader] = {}
        self._streams: list[Stream] = []
        self._turns = count(1)
        self.quota = len(pool.slots)

    # Readers.

    def join(self, number: int, epoch: int, batch: int) -> None:
        """A reader is there, and begins with `batch` of `epoch`."""
        reader = self.readers[number] = Reader(number, Stream(epoch, batch))
        self._begin_stream(reader, epoch, batch)
        self._set_quota()

    def company(self) -> dict[int, int]:
        """Return, for each reader that wants batches, the name of its stream."""
        return {reader.number: stream.name for stream in self._streams for reader in stream.readers}

    def leave(self, number: int) -> None:
        """A reader has gone."""
        self._depart(reader := self.readers.pop(number))
        for slot in reader.held:
            self._pool.forgo(self._slots[slot], number)
        self._set_quota()

    def retire(self, number: int) -> bool:
        """A reader wants no more, and keeps what it holds until it lets go; return whether that is anything. May be asked again."""
        self._depart(reader := self.readers[number])
        reader.term += 1  # so what it has not taken up was handed to it before
        return bool(reader.held)

    def skip(self, record: Skip) -> None:
        """A reader jumps elsewhere. What one says that has gone changes nothing, here and below: another thread of it may have been late."""
        if (reader := self.readers.get(record.reader)) is not None:
            reader.term = record.term
            self._depart(reader)
            self._begin_stream(reader, record.epoch, record.batch)

    def released(self, record: Released) -> None:
        """A reader gave a slot back. A second release of the same delivery changes nothing."""
        number, delivery, name = record
        reader = self.readers.get(name)
        if reader is not None and (term := reader.held.get(number)) is not None:
            slot = self._slots[number]
            if slot.delivery == delivery or (delivery == ANY_BEFORE_TERM and term < reader.term):
                del reader.held[number]
                slot.readers.remove(name)
                if not slot.readers:
                    self._pool.set_free(slot)
                self._pool.any_complete |= reader.full

    def hold_up(self, waiting: Collection[int]) -> HoldUp | None:
        """Return the reader whose unread slots keep one of those that are `waiting` from going on; None where nobody is kept."""
        return fairness.hold_up(self._streams, self._pool, waiting, self.quota)

    def gaps(self) -> list[Gap]:
        """Return the gaps between streams, the hindmost first; none as long as all share what they read."""
        return fairness.gaps(self._streams, self._plan.batches) if len(self._streams) > 1 else []

    def give_way(self, ahead: Collection[int], kept: Collection[int]) -> None:
        """Let those that are behind come up. Holds until somebody leaves a stream, or this is called again.

        Args:
            ahead: readers whose streams get one ticket for three of those behind them, if there are not enough for both.
            kept: those of them that are handed nothing, as soon as they have no more than their share of the slots.
        """
        share = len(self._slots) // max(1, len(self._streams))
        for stream in self._streams:
            number = stream.readers[0].number
            stream.gives_way = number in ahead
            if stream.kept is not (keep := number in kept and stream.stock <= share):
                stream.kept = keep
                self._pool.any_complete = True

    def set_apart(self, number: int) -> None:
        """Give a reader a stream of its own, from the batch that it is to be handed next."""
        reader = self.readers[number]
        epoch, batch = reader.place
        self._depart(reader)
        self._begin_stream(reader, epoch, batch)

    def _begin_stream(self, reader: Reader, epoch: int, batch: int) -> None:
        stream = reader.stream = Stream(epoch, batch, [reader], turn=next(self._turns))
        reader.start = epoch, batch
        self._streams.append(stream)
        fairness.make_room(self._streams, self._pool)
        self.cutting = None
        self._pool.order_is_due = True

    def _depart(self, reader: Reader) -> None:
        """Take a reader out of its stream, which ends if nobody is left there; it waits for nothing any more."""
        stream = reader.stream
        if reader not in stream.readers:  # it has retired
            return
        stream.readers.remove(reader)
        self.cutting = None
        self._pool.order_is_due = True
        while reader.queue:
            self._pool.forgo(reader.queue.popleft(), reader.number)
        if not stream.readers:
            self._streams.remove(stream)
            self._contents.leave_behind(stream.cutting)
        self.give_way((), ())

    def _set_quota(self) -> None:
        if self._sharing:
            self.quota, self._pool.any_complete = sizing.quota(len(self._slots), len(self.readers), self._sharing), True

    # From the cursors to the readers.

    def order_tickets(self, numbers: Iterator[int]) -> list[Ticket]:
        """Begin the blocks of the order that the cursors come near to; return the tickets that make them."""
        return self._contents.order_tickets(self._streams, numbers)

    def next_slot(self, hands: Hands) -> Slot | None:
        """Return a slot with rows that are in no ticket, or begin one, for these to fill.

        None if no slot is free, or the order of the batches is not known yet.
        """
        contents, streams = self._contents, self._streams
        if (slot := contents.left_behind()) is not None:
            return slot
        if len(streams) == 1:
            self.cutting = slot = contents.begin(streams[0], hands)
            return slot
        self.cutting = None
        for stream in sorted(streams, key=_turn):
            if not self._joins_another(stream) and (slot := contents.begin(stream, hands, self._most(stream))) is not None:
                stream.turn = next(self._turns) + stream.gives_way * _GIVING_WAY
                return slot
        return None

    def _most(self, stream: Stream) -> int:
        """Return how many slots a stream may have: its share; and where ranks share the slots, which never meet, also what the shares leave over."""
        share, ranks = len(self._slots) // len(self._streams), self._sharing > 1
        if ranks and stream.stock >= share and len(self._pool.free) > fairness.due_to_others(self._streams, stream, share):
            return stream.stock + 1
        return share

    def _joins_another(self, stream: Stream) -> bool:
        """Take along the slots that a stream comes to, and make it a part of the stream that it meets; return whether it has met one."""
        share = len(self._slots) // len(self._streams)
        while stream.stock < share and (slot := stream.find(self._slots, self._plan.batch_size)) is not None:
            stream.put_in_queues(slot, self._plan.batches)
            self._pool.any_complete = self._pool.order_is_due = True
        if stream.cutting is not None and stream.cutting.issued < stream.cutting.rows:
            return False
        share = len(self._slots) // max(1, len(self._streams) - 1)
        for other in self._streams:
            met = other is not stream and (other.epoch, other.batch) == (stream.epoch, stream.batch)
            if met and max(stream.stock, other.stock) < share:  # or one of them would hold up the other at once
                for reader in stream.readers:
                    reader.stream = other
                other.readers += stream.readers
                self._streams.remove(stream)
                self.give_way((), ())
                return True
        return False

    def hand_over(self) -> list[Ready]:
        """Hand over to each reader the slots whose turn it is."""
        pool, size, quota = self._pool, self._plan.batch_size, self.quota
        pool.any_complete = False
        handed: list[Ready] = []
        for reader in self.readers.values():
            queue, held, reader.full = reader.queue, reader.held, False
            if reader.stream.kept:
                continue
            while queue and (slot := queue[0]).state >= _COMPLETE:
                if len(held) >= quota:
                    reader.full = True
                    break
                batches, last_rows, failed = slot.batches, slot.rows - (slot.batches - 1) * size, False
                if slot.good_rows is not None:
                    batches, last_rows, failed = slot.good_rows // size, size, True
                    if (slot.epoch, slot.first + batches) < reader.start:  # another reader's batch failed, before those that this one is to get
                        self.set_apart(reader.number)
                        break
                queue.popleft()
                if slot.state is _COMPLETE:
                    slot.become(_HANDED)
                held[slot.number] = term = reader.term
                handed.append(Ready(slot.number, slot.delivery, term, slot.epoch, slot.first, batches, failed, last_rows, slot.layout, reader.number))
        return handed
