"""What a plan is asked: by the supervisor for the rows that a batch has and how they lie in a slot, by the workers for the samples in them.

A plan numbers the rows that this rank delivers in an epoch ("rows of the plan"): batch b begins at row `b × batch_size`. Nothing in it depends on
what has happened before.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import copy
from dataclasses import dataclass, field
from typing import ClassVar

from loader.data.order import Order
from loader.data.rows import Indices


@dataclass(frozen=True)
class EpochPlan(ABC):
    """The batches of any epoch of one rank.

    Attributes:
        order: of what is shuffled.
        batch_size: rows of a full batch of this rank, or of the largest one.
        drop_last: leave out the last batch if it is not full.
        rank: of this process, 0 ≤ rank < world.
        world: number of ranks.
        batches: in an epoch.
        rows: the number after that of the last row of an epoch.
        left_out: how many samples or files no rank delivers in an epoch, those that are `dropped` included.
        one_size: whether all batches but the last one of an epoch have `batch_size` rows.
        has_partial: whether any batch has fewer than `batch_size` rows.
        unit: what the order is one of, and `left_out` counts.
    """

    unit: ClassVar[str] = "samples"

    order: Order
    batch_size: int
    drop_last: bool = False
    rank: int = 0
    world: int = 1
    batches: int = field(init=False)
    rows: int = field(init=False)
    left_out: int = field(init=False)
    one_size: bool = field(init=False)
    has_partial: bool = field(init=False)

    def for_rank(self, rank: int) -> EpochPlan:
        """Return the batches of another rank. The plans share what they know of the samples."""
        plan = copy(self)
        object.__setattr__(plan, "rank", rank)
        return plan

    def rank_and_batch(self, batch: int) -> tuple[int, int]:
        """Return whose batch number `batch` of this plan is, and its number among those of that rank in the epoch."""
        return self.rank, batch

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """Rows of a full batch, for each layout that batches can have."""
        return (self.batch_size,)

    @property
    def by_length(self) -> bool:
        """Whether samples of similar length come together, and so not in the order of the source."""
        return False

    def layout_of(self, epoch: int, batch: int) -> int:
        """Return the number of the layout that a batch has."""
        return 0

    def fellows(self, index: int) -> Indices | None:
        """Return the samples, in ascending order and itself included, of which any may take the place of sample `index`; None: all."""
        return None

    @property
    def shared(self) -> int:
        """How many samples or files the ranks share in an epoch."""
        return self.order.samples

    @property
    def whole_batches(self) -> int:
        """How many batches an epoch has without those that `drop_last` would leave out; 0 where there is no such thing."""
        return 0

    @property
    def mean_rows(self) -> float:
        """Rows of a batch, on average."""
        return (self.samples - self.left_out) / self.world / self.batches

    @property
    def dropped(self) -> int:
        """How many samples are in no epoch, whatever its order."""
        return 0

    @property
    def fingerprint(self) -> str | None:
        """What tells the batches of this plan from those of others with the same samples and settings; None: nothing does."""
        return None

    @property
    @abstractmethod
    def samples(self) -> int:
        """Number of samples in the source."""

    @property
    @abstractmethod
    def in_blocks(self) -> bool:
        """Whether `indices` is cheap only if many are asked for at once, so that they are made in blocks and kept."""

    @abstractmethod
    def rows_of(self, epoch: int, batch: int) -> int:
        """Return the rows of batch number `batch` of an epoch."""

    @abstractmethod
    def indices(self, epoch: int, start: int, stop: int) -> Indices:
        """Return the samples in this rank's rows `start` to `stop` of an epoch."""
