"""Functions that draw from global generators: the same batches, whoever makes them."""

from __future__ import annotations

import logging
import os
import random
import signal
from typing import Any

import numpy as np
import pytest

from loader import Loader, MapSource, NpyArrays
from loader import transforms as T
from loader.data.global_rng import states
from tests.batches import assert_same, take
from tests.processes import wait_until, workers_of

ROWS = 96
X = np.zeros((ROWS, 3), np.float32)


def noise(sample: Any, rng: np.random.Generator) -> Any:
    return (sample[0] + np.random.normal(size=3).astype(np.float32) + random.random() * 100,)


class Drawing:
    def __len__(self) -> int:
        return ROWS

    def __getitem__(self, index: int) -> Any:
        return X[index] + np.random.rand(3).astype(np.float32)


SETUPS: dict[str, Any] = {
    "first": (NpyArrays(X), [noise]),
    "after a built-in one": (NpyArrays(X), [T.Rescale(1.0), noise, T.Rescale(2.0), noise]),
    "source": (MapSource(Drawing()), []),
    "source, then a built-in one": (MapSource(Drawing()), [T.Rescale(1.0)]),
    "sum": (MapSource(Drawing()) + NpyArrays(X), [noise]),
}


@pytest.mark.parametrize("setup", SETUPS)
def test_batches_are_the_same_for_any_workers_and_no_row_draws_what_another_does(setup: str) -> None:
    source, transforms = SETUPS[setup]
    runs = []
    for workers in (0, 0, 1, 3):
        np.random.seed(len(runs))
        with Loader(source, 16, shuffle=True, seed=3, workers=workers, transforms=transforms) as loader:
            runs.append(take(loader, 2))
    for other in runs[1:]:
        assert_same(runs[0], other)
    rows = np.concatenate([x for (x,) in runs[0]])
    assert len(np.unique(rows, axis=0)) == len(rows) == 2 * len(source)


def test_a_killed_workers_rows_draw_the_same_again() -> None:
    with Loader(NpyArrays(X), 16, shuffle=True, workers=0, transforms=[noise]) as loader:
        expected = take(loader, 6)
    with Loader(NpyArrays(X), 16, shuffle=True, workers=2, transforms=[noise], slots=2) as loader:
        batches = loader.batches()
        found = [tuple(x.copy() for x in next(batches))]
        os.kill(workers_of(loader)[0], signal.SIGKILL)
        found += [tuple(x.copy() for x in next(batches)) for _ in expected[1:]]
    assert_same(expected, found)


def test_a_stand_in_draws_as_it_does_in_its_own_place() -> None:
    def fails(sample: Any, rng: np.random.Generator) -> Any:
        if sample[0][0] == 7000:
            raise ValueError("a bad sample")
        return noise(sample, rng)

    settings: Any = {"seed": 3, "transforms": [fails], "on_error": "substitute"}
    source = NpyArrays(X + 1000 * np.arange(ROWS, dtype=np.float32)[:, None])
    runs = []
    for workers in (0, 3):
        with Loader(source, 16, workers=workers, **settings) as loader, pytest.warns(RuntimeWarning, match="bad"):
            runs.append(take(loader, 2))
    assert_same(*runs)


def test_without_workers_the_scripts_own_generators_are_left_as_they_were() -> None:
    before = states()
    with Loader(MapSource(Drawing()), 16, workers=0, transforms=[noise]) as loader:
        take(loader)
    assert states() == before


@pytest.mark.parametrize("workers", [0, 2])
def test_it_is_said_once_who_draws(workers: int, caplog: pytest.LogCaptureFixture) -> None:
    with Loader(NpyArrays(X), 16, workers=workers, transforms=[noise]) as loader:
        take(loader, 2)
        wait_until(lambda: loader.stats() is not None and "noise" in caplog.text, "it was said")
    (record,) = [record for record in caplog.records if "global generator" in record.getMessage()]
    assert record.levelno == logging.WARNING
    assert "transform 0, " in record.getMessage()
    assert "noise draws from" in record.getMessage()


def test_who_draws_from_rng_alone_hears_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with Loader(NpyArrays(X), 16, workers=1, transforms=[lambda sample, rng: (sample[0] + rng.random(),)]) as loader:
        take(loader, 2)
    assert "generator" not in caplog.text


def test_a_draw_that_the_first_sample_did_not_show_differs_between_workers() -> None:
    def later(sample: Any, rng: np.random.Generator) -> Any:
        return (np.array([np.random.rand() if sample[0][0] else 0.0]),)

    with Loader(NpyArrays((np.arange(ROWS) > 0).astype(np.float64)[:, None]), 1, workers=3, transforms=[later]) as loader:
        rows = np.concatenate([x for (x,) in take(loader)])
    assert len(np.unique(rows[1:, 0])) == ROWS - 1
