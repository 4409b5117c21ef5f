"""Blocks of the order: each is made once, by one worker, and read by all (docs/design.md)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from loader.data.plans.epoch_plan import EpochPlan
from loader.ipc.records import Ticket, TicketKind

# More than anybody trains for: the blocks of one rank come before those of the next one.
_EPOCHS = 2**48


@dataclass(slots=True)
class Block:
    """One block of an epoch's order.

    Attributes:
        place: where in the arena.
        epoch: of which epoch.
        first: its first row in the epoch.
        rows: how many.
        ready: whether it is written.
        users: slots being filled that read it.
    """

    place: int
    epoch: int
    first: int
    rows: int
    ready: bool = False
    users: int = 0


class Blocks:
    """Which blocks exist, and where.

    A block is made when a cursor comes near, and forgotten when no cursor is near any more and no slot reads it. Where the plan has the batches of
    several ranks (`RankBatches`), each block has rows of one of them.

    Args:
        plan: the rows of an epoch.
        rows: in a full block; a multiple of the batch size.
        places: in the arena.
    """

    def __init__(self, plan: EpochPlan, rows: int, places: int) -> None:
        self._plan = plan
        self._rows = rows
        self._per_epoch = -(-plan.rows // rows)
        self._per_rank = plan.batches * plan.batch_size
        self._free = list(range(places))
        self._blocks: dict[int, Block] = {}

    def key(self, epoch: int, row: int) -> int:
        """Return the number of the block that holds `row` of `epoch`: the one after it, of this epoch or the next, has the next number."""
        step, row = divmod(row, self._per_rank)
        return (step * _EPOCHS + epoch) * self._per_epoch + row // self._rows

    def get(self, key: int) -> Block | None:
        """Return a block that exists or is being made."""
        return self._blocks.get(key)

    def at(self, place: int) -> Block:
        """Return the block at a place."""
        return next(block for block in self._blocks.values() if block.place == place)

    def tickets(self, cursors: Sequence[tuple[int, int]], numbers: Iterator[int]) -> list[Ticket]:
        """Begin the blocks that are wanted; return the tickets that make them.

        Args:
            cursors: epoch, and row of it that is dealt next, of each stream.
            numbers: for the tickets.
        """
        keys = [self.key(epoch, row) for epoch, row in cursors]
        self.forget(keys)
        tickets: list[Ticket] = []
        while block := self.wanted(keys):
            tickets.append(Ticket(next(numbers), TicketKind.ORDER, block.place, block.epoch, block.first, block.rows))
        return tickets

    def wanted(self, cursors: Sequence[int]) -> Block | None:
        """Begin the block at a cursor, or the one after it; return it, to be made now, or None if all exist or no place is free.

        A block at a cursor may take the place of one that is only ahead of another: as many places as cursors are enough, whoever pauses where.
        """
        for key in (*cursors, *(cursor + 1 for cursor in cursors)):
            if key in self._blocks:
                continue
            if not self._free and key in cursors:
                self.forget(cursors, ahead=0)
            if self._free:
                epochs, number = divmod(key, self._per_epoch)
                step, epoch = divmod(epochs, _EPOCHS)
                first = number * self._rows
                block = Block(self._free.pop(), epoch, step * self._per_rank + first, min(self._rows, self._plan.rows - first))
                self._blocks[key] = block
                return block
        return None

    def forget(self, cursors: Sequence[int], ahead: int = 1) -> None:
        """Free the places of blocks that nobody will read: behind the cursors, or more than `ahead` blocks ahead of each, as after a skip."""
        kept = {cursor + step for cursor in cursors for step in range(ahead + 1)}
        for key, block in list(self._blocks.items()):
            if block.ready and not block.users and key not in kept:
                del self._blocks[key]
                self._free.append(block.place)
