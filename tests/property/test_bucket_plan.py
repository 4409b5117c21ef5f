"""Batches of similar length: each sample comes once, in a batch of its bucket, and all ranks see the same bucket at the same step."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loader.data.plans.bucket_batches import BucketBatches
from tests.examples import examples
from tests.plans import bucket_batches

EDGES = st.lists(st.integers(1, 30), min_size=1, max_size=5, unique=True).map(sorted)


@st.composite
def settings_of_plans(draw: st.DrawFn) -> dict[str, Any]:
    edges = draw(EDGES)
    return {
        "edges": edges,
        "lengths": draw(st.lists(st.integers(0, edges[-1]), min_size=1, max_size=200)),
        "sizes": draw(st.integers(1, 12) | st.lists(st.integers(1, 12), min_size=len(edges), max_size=len(edges))),
        "seed": draw(st.integers(0, 3)),
        "shuffle": draw(st.booleans()),
        "drop_last": draw(st.booleans()),
    }


def batch_of(plan: BucketBatches, epoch: int, number: int) -> list[int]:
    start = number * plan.batch_size
    return plan.indices(epoch, start, start + plan.rows_of(epoch, number)).tolist()


def ranks(given: dict[str, Any], world: int) -> list[BucketBatches]:
    return [bucket_batches(rank=rank, world=world, **given) for rank in range(world)]


@examples(200)
@given(made=settings_of_plans(), world=st.integers(1, 4), epoch=st.integers(0, 3))
def test_the_ranks_together_have_each_sample_once_but_for_those_left_out(made: dict[str, Any], world: int, epoch: int) -> None:
    plans = ranks(made, world)
    seen = [sample for plan in plans for number in range(plan.batches) for sample in batch_of(plan, epoch, number)]
    assert len(seen) == len(set(seen)) == len(made["lengths"]) - plans[0].left_out
    assert world > 1 or made["drop_last"] or plans[0].left_out == 0


@examples(200)
@given(made=settings_of_plans(), world=st.integers(1, 4), epoch=st.integers(0, 3))
def test_a_batch_has_the_first_bucket_that_is_long_enough_for_each_of_its_samples(made: dict[str, Any], world: int, epoch: int) -> None:
    for plan in ranks(made, world):
        for number in range(plan.batches):
            bucket = plan.layout_of(epoch, number)
            for sample in batch_of(plan, epoch, number):
                length = made["lengths"][sample]
                assert length <= made["edges"][bucket]
                assert bucket == 0 or length > made["edges"][bucket - 1]


@examples(200)
@given(made=settings_of_plans(), world=st.integers(1, 4), epoch=st.integers(0, 3))
def test_all_ranks_see_the_same_bucket_and_equally_many_rows_at_the_same_step(made: dict[str, Any], world: int, epoch: int) -> None:
    plans = ranks(made, world)
    assert len({(plan.batches, plan.left_out, plan.fingerprint) for plan in plans}) == 1
    for number in range(plans[0].batches):
        assert len({(plan.layout_of(epoch, number), plan.rows_of(epoch, number)) for plan in plans}) == 1


@examples(200)
@given(made=settings_of_plans(), epoch=st.integers(0, 3))
def test_batches_are_full_but_for_the_last_one_of_each_bucket(made: dict[str, Any], epoch: int) -> None:
    plan = bucket_batches(**made)
    for bucket, size in enumerate(plan.batch_sizes):
        rows = sorted((plan.rows_of(epoch, n) for n in range(plan.batches) if plan.layout_of(epoch, n) == bucket), reverse=True)
        assert all(count == size for count in rows[:-1])
        assert all(0 < count <= size for count in rows)
        assert not made["drop_last"] or all(count == size for count in rows)
    assert plan.has_partial or all(plan.rows_of(epoch, number) == plan.batch_size for number in range(plan.batches))


@examples(200)
@given(made=settings_of_plans(), epoch=st.integers(0, 3), data=st.data())
def test_any_batch_and_any_part_of_it_are_the_same_whenever_they_are_asked_for(made: dict[str, Any], epoch: int, data: st.DataObject) -> None:
    plan, other = bucket_batches(**made), bucket_batches(**made)
    whole = [batch_of(plan, epoch, number) for number in range(plan.batches)]
    if not whole:
        return
    number = data.draw(st.integers(0, plan.batches - 1))
    first = data.draw(st.integers(0, len(whole[number]) - 1))
    stop = data.draw(st.integers(first + 1, len(whole[number])))
    other.rows_of(data.draw(st.integers(0, 3)), data.draw(st.integers(0, plan.batches - 1)))
    start = number * plan.batch_size
    assert other.indices(epoch, start + first, start + stop).tolist() == whole[number][first:stop]


@examples(100)
@given(made=settings_of_plans(), share=st.integers(1, 3), worlds=st.tuples(st.integers(1, 3), st.integers(1, 3)))
def test_another_number_of_ranks_gives_the_same_full_global_batches(made: dict[str, Any], share: int, worlds: tuple[int, int]) -> None:
    whole = share * worlds[0] * worlds[1]
    found = []
    for world in worlds:
        plans = ranks({**made, "sizes": whole // world, "drop_last": True}, world)
        found.append([[sample for plan in plans for sample in batch_of(plan, 1, number)] for number in range(plans[0].batches)])
    assert found[0] == found[1]


@examples(100)
@given(made=settings_of_plans())
def test_without_shuffle_batches_come_in_the_order_of_their_first_samples(made: dict[str, Any]) -> None:
    plan = bucket_batches(**{**made, "shuffle": False})
    batches = [batch_of(plan, 5, number) for number in range(plan.batches)]
    assert [batch[0] for batch in batches] == sorted(batch[0] for batch in batches)
    assert all(batch == sorted(batch) for batch in batches)


def test_a_shuffle_mixes_the_buckets_and_what_is_in_them_anew_in_each_epoch() -> None:
    lengths = np.random.default_rng(0).integers(1, 41, 4_000).tolist()
    plan = bucket_batches(lengths, [10, 20, 30, 40], 8, shuffle=True)
    sequences = [[plan.layout_of(epoch, number) for number in range(plan.batches)] for epoch in range(2)]
    assert sequences[0] != sequences[1]
    assert all(len(set(sequence[start : start + 40])) == 4 for sequence in sequences for start in range(0, plan.batches - 40, 40))
    together = [{frozenset(batch_of(plan, epoch, number)) for number in range(plan.batches)} for epoch in range(2)]
    assert not together[0] & together[1]


def test_what_is_longer_than_the_last_bucket_is_cropped_or_dropped_and_counted() -> None:
    lengths = [5, 30, 10, 11, 20]
    cropped, dropped = (bucket_batches(lengths, [10, 20], 2, longer=longer) for longer in ("crop", "drop"))
    assert (cropped.batches, cropped.left_out, cropped.dropped) == (3, 0, 0)
    assert (dropped.batches, dropped.left_out, dropped.dropped) == (2, 1, 1)
    assert sorted(sample for number in range(2) for sample in batch_of(dropped, 0, number)) == [0, 2, 3, 4]


def test_what_may_stand_in_for_a_sample_is_not_longer_than_its_bucket() -> None:
    plan = bucket_batches([5, 30, 10, 11, 20, 99], [10, 20, 30], 2, longer="drop")
    assert [plan.fellows(sample).tolist() for sample in range(5)] == [[0, 2], [0, 1, 2, 3, 4], [0, 2], [0, 2, 3, 4], [0, 2, 3, 4]]


def test_the_fingerprint_tells_other_buckets_lengths_and_sizes() -> None:
    made = {"lengths": [1, 2, 3], "edges": [2, 3], "sizes": 4}
    changed = [{}, {"lengths": [1, 3, 2]}, {"edges": [1, 3]}, {"sizes": 8}, {"sizes": [4, 8]}, {"longer": "crop"}]
    prints = [bucket_batches(**{**made, **change}).fingerprint for change in changed]
    assert len(set(prints)) == len(prints)
    halves = bucket_batches(**{**made, "sizes": 2}, rank=1, world=2)
    assert halves.fingerprint == prints[0]
