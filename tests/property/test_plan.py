"""An epoch is cut into batches so that the ranks share every sample fairly, whatever their number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from loader.data.plans.epoch_plan import EpochPlan
from tests.examples import examples
from tests.plans import file_batches, sample_batches

sizes = {"samples": st.integers(0, 300), "batch_size": st.integers(1, 20), "world": st.integers(1, 6), "drop_last": st.booleans()}


def ranks(samples: int, batch_size: int, drop_last: bool, world: int) -> list[EpochPlan]:
    return [sample_batches(samples, batch_size, drop_last, rank, world) for rank in range(world)]


def batch_of(plan: EpochPlan, number: int) -> list[int]:
    start = number * plan.batch_size
    return plan.positions(start, start + plan.rows_of(0, number)).tolist()


@examples(300)
@given(**sizes)
def test_the_ranks_together_have_each_sample_once_but_for_those_left_out(samples: int, batch_size: int, world: int, drop_last: bool) -> None:
    plans = ranks(samples, batch_size, drop_last, world)
    positions = np.concatenate([plan.positions(0, plan.rows) for plan in plans])
    assert sorted(positions.tolist()) == list(range(samples - plans[0].left_out))


@examples(300)
@given(**sizes)
def test_all_ranks_see_equally_many_batches_of_equally_many_rows(samples: int, batch_size: int, world: int, drop_last: bool) -> None:
    plans = ranks(samples, batch_size, drop_last, world)
    assert len({(plan.batches, plan.rows, plan.left_out) for plan in plans}) == 1
    plan = plans[0]
    rows = [plan.rows_of(0, batch) for batch in range(plan.batches)]
    assert sum(rows) == plan.rows
    assert all(count == batch_size for count in rows[:-1])
    assert all(0 < count <= batch_size for count in rows)


@examples(300)
@given(**sizes)
def test_a_global_batch_is_a_run_of_positions_in_the_order_of_the_ranks(samples: int, batch_size: int, world: int, drop_last: bool) -> None:
    plans = ranks(samples, batch_size, drop_last, world)
    for batch in range(plans[0].batches):
        positions = [position for plan in plans for position in batch_of(plan, batch)]
        first = batch * batch_size * world
        assert positions == list(range(first, first + len(positions)))
        assert len(positions) == plans[0].rows_of(0, batch) * world


@examples(200)
@given(samples=st.integers(1, 300), share=st.integers(1, 6), worlds=st.tuples(st.integers(1, 6), st.integers(1, 6)))
def test_another_number_of_ranks_gives_the_same_global_batches(samples: int, share: int, worlds: tuple[int, int]) -> None:
    one, other = worlds
    whole = share * one * other
    plans = {world: ranks(samples, whole // world, False, world) for world in worlds}
    for batch in range(samples // whole):
        of_one, of_other = ([position for plan in plans[world] for position in batch_of(plan, batch)] for world in worlds)
        assert of_one == of_other


@examples(200)
@given(**sizes, start=st.integers(0, 100), count=st.integers(0, 100))
def test_any_part_of_the_positions_is_a_part_of_all(samples: int, batch_size: int, world: int, drop_last: bool, start: int, count: int) -> None:
    plan = ranks(samples, batch_size, drop_last, world)[-1]
    assume(start + count <= plan.rows)
    assert np.array_equal(plan.positions(start, start + count), plan.positions(0, plan.rows)[start : start + count])


@pytest.mark.parametrize(
    ("samples", "world", "drop_last", "rows", "left_out"),
    [
        (20, 1, False, [8, 8, 4], 0),
        (20, 1, True, [8, 8], 4),
        (20, 2, False, [8, 2], 0),
        (21, 2, False, [8], 5),
        (16, 2, True, [8], 0),
        (7, 1, True, [], 7),
        (7, 1, False, [7], 0),
        (3, 4, False, [], 3),
    ],
)
def test_what_is_left_of_an_epoch_is_a_smaller_batch_or_left_out(samples: int, world: int, drop_last: bool, rows: list[int], left_out: int) -> None:
    plan = sample_batches(samples, 8, drop_last, 0, world)
    assert [plan.rows_of(0, batch) for batch in range(plan.batches)] == rows
    assert plan.left_out == left_out


@given(rows=st.lists(st.integers(1, 9), min_size=1, max_size=30), world=st.integers(1, 4), epoch=st.integers(0, 3), shuffle=st.booleans())
def test_files_are_batches_that_ranks_share_and_each_comes_once(rows: list[int], world: int, epoch: int, shuffle: bool) -> None:
    plans = [file_batches(rows, rank, world, shuffle) for rank in range(world)]
    ends = np.cumsum(rows).tolist()
    files = {end - count: list(range(end - count, end)) for end, count in zip(ends, rows, strict=True)}
    seen: list[int] = []
    for batch in range(plans[0].batches):
        for plan in plans:
            start = batch * plan.batch_size
            samples = plan.indices(epoch, start, start + plan.rows_of(epoch, batch)).tolist()
            assert samples == files[samples[0]]
            seen.append(samples[0])
    assert len(seen) == len(set(seen)) == len(rows) - plans[0].left_out
    assert shuffle or world > 1 or seen == sorted(files)


@given(rows=st.lists(st.integers(1, 9), min_size=1, max_size=10), data=st.data())
def test_a_part_of_a_file_is_that_part_of_its_rows(rows: list[int], data: st.DataObject) -> None:
    plan = file_batches(rows)
    batch = data.draw(st.integers(0, plan.batches - 1))
    whole = plan.indices(0, batch * plan.batch_size, batch * plan.batch_size + plan.rows_of(0, batch))
    first = data.draw(st.integers(0, len(whole) - 1))
    stop = data.draw(st.integers(first + 1, len(whole)))
    start = batch * plan.batch_size
    assert plan.indices(0, start + first, start + stop).tolist() == whole[first:stop].tolist()
