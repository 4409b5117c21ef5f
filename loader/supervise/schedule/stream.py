"""Who reads, and where in the order slots are begun for them. What happens among several of them is in `streams`."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from loader.supervise.schedule.slot_pool import SlotPool
from loader.supervise.schedule.slots import Slot


@dataclass(slots=True, eq=False)
class Stream:
    """A cursor in the order: slots are begun there, one after the other, for the readers that go along.

    Attributes:
        epoch, batch: where the next slot begins.
        readers: who gets its slots.
        cutting: the slot that was begun last, whose rows are put into tickets; None before the first, and after a jump.
        begun: slots, since the start or the latest jump.
        turn: when it was dealt a ticket for the last time.
        gives_way: whether it gets fewer tickets than others, which are behind it.
        kept: whether its readers are handed nothing for a moment.
    """

    epoch: int
    batch: int
    readers: list[Reader] = field(default_factory=list)
    cutting: Slot | None = None
    begun: int = 0
    turn: int = 0
    gives_way: bool = False
    kept: bool = False

    @property
    def name(self) -> int:
        """Lowest number of its readers."""
        return min(reader.number for reader in self.readers)

    @property
    def stock(self) -> int:
        """How many slots the reader has that has the most: they are filled for it, wait for it, or are in its hands."""
        return max(reader.stock for reader in self.readers)

    def find(self, slots: Sequence[Slot], batch_size: int) -> Slot | None:
        """Return a slot with the batch at the cursor that none of its readers has; None if there is none."""
        epoch, batch = self.epoch, self.batch
        for slot in slots:
            if slot.epoch == epoch and slot.first <= batch < slot.first + slot.batches and slot.readers and not slot.stale:
                good = slot.good_rows is None or batch <= slot.first + slot.good_rows // batch_size
                if good and not any(reader.number in slot.readers for reader in self.readers):
                    return slot
        return None

    def take_back(self, pool: SlotPool) -> bool:
        """Begin once more where the latest slot was begun, if none of its readers has it, nor anybody else; return whether that is so."""
        if not all(reader.queue for reader in self.readers):
            return False
        slot = self.readers[0].queue[-1]
        if slot.readers != set(self.numbers):
            return False
        for reader in self.readers:
            reader.queue.pop()
            pool.forgo(slot, reader.number)
        self.epoch, self.batch, self.cutting = slot.epoch, slot.first, None
        return True

    def put_in_queues(self, slot: Slot, batches: int) -> None:
        """Have its readers be handed a slot that begins at the cursor, or holds the batch there, when it is complete, and go on behind it.

        Args:
            slot: has no reader of this stream yet.
            batches: of a rank in an epoch.
        """
        for reader in self.readers:
            slot.readers.add(reader.number)
            reader.queue.append(slot)
        self.batch = slot.first + slot.batches
        if not self.batch % batches:  # of the rank whose batches these are
            self.epoch, self.batch = self.epoch + 1, self.batch - batches

    @property
    def numbers(self) -> tuple[int, ...]:
        """Those of its readers."""
        return tuple(reader.number for reader in self.readers)


@dataclass(slots=True, eq=False)
class Reader:
    """A trainer.

    Attributes:
        number: unique among the readers of a supervisor.
        stream: that it goes along with.
        start: epoch and batch that it began with, or jumped to.
        term: of its latest `Skip`.
        queue: slots that it is to be handed, in order.
        held: numbers of the slots that it has, each with the term in which it got it.
        full: whether it holds as many as it may, and more are complete.
    """

    number: int
    stream: Stream
    start: tuple[int, int] = (0, 0)
    term: int = 0
    queue: deque[Slot] = field(default_factory=deque)
    held: dict[int, int] = field(default_factory=dict)
    full: bool = False

    @property
    def place(self) -> tuple[int, int]:
        """Epoch and batch that it is to be handed next."""
        first = (self.queue[0].epoch, self.queue[0].first) if self.queue else (self.stream.epoch, self.stream.batch)
        return max(first, self.start)

    @property
    def stock(self) -> int:
        """How many slots are filled for it, wait for it, or are in its hands."""
        return len(self.queue) + len(self.held)
