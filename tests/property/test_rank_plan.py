"""The plan of a pool that ranks share has the batches of each of them, as the plan of that rank has."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.data.plans.epoch_plan import EpochPlan
from loader.data.plans.rank_batches import RankBatches
from loader.supervise.schedule.blocks import Blocks
from tests.plans import bucket_batches, file_batches, longest_batches, sample_batches

LENGTHS = [1 + number * 7 % 10 for number in range(60)]
PLANS: dict[str, Callable[[int, int], EpochPlan]] = {
    "samples": lambda rank, world: sample_batches(55, 4, rank=rank, world=world),
    "full batches": lambda rank, world: sample_batches(55, 4, drop_last=True, rank=rank, world=world),
    "a last batch": lambda rank, world: sample_batches(12 * world + 2 * world, 4, rank=rank, world=world),
    "files": lambda rank, world: file_batches([5, 2, 9, 4, 4, 1, 7], rank, world),
    "buckets": lambda rank, world: bucket_batches(LENGTHS, [3, 6, 10], [6, 3, 2], rank, world, shuffle=True),
    "padded": lambda rank, world: longest_batches(LENGTHS, 4, rank=rank, world=world, shuffle=True),
}


@pytest.mark.parametrize("kind", PLANS)
@given(world=st.integers(1, 4), own=st.integers(0, 3), epoch=st.integers(0, 3))
def test_each_batch_is_that_of_its_rank(kind: str, world: int, own: int, epoch: int) -> None:
    own %= world
    pool = RankBatches.of(PLANS[kind](own, world))
    for step in range(world):
        rank = (own + step) % world
        plan = PLANS[kind](rank, world)
        assert (pool.batches, pool.rows, pool.left_out, pool.batch_sizes) == (plan.batches, plan.rows, plan.left_out, plan.batch_sizes)
        for batch in range(plan.batches):
            number = step * pool.batches + batch
            rows = plan.rows_of(epoch, batch)
            assert pool.rank_and_batch(number) == (rank, batch)
            assert pool.rows_of(epoch, number) == rows
            assert pool.layout_of(epoch, number) == plan.layout_of(epoch, batch)
            first, there = number * pool.batch_size, batch * plan.batch_size
            assert np.array_equal(pool.indices(epoch, first, first + rows), plan.indices(epoch, there, there + rows))


@given(samples=st.integers(8, 90), size=st.integers(1, 5), world=st.integers(1, 4), epoch=st.integers(0, 3))
def test_a_block_of_the_order_has_rows_of_one_rank_and_is_followed_by_the_next_one_of_that_rank(
    samples: int, size: int, world: int, epoch: int
) -> None:
    plan = sample_batches(samples, size, world=world)
    if not plan.batches:
        return
    pool = RankBatches.of(plan)
    blocks = Blocks(pool, 2 * size, places=1000)
    for step in range(world):
        first = step * pool.batches * size
        covered: list[int] = []
        key = blocks.key(epoch, first)
        while len(covered) < plan.rows:
            blocks.wanted([key])
            block = blocks.get(key)
            assert block is not None
            assert block.epoch == epoch
            covered += range(block.first, block.first + block.rows)
            key += 1
        assert covered == list(range(first, first + plan.rows))
        assert key == blocks.key(epoch + 1, first)
