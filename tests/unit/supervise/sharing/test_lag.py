"""Readers of different speed: none holds up others for long, and those of about the same speed stay together."""

from __future__ import annotations

import pytest

from loader.supervise.schedule.fairness import HoldUp
from loader.supervise.sharing.lag import Lag, LagMode
from tests.simulated_trainers import Model, Pool


def test_readers_of_almost_the_same_speed_stay_together() -> None:
    models = [Model(0.0200), Model(0.0202), Model(0.0201), Model(0.0200)]
    made = Pool(models).run(60)
    assert made <= 1.05 * (len(models[0].got) + 12)
    assert all(len(model.got) >= 0.97 * 60 / 0.02 for model in models)


def test_a_reader_that_is_ten_times_slower_costs_the_others_nothing_but_its_own_work() -> None:
    models = [Model(0.02), Model(0.2), Model(0.02)]
    made = Pool(models).run(30)
    assert len(models[0].got) >= 0.97 * 30 / 0.02
    assert len(models[1].got) >= 0.97 * 30 / 0.2
    assert made <= 1.05 * (len(models[0].got) + len(models[1].got) + 24)


def test_a_reader_that_pauses_holds_up_the_others_for_a_moment_and_joins_them_when_they_pause() -> None:
    models = [Model(0.02, paused=(20.0, 30.0)), Model(0.02, paused=(10.0, 20.0))]
    made = Pool(models).run(60)
    assert all(len(model.got) >= 0.97 * 50 / 0.02 - 5 for model in models)
    assert made <= 1.4 * len(models[0].got)  # apart for ten seconds of fifty


def test_readers_that_wait_go_in_step_except_with_one_that_pauses() -> None:
    models = [Model(0.02), Model(0.06)]
    made = Pool(models, "wait").run(30)
    assert abs(len(models[0].got) - len(models[1].got)) <= 12
    assert made <= len(models[0].got) + 24
    models = [Model(0.02), Model(0.06, paused=(10.0, 100.0))]
    Pool(models, "wait").run(30)
    assert len(models[0].got) >= 10 / 0.06 + 18 / 0.02


@pytest.mark.parametrize("mode", ["split", "wait"])
def test_nobody_is_set_apart_while_nobody_is_held_up(mode: LagMode) -> None:
    lag = Lag(mode)
    assert not any(lag.ends(None, now) for now in range(1, 100))
    assert not lag.ends(HoldUp(1, 5), 100.0)
