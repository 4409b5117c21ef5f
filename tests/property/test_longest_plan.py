"""Batches that are padded to their longest sample: the usual batches, as long as the longest sample that any rank has in them."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from loader.data.plans.longest_batches import LongestBatches
from loader.data.plans.sample_batches import SampleBatches
from tests.examples import examples
from tests.plans import longest_batches


@st.composite
def settings_of_plans(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "lengths": draw(st.lists(st.integers(0, 40), min_size=1, max_size=200)),
        "size": draw(st.integers(1, 12)),
        "multiple_of": draw(st.integers(1, 9)),
        "seed": draw(st.integers(0, 3)),
        "shuffle": draw(st.booleans() | st.integers(2, 60)),
        "drop_last": draw(st.booleans()),
    }


def batch_of(plan: SampleBatches, epoch: int, number: int) -> list[int]:
    start = number * plan.batch_size
    return plan.indices(epoch, start, start + plan.rows_of(epoch, number)).tolist()


def ranks(given: dict[str, Any], world: int) -> list[LongestBatches]:
    return [longest_batches(rank=rank, world=world, **given) for rank in range(world)]


@examples(200)
@given(made=settings_of_plans(), world=st.integers(1, 4), epoch=st.integers(0, 3))
def test_a_batch_is_as_long_as_the_longest_sample_that_any_rank_has_in_it(made: dict[str, Any], world: int, epoch: int) -> None:
    plans, step = ranks(made, world), made["multiple_of"]
    for number in range(plans[0].batches):
        longest = max(made["lengths"][sample] for plan in plans for sample in batch_of(plan, epoch, number))
        rounded = max(1, -(-longest // step)) * step
        assert {plan.lengths.edges[plan.layout_of(epoch, number)] for plan in plans} == {rounded}


@examples(200)
@given(made=settings_of_plans(), world=st.integers(1, 4), epoch=st.integers(0, 3))
def test_its_samples_are_those_of_the_usual_plan(made: dict[str, Any], world: int, epoch: int) -> None:
    for plan in ranks(made, world):
        usual = SampleBatches(plan.order, plan.batch_size, plan.drop_last, plan.rank, plan.world)
        assert (plan.batches, plan.rows, plan.left_out, plan.has_partial) == (usual.batches, usual.rows, usual.left_out, usual.has_partial)
        for number in range(plan.batches):
            assert plan.rows_of(epoch, number) == usual.rows_of(epoch, number)
            assert batch_of(plan, epoch, number) == batch_of(usual, epoch, number)


@examples(100)
@given(made=settings_of_plans(), epochs=st.permutations(range(3)), data=st.data())
def test_any_length_is_the_same_whenever_it_is_asked_for(made: dict[str, Any], epochs: list[int], data: st.DataObject) -> None:
    plan, other = longest_batches(**made), longest_batches(**made)
    if not plan.batches:
        return
    whole = {epoch: [plan.layout_of(epoch, number) for number in range(plan.batches)] for epoch in range(3)}
    for epoch in epochs:
        number = data.draw(st.integers(0, plan.batches - 1))
        assert other.layout_of(epoch, number) == whole[epoch][number]


def test_an_epoch_of_many_batches_is_worked_out_in_parts() -> None:
    lengths = [1 + number * number % 97 for number in range(50_000)]
    plan = longest_batches(lengths, 7, shuffle=True)
    for number in [*range(0, plan.batches, 331), plan.batches - 1]:
        longest = max(lengths[sample] for sample in batch_of(plan, 1, number))
        assert plan.lengths.edges[plan.layout_of(1, number)] == longest


def test_what_may_stand_in_for_a_sample_fits_its_batch() -> None:
    plan = longest_batches([5, 30, 8, 9, 20], 2, multiple_of=8)
    assert [plan.fellows(sample).tolist() for sample in range(5)] == [[0, 2], [0, 1, 2, 3, 4], [0, 2], [0, 2, 3], [0, 2, 3, 4]]
