"""Where a loader is: which batch comes next, and which iterator may take it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loader.data.plan import EpochPlan
from loader.data.spec import Array
from loader.train.counter import Counter
from loader.train.inline import Inline

if TYPE_CHECKING:
    from loader.train.remote.remote import Remote


class Position:
    """The next batch of a loader, and the bookkeeping of its epochs: `begin` → `take` … → `leave`, or the last batch.

    Args:
        producer: makes the batches, in order.
        plan: batches of an epoch.
        counter: counts what is handed out.

    Attributes:
        epoch: of the next batch.
        batch: its number in the epoch.
        token: of the current iterator; one that has not begun holds 0.
    """

    def __init__(self, producer: Remote | Inline, plan: EpochPlan, counter: Counter) -> None:
        self._producer = producer
        self._plan = plan
        self._counter = counter
        self._closed = False
        self.epoch = self.batch = 0
        self.token = 1
        self._running = False  # whether an iterator is in the middle of the epoch
        self._left_at: tuple[int, int] | None = None  # where the last one was left, until something new is asked for
        self._peeked: tuple[int, int] | None = None  # where the current iterator began, if it only looks,
        self._looked: list[tuple[Array, ...]] = []  # the batches that it has seen,
        self._again: list[tuple[Array, ...]] = []  # and those that are handed out once more, the next one last

    @property
    def place(self) -> tuple[int, int]:
        """Epoch and batch that come next to who goes on from here, in this process or another.

        What was only looked at is still to come. So is the rest of an epoch that was left, perhaps in order to save the position, although
        a new iterator would not take it (`upcoming`).
        """
        return self._peeked or self._left_at or (self.epoch, self.batch)

    @property
    def upcoming(self) -> tuple[int, int]:
        """Epoch and batch that a new iterator would begin with."""
        return (self.epoch + 1, 0) if self._running and self._peeked is None else self._peeked or (self.epoch, self.batch)

    @property
    def left(self) -> int:
        """Batches that are left of the epoch."""
        return self._plan.batches - self.batch

    def begin(self, peek: bool) -> int:
        """Start an iterator: leave the epoch that another one is in the middle of. Return the token that tells iterators apart.

        Args:
            peek: whether the new one only looks.
        """
        if self._running or self._peeked is not None:
            self.leave()
        self._left_at = None
        self._peeked = (self.epoch, self.batch) if peek else None
        self.token += 1
        return self.token

    def take(self, leased: bool) -> tuple[Array, ...]:
        """Return the arrays of the next batch.

        Args:
            leased: whether small arrays, too, may lie in the slot.
        """
        arrays = self._again.pop() if self._again else self._producer.take(self.epoch, self.batch, leased=leased)
        running = self.batch + 1 < self._plan.batches
        epoch, batch = (self.epoch, self.batch + 1) if running else (self.epoch + 1, 0)
        if self._peeked is None:
            self._counter.count(len(arrays[0]), epoch, batch)
        else:
            self._looked.append(arrays)
        self._running, self.epoch, self.batch = running, epoch, batch  # last: a Ctrl-C before it has handed nothing out
        return arrays

    def leave(self, *, failed: bool = False) -> None:
        """End the epoch before its last batch; or go back to where it was, if it was only looked at.

        Args:
            failed: whether taking a batch did, so that nobody knows which one would come next.
        """
        peeked, self._peeked = self._peeked, None
        looked, self._looked = self._looked, []
        self._running = False
        self._left_at = (self.epoch, self.batch) if peeked is None else None
        self.epoch, self.batch = (self.epoch + 1, 0) if peeked is None else peeked
        if peeked is not None and not failed:
            self._again.extend(reversed(looked))
            return
        self._again.clear()
        if not self._closed:
            self._producer.skip(self.epoch)

    def move(self, epoch: int, batch: int) -> None:
        """Go on with `batch` of `epoch`. Ends all iterators. The spec is known by now, and so where the slots are that come back."""
        self.token += 1
        self._running, self._left_at, self._peeked = False, None, None
        self._looked, self._again = [], []
        self.epoch, self.batch = epoch + batch // self._plan.batches, batch % self._plan.batches
        self._producer.skip(self.epoch, self.batch)

    def close(self) -> None:
        """Hand out nothing any more, to no iterator."""
        self._closed = True
        self.token += 1
        self._looked, self._again = [], []
