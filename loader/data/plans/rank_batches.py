"""The plan of a pool that the ranks of a data-parallel job share: the batches of all of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from loader.data.plans.epoch_plan import EpochPlan
from loader.data.rows import Indices


@dataclass(frozen=True)
class RankBatches(EpochPlan):
    """The batches of every rank, each as in the plan of that rank.

    They are numbered rank by rank, beginning with `rank`, whose process makes the pool: batch b of the k-th rank after it has the number
    `k × batches + b`, so that of the rank itself has the number b. `batches`, `rows` and everything else are those of one rank.

    Attributes:
        plans: of the ranks, in that order.
    """

    plans: tuple[EpochPlan, ...] = field(kw_only=True)

    @classmethod
    def of(cls, own: EpochPlan) -> RankBatches:
        """Return the batches of all ranks, of which one has the plan `own`."""
        plans = tuple(own.for_rank((own.rank + step) % own.world) for step in range(own.world))
        return cls(own.order, own.batch_size, own.drop_last, own.rank, own.world, plans=plans)

    def __post_init__(self) -> None:
        for name in ("batches", "rows", "left_out", "one_size", "has_partial"):
            object.__setattr__(self, name, getattr(self.plans[0], name))

    def rank_and_batch(self, batch: int) -> tuple[int, int]:
        step, number = divmod(batch, self.batches)
        return self.plans[step].rank, number

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        return self.plans[0].batch_sizes

    @property
    def mean_rows(self) -> float:
        return self.plans[0].mean_rows

    @property
    def samples(self) -> int:
        return self.plans[0].samples

    @property
    def in_blocks(self) -> bool:
        return self.plans[0].in_blocks

    def fellows(self, index: int) -> Indices | None:
        return self.plans[0].fellows(index)

    def layout_of(self, epoch: int, batch: int) -> int:
        step, number = divmod(batch, self.batches)
        return self.plans[step].layout_of(epoch, number)

    def rows_of(self, epoch: int, batch: int) -> int:
        step, number = divmod(batch, self.batches)
        return self.plans[step].rows_of(epoch, number)

    def indices(self, epoch: int, start: int, stop: int) -> Indices:
        step, first = divmod(start, self.batches * self.batch_size)
        return self.plans[step].indices(epoch, first, first + stop - start)
