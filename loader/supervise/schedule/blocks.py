"""Blocks of the order: each is made once, by one worker, and read by all (docs/design.md)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from loader.data.plans.epoch_plan import EpochPlan
from loader.ipc.records import Ticket, TicketKind


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

    A block is made when the cursor comes near, and forgotten when the cursor has left it and no slot reads it any more.

    Args:
        plan: the rows of an epoch.
        rows: in a full block; a multiple of the batch size.
        places: in the arena.
    """

    def __init__(self, plan: EpochPlan, rows: int, places: int) -> None:
        self._plan = plan
        self._rows = rows
        self._per_epoch = -(-plan.rows // rows)
        self._free = list(range(places))
        self._blocks: dict[int, Block] = {}

    def key(self, epoch: int, row: int) -> int:
        """Return the number of the block that holds `row` of `epoch`, counted from the first block of epoch 0."""
        return epoch * self._per_epoch + row // self._rows

    def get(self, key: int) -> Block | None:
        """Return a block that exists or is being made."""
        return self._blocks.get(key)

    def at(self, place: int) -> Block:
        """Return the block at a place."""
        return next(block for block in self._blocks.values() if block.place == place)

    def tickets(self, epoch: int, row: int, numbers: Iterator[int]) -> list[Ticket]:
        """Begin the blocks that are wanted when rows from `row` of `epoch` are dealt next; return the tickets that make them."""
        cursor = self.key(epoch, row)
        self.forget(cursor)
        tickets: list[Ticket] = []
        while block := self.wanted(cursor):
            tickets.append(Ticket(next(numbers), TicketKind.ORDER, block.place, block.epoch, block.first, block.rows))
        return tickets

    def wanted(self, cursor: int) -> Block | None:
        """Begin the block at the cursor, or the one after it; return it, to be made now, or None if both exist or no place is free."""
        for key in (cursor, cursor + 1):
            if key not in self._blocks and self._free:
                epoch, number = divmod(key, self._per_epoch)
                first = number * self._rows
                block = Block(self._free.pop(), epoch, first, min(self._rows, self._plan.rows - first))
                self._blocks[key] = block
                return block
        return None

    def forget(self, cursor: int) -> None:
        """Free the places of blocks that nobody will read: behind the cursor, or far ahead of it after a skip."""
        for key, block in list(self._blocks.items()):
            if block.ready and not block.users and key not in (cursor, cursor + 1):
                del self._blocks[key]
                self._free.append(block.place)
