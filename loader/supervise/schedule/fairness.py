"""What each stream and each reader may have of the slots, and who keeps whom from going on. Pure functions of streams and slots."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import NamedTuple

from loader.supervise.schedule.slot_pool import SlotPool
from loader.supervise.schedule.stream import Reader, Stream

LEAST = 2
"""Slots of a reader: it may hold a batch until it has the next one."""

_stock = attrgetter("stock")


class HoldUp(NamedTuple):
    """A reader that holds up others.

    Attributes:
        reader: which.
        delivery: that it does not take; another one when it has gone on.
    """

    reader: int
    delivery: int


class Gap(NamedTuple):
    """Two streams that follow each other in the order.

    Attributes:
        behind: readers of the one.
        ahead: readers of the other.
        batches: from where slots are begun for those behind to what those ahead are handed next; at most 0 if those behind find it in its slots.
    """

    behind: tuple[int, ...]
    ahead: tuple[int, ...]
    batches: int


def has_room(readers: Collection[Reader], slots: int, awaited: int = 0) -> bool:
    """Return whether another reader could have two slots, even if those that are there let go of none, and some that are awaited come, too."""
    return sum(max(LEAST, len(reader.held)) for reader in readers) + LEAST * (awaited + 1) <= slots


def due_to_others(streams: Sequence[Stream], stream: Stream, share: int) -> int:
    """Return how many slots all but one stream lack of their share."""
    return sum(max(0, share - other.stock) for other in streams if other is not stream)


def make_room(streams: Sequence[Stream], pool: SlotPool) -> None:
    """Take back from streams that have more than their share what a new one needs to begin at once, so that it need not wait until that is read."""
    share = len(pool.slots) // len(streams)
    for _ in range(LEAST - len(pool.free)):
        fullest = max(streams, key=_stock)
        if fullest.stock <= share or not fullest.take_back(pool):
            return


def hold_up(streams: Sequence[Stream], pool: SlotPool, waiting: Collection[int], quota: int) -> HoldUp | None:
    """Return the reader whose unread slots keep another one from going on; None where nobody is kept.

    Args:
        streams: all of them.
        pool: the slots.
        waiting: readers that wait for a batch.
        quota: how many slots a reader may hold.
    """
    if not (waiting and streams):
        return None
    share = len(pool.slots) // len(streams)
    for stream in streams:
        kept = [reader for reader in stream.readers if reader.number in waiting and not reader.queue]
        if kept and (not pool.free or stream.stock >= share):
            crowd = [reader for other in streams if other.stock > share for reader in other.readers if reader.queue]
            slow = [reader for reader in (*stream.readers, *crowd) if len(reader.held) >= quota and reader not in kept]
            if slowest := max(slow, key=_stock, default=None):
                return HoldUp(slowest.number, pool.slots[next(iter(slowest.held))].delivery)
    return None


def gaps(streams: Sequence[Stream], batches: int) -> list[Gap]:
    """Return the gaps between each stream and the next one in the order of the same rank, the hindmost first.

    Args:
        streams: all of them.
        batches: of a rank in an epoch.
    """
    placed = sorted(((*_place(stream.epoch, stream.batch, batches), number) for number, stream in enumerate(streams)))
    found: list[Gap] = []
    for (rank, cursor, behind), (rank_ahead, _, ahead) in pairwise(placed):
        if rank == rank_ahead:
            first = min(_place(*reader.place, batches)[1] for reader in streams[ahead].readers)
            found.append(Gap(streams[behind].numbers, streams[ahead].numbers, first - cursor))
    return found


def _place(epoch: int, batch: int, batches: int) -> tuple[int, int]:
    """Return a rank, and how many batches of its it is from the first one of epoch 0."""
    rank, batch = divmod(batch, batches)
    return rank, epoch * batches + batch
