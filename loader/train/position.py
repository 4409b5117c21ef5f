"""Where a loader is: which batch comes next, and which iterator may take it."""

from __future__ import annotations

import time
from enum import Enum, auto

from loader.data.plans.epoch_plan import EpochPlan
from loader.data.plans.plan_facts import PlanFacts
from loader.data.spec import Array
from loader.ipc.board import TrainerCell
from loader.measure.meter import Meter
from loader.train.producer import Producer

# As plain numbers: looking up a member of an enum takes longer than writing to its cell.
_BATCHES, _SAMPLES = int(TrainerCell.BATCHES), int(TrainerCell.SAMPLES)
_EPOCH, _BATCH = int(TrainerCell.EPOCH_GAUGE), int(TrainerCell.BATCH_GAUGE)


class Stage(Enum):
    """How far the newest iterator is in its epoch."""

    OUTSIDE = auto()
    """It has taken the last batch, or was abandoned; or there was none yet."""
    BEGUN = auto()
    """It has begun, and has taken nothing."""
    INSIDE = auto()
    """It has taken a batch that was not the last one."""


class Position:
    """Moves the cursor of a loader and keeps track of its epochs: `begin` → `take` … → `leave`, or the last batch.

    It also counts what is handed out, and shows that and the cursor on the board. That is done for each batch, so it writes to the cells itself:
    through `Cells` it would take three times as long.

    Args:
        producer: makes the batches, in order, at its cursor.
        plan: batches of an epoch.
        meter: remembers what the counters were.

    Attributes:
        stage: of the newest iterator.
        token: of the newest iterator; no other one may continue.
    """

    def __init__(self, producer: Producer, plan: EpochPlan | PlanFacts, meter: Meter) -> None:
        self._producer = producer
        self._cursor = producer.cursor
        self._plan = plan
        self._meter = meter
        self._cells = producer.cells.raw
        self._batches = self._samples = 0
        self._next_look = 0.0
        self._closed = False
        self.stage = Stage.OUTSIDE
        self.token = 0
        self._left_at: tuple[int, int] | None = None  # where the newest iterator was abandoned, until something new is asked for
        self._peeked: tuple[int, int] | None = None  # where it began, if it only looks,
        self._looked: list[tuple[Array, ...]] = []  # the batches that it has seen,
        self._again: list[tuple[Array, ...]] = []  # and those that are handed out once more, the next one last

    @property
    def place(self) -> tuple[int, int]:
        """Epoch and batch that come next for whoever continues from here, in this process or another.

        What was only looked at is still to come. So is the rest of an epoch that was abandoned, perhaps in order to save the position, although
        a new iterator would not take it (`upcoming`).
        """
        return self._peeked or self._left_at or self._here

    @property
    def upcoming(self) -> tuple[int, int]:
        """Epoch and batch that a new iterator would begin with."""
        return self._peeked or ((self._cursor.epoch + 1, 0) if self.stage is Stage.INSIDE else self._here)

    @property
    def _here(self) -> tuple[int, int]:
        return self._cursor.epoch, self._cursor.batch

    def begin(self, peek: bool) -> int:
        """Start an iterator: leave the epoch that another one is in the middle of. Return the token that tells iterators apart.

        Args:
            peek: whether the new one only looks.
        """
        if self.stage is Stage.INSIDE or self._peeked is not None:
            self.leave()
        self._left_at = None
        self._peeked = self._here if peek else None
        self.stage = Stage.BEGUN
        self.token += 1
        return self.token

    def take(self, leased: bool) -> tuple[Array, ...]:
        """Return the arrays of the next batch.

        Args:
            leased: whether small arrays, too, may lie in the slot.
        """
        arrays = self._again.pop() if self._again else self._producer.take(leased)
        cursor = self._cursor
        epoch, batch, stage = cursor.epoch, cursor.batch + 1, Stage.INSIDE
        if batch == self._plan.batches:
            epoch, batch, stage = epoch + 1, 0, Stage.OUTSIDE
        if self._peeked is None:
            cells = self._cells
            self._batches = cells[_BATCHES] = self._batches + 1
            self._samples = cells[_SAMPLES] = self._samples + len(arrays[0])
            cells[_EPOCH], cells[_BATCH] = epoch, batch
            now = time.monotonic()
            if now >= self._next_look:
                self._next_look = self._meter.look(now)
        else:
            self._looked.append(arrays)
        self.stage, cursor.epoch, cursor.batch = stage, epoch, batch  # last: a Ctrl-C before it has handed nothing out
        return arrays

    def leave(self, *, failed: bool = False) -> None:
        """End the epoch before its last batch; or go back to its start, if this iterator only looked. Outside an epoch, do nothing.

        Args:
            failed: whether taking a batch did, so that nobody knows which one would come next.
        """
        if self.stage is Stage.OUTSIDE and self._peeked is None:
            return
        peeked, self._peeked = self._peeked, None
        looked, self._looked = self._looked, []
        self.stage = Stage.OUTSIDE
        self._left_at = self._here if peeked is None else None
        self._go_to(*(peeked or (self._cursor.epoch + 1, 0)))
        if peeked is not None and not failed:
            self._again.extend(reversed(looked))
            return
        self._again.clear()
        if not self._closed:
            self._producer.skip()

    def move(self, epoch: int, batch: int) -> None:
        """Continue with `batch` of `epoch`. Ends all iterators. The spec is known by now, and so is where the slots are that come back."""
        self.token += 1
        self.stage = Stage.OUTSIDE
        self._left_at = self._peeked = None
        self._looked, self._again = [], []
        self._go_to(epoch + batch // self._plan.batches, batch % self._plan.batches)
        self._producer.skip()

    def close(self) -> None:
        """Hand out nothing more, to any iterator."""
        self._closed = True
        self.token += 1
        self._looked, self._again = [], []

    def show(self) -> None:
        """Show the cursor on the board, as `take` does: it may have been moved since. Not in a fork, whose board is the parent's, too."""
        self._cells[_EPOCH], self._cells[_BATCH] = self._here

    def _go_to(self, epoch: int, batch: int) -> None:
        self._cursor.epoch, self._cursor.batch = epoch, batch
