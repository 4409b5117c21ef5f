"""Readers that begin apart, or fall behind: they meet if that is worth it, and it costs nobody more than it may."""

from __future__ import annotations

import pytest

from loader.supervise.schedule.fairness import Gap
from loader.supervise.sharing.meeting import Meeting, Way
from loader.supervise.sharing.pace import Step
from tests.simulated_trainers import Model, Pool


def test_readers_of_equal_speed_that_begin_one_after_the_other_meet() -> None:
    models = [Model(0.02), Model(0.02, begins_s=0.3), Model(0.02, begins_s=0.5), Model(0.02, begins_s=0.8)]
    pool = Pool(models)
    before = pool.run(5)
    assert max(model.got[-1] for model in models) - min(model.got[-1] for model in models) <= pool.slots
    made = pool.run(20)
    assert made - before <= 1.02 * 20 / 0.02
    for model in models:
        assert len(model.got) >= 0.97 * (25 - model.begins_s) / 0.02 - 1.0 / 0.02


def test_the_one_ahead_loses_a_small_share_of_its_time_if_they_are_farther_apart() -> None:
    models = [Model(0.02), Model(0.02, begins_s=2.6)]
    pool = Pool(models)
    pool.run(20)
    assert models[0].rate(8.0, 20.0) >= 0.96 / 0.02
    before = pool.run(30)
    assert models[0].got[-1] - models[1].got[-1] <= pool.slots
    assert pool.run(10) - before <= 1.02 * 10 / 0.02


def test_nobody_waits_for_a_reader_that_would_not_keep_up() -> None:
    models = [Model(0.02), Model(0.03, begins_s=0.5)]
    Pool(models).run(20)
    assert len(models[0].got) >= 0.99 * 20 / 0.02


def test_nobody_waits_for_a_reader_that_comes_up_by_itself_and_passes() -> None:
    models = [Model(0.02), Model(0.01, begins_s=1.0)]
    Pool(models).run(15)
    assert len(models[0].got) >= 0.97 * 15 / 0.02
    assert len(models[1].got) >= 0.97 * 14 / 0.01


def test_a_reader_that_stops_while_others_wait_for_it_costs_them_a_moment_once() -> None:
    models = [Model(0.02), Model(0.02, begins_s=0.8, paused=(1.3, 1000.0))]
    Pool(models).run(20)
    assert len(models[0].got) >= (20 - 1.2) / 0.02
    assert models[0].rate(5.0, 20.0) >= 0.99 / 0.02


def test_where_the_workers_can_not_serve_both_the_one_behind_comes_up_soon_and_both_are_faster_from_then_on() -> None:
    models = [Model(0.005), Model(0.005, begins_s=5.0)]
    pool = Pool(models, ticket_s=0.04)  # 50 batches per second
    pool.run(30)
    assert models[0].got[-1] - models[1].got[-1] <= pool.slots
    pool.run(10)
    assert all(model.rate(30.0, 40.0) >= 0.95 / 0.02 for model in models)


def test_with_lag_wait_nobody_gives_way() -> None:
    models = [Model(0.02), Model(0.02, begins_s=0.5)]
    Pool(models, "wait").run(10)
    assert models[0].rate(1.0, 10.0) >= 0.99 / 0.02


GAP = Gap((1,), (0,), 10)
EQUAL = Step(0.02, 0.02)
STEPS: dict[int, Step | None] = {0: EQUAL, 1: EQUAL}


def test_those_ahead_are_kept_while_their_time_lasts_and_only_their_waiting_counts() -> None:
    meeting = Meeting()
    assert meeting.look([GAP], STEPS, 0.001, [], False, 1.0) == Way(frozenset([0]), frozenset([0]))
    assert meeting.look([GAP], STEPS, 0.001, [0], False, 9.0).kept == {0}
    assert meeting.look([GAP], STEPS, 0.001, [0], False, 10.5).kept == {0}
    assert meeting.look([GAP], STEPS, 0.001, [0], False, 11.1) == Way(frozenset([0]))
    assert not meeting.look([GAP], STEPS, 0.001, [0], False, 11.2).kept
    assert meeting.look([GAP], STEPS, 0.001, [], False, 16.0).kept == {0}


@pytest.mark.parametrize(
    ("gap", "steps", "batch_s"),
    [
        (GAP, {0: EQUAL, 1: None}, 0.001),
        (GAP, {0: None, 1: EQUAL}, 0.001),
        (GAP, {0: EQUAL, 1: Step(0.03, 0.03)}, 0.001),
        (GAP._replace(batches=2_000), STEPS, 0.001),
        (GAP, STEPS, 10.0),
    ],
)
def test_nobody_gives_way_to_those_that_are_not_known_slower_or_too_far_behind(gap: Gap, steps: dict[int, Step | None], batch_s: float) -> None:
    assert Meeting().look([gap], steps, batch_s, [], False, 1.0) == Way()


def test_readers_of_different_speed_give_way_if_the_workers_are_slower_than_both() -> None:
    assert Meeting().look([GAP], {0: Step(0.02, 0.1), 1: Step(0.04, 0.1)}, 0.05, [], False, 1.0).ahead == {0}


def test_those_that_are_in_reach_are_not_kept_but_those_that_were_are_until_they_have_met() -> None:
    meeting = Meeting()
    near = GAP._replace(batches=0)
    assert meeting.look([near], STEPS, 0.001, [], False, 1.0) == Way(frozenset([0]))
    assert meeting.look([GAP], STEPS, 0.001, [], False, 1.1).kept == {0}
    assert meeting.look([near], STEPS, 0.001, [], False, 1.2).kept == {0}
    assert meeting.look([], STEPS, 0.001, [], False, 1.3) == Way()
