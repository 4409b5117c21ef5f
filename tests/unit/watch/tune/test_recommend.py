"""Which point `loader tune` recommends."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.watch.tune.recommend import Point, climbs, doubt, recommend, worker_counts

MIB = 2**20
points = st.lists(
    st.builds(
        Point,
        workers=st.integers(1, 64),
        slots=st.integers(2, 64),
        rates=st.lists(st.floats(0.1, 1e6), min_size=1, max_size=5),
        memory_bytes=st.integers(MIB, 2**40),
    ),
    min_size=1,
    max_size=12,
)


def point(workers: int, rate: float, slots: int = 3, memory: int = 100) -> Point:
    return Point(workers, slots, [rate], memory * MIB)


@given(points)
def test_no_measured_point_with_fewer_workers_is_as_good(measured: list[Point]) -> None:
    chosen, _ = recommend(measured)
    best = max(point.rate for point in measured)
    assert chosen.rate >= 0.95 * best
    assert all(point.rate < 0.95 * best for point in measured if point.workers < chosen.workers)
    assert all(point.memory_bytes * 1.1 >= chosen.memory_bytes for point in measured if point.workers == chosen.workers and point.rate >= 0.95 * best)


@given(points, st.floats(0.1, 1e6))
def test_what_the_model_takes_is_delivered_where_that_is_possible(measured: list[Point], needed: float) -> None:
    chosen, reason = recommend(measured, needed)
    if max(point.rate for point in measured) >= 1.1 * needed:
        assert chosen.rate >= min(1.1 * needed, 0.95 * max(point.rate for point in measured))
        assert all(point.workers >= chosen.workers for point in measured if point.rate >= 1.1 * needed)
    assert ("will wait" in reason) == (chosen.rate < needed)


def test_the_words_say_what_is_given_up() -> None:
    measured = [point(2, 960), point(8, 1000, memory=400)]
    assert recommend(measured)[1] == "2 workers: 96% of the best, which takes 8 workers and 4.0 times the memory"
    assert recommend(measured[1:])[1] == "8 workers: the best of all"
    assert recommend(measured, 100)[1].endswith("and 9.6 times what the model takes")
    assert recommend(measured, 1200)[1].endswith("the model takes 1,200 samples/s, so it will wait 20% of its time")


def test_among_equal_workers_less_memory_counts_but_a_trifle_does_not() -> None:
    assert recommend([point(4, 960, 3, 100), point(4, 1000, 8, 300)])[0].slots == 3
    assert recommend([point(4, 960, 3, 100), point(4, 1000, 8, 103)])[0].slots == 8


def test_0_workers_are_recommended_only_where_nothing_else_was_measured() -> None:
    alone = point(0, 5000, memory=0)
    assert recommend([alone, point(1, 100)])[0].workers == 1
    assert recommend([alone])[0] is alone


def test_nothing_delivered_is_no_crash() -> None:
    assert "nothing was delivered" in recommend([point(1, 0.0), point(2, 0.0)])[1] or recommend([point(1, 0.0)])[1]


@given(st.integers(1, 500))
def test_worker_counts_grow_and_end_at_the_ceiling(ceiling: int) -> None:
    counts = list(worker_counts(ceiling))
    assert (counts[0], counts[-1]) == (1, ceiling)
    assert all(1 < after / before <= 2 for before, after in itertools.pairwise(counts))


@pytest.mark.parametrize(
    ("rates", "goes_on"),
    [([100], True), ([100, 90], True), ([100, 103, 104], False), ([100, 200, 300], True), ([100, 98, 120], True), ([100, 200, 201, 190], False)],
)
def test_two_steps_in_a_row_without_gain_end_the_climb(rates: list[float], goes_on: bool) -> None:
    assert climbs(rates) is goes_on


def test_rounds_that_differ_are_doubted() -> None:
    quiet, loud = Point(1, 3, [100, 102, 98]), Point(1, 3, [100, 160, 90])
    assert doubt([quiet, quiet], 5) == ""
    assert "--rounds 10" in doubt([loud, loud], 5)
    assert doubt([Point(1, 3, [100])], 1) == ""
