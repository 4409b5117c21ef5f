"""Readers of any speed come, go, and pause, in simulated time: each gets its batches in order, and none loses more by the others than it may."""

from __future__ import annotations

from random import Random

import pytest

from tests.simulated_trainers import BATCHES, Model, Pool

SECONDS = 20.0


def some_model(random: Random, first: bool) -> Model:
    step_s = random.choice([0.02, 0.02, 0.021, 0.05, 0.2])
    begins_s = 0.0 if first else random.choice([0.0, 0.3, 1.0, random.uniform(0, 10)])
    ends_s = random.choice([float("inf"), random.uniform(begins_s + 1, SECONDS)])
    pause = random.uniform(begins_s, SECONDS)
    paused = random.choice([(0.0, 0.0), (pause, pause + random.uniform(0.1, 20))])
    place = (0, 0) if first else random.choice([(0, 0), (0, 0), (random.randrange(2), random.randrange(BATCHES))])
    return Model(step_s, begins_s, ends_s, paused, place)


def could_have(model: Model) -> float:
    """Return how many batches a reader would have got if it had been alone."""
    until = min(model.ends_s, SECONDS)
    paused_s = max(0.0, min(model.paused[1], until) - max(model.paused[0], model.begins_s))
    return (until - model.begins_s - paused_s) / model.step_s


@pytest.mark.parametrize("seed", range(6))
def test_no_reader_loses_more_by_others_than_five_percent_and_two_seconds(seed: int) -> None:
    random = Random(seed)
    models = [some_model(random, first=not number) for number in range(random.randint(2, 4))]
    Pool(models, slots=random.choice([2 * len(models), 12])).run(SECONDS)
    for model in models:
        assert len(model.got) >= 0.95 * could_have(model) - 2.2 / model.step_s - 3, models
