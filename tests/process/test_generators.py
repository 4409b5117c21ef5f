"""Generators in a worker of their own: the batches are those of the generator, whatever dies and wherever training goes on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import ConfigError, IterSource, Loader, PipelineError, SampleError, SampleTimeout
from loader import transforms as T
from tests.batches import assert_same, copied, inline, take
from tests.processes import alive, supervisor_of, wait_until_gone, workers_of

SAMPLES, BATCH = 50, 8


def walk() -> Iterator[Any]:
    rng = np.random.default_rng(3)
    place = np.zeros(4, np.float32)
    for step in range(SAMPLES):
        place += rng.normal(size=4)
        yield place, step  # the same array each time


def shifted(sample: Any, rng: np.random.Generator) -> Any:
    x, y = sample
    return x + rng.random(), y


@pytest.mark.parametrize("transforms", [[], [T.Rescale(2.0)], [shifted]], ids=["alone", "built in", "function"])
def test_the_batches_are_the_generators_in_each_epoch(transforms: Any) -> None:
    with Loader(IterSource(walk, SAMPLES), BATCH, transforms=transforms) as loader:
        assert_same(take(loader, 3), inline(IterSource(walk, SAMPLES), BATCH, 3, transforms=transforms))
        assert len(workers_of(loader)) == 1


@pytest.mark.filterwarnings("ignore:the supervisor .* died:RuntimeWarning")
@pytest.mark.parametrize("whom", [supervisor_of, lambda loader: workers_of(loader)[0]], ids=["supervisor", "worker"])
def test_a_generator_whose_process_is_killed_goes_on_where_it_was(whom: Any) -> None:
    expected = inline(IterSource(walk, SAMPLES), BATCH, 6)  # two slots hold two epochs at most, which lie ready when the supervisor dies
    with Loader(IterSource(walk, SAMPLES), BATCH, slots=2) as loader:
        stream = loader.batches()
        found, kills = [], 0
        for number in range(len(expected)):
            workers = [worker.pid for worker in loader.stats().workers if worker.pid and alive(worker.pid)]
            if kills < 2 and number >= (3, 9)[kills] and workers:
                os.kill(whom(loader), signal.SIGKILL)
                wait_until_gone(workers)
                kills += 1
            found.append(copied(next(stream)))
    assert kills == 2
    assert_same(found, expected)


def test_an_epoch_of_a_generator_is_resumed_in_the_middle() -> None:
    with Loader(IterSource(walk, SAMPLES), BATCH) as loader:
        for _ in zip(range(3), loader, strict=False):
            state = loader.state_dict()
    with Loader(IterSource(walk, SAMPLES), BATCH) as loader:
        loader.load_state_dict(state)
        assert_same(take(loader), inline(IterSource(walk, SAMPLES), BATCH)[3:])


@pytest.mark.thorough
def test_a_generator_that_takes_too_long_to_come_back_to_its_place_is_told_so() -> None:
    def slow() -> Iterator[Any]:
        for sample in walk():
            time.sleep(0.02)
            yield sample

    with Loader(IterSource(walk, SAMPLES), BATCH, workers=0) as loader:
        for _ in zip(range(5), loader, strict=False):
            state = loader.state_dict()
    with Loader(IterSource(slow, SAMPLES), BATCH, sample_timeout_s=0.5) as loader:
        loader.load_state_dict(state)
        with pytest.raises(SampleTimeout, match=r"runs through what was delivered before.*sample_timeout_s the time of a whole epoch"):
            next(iter(loader))


def test_a_generator_is_begun_no_more_than_needed_before_the_first_batch(tmp_path: Path) -> None:
    begun = tmp_path / "begun"

    def begins() -> Iterator[Any]:
        with begun.open("a") as file:
            file.write(f"{os.getpid()}\n")
        yield from walk()

    with Loader(IterSource(begins, SAMPLES), BATCH) as loader:
        next(iter(loader))
        worker = str(workers_of(loader)[0])
        pids = begun.read_text().split()
    assert len([pid for pid in pids if pid != worker]) <= 2  # for the spec, and for the sample


def test_a_bad_sample_of_a_generator_that_is_not_the_first_is_told_with_its_batch() -> None:
    def fails() -> Iterator[Any]:
        for step, sample in enumerate(walk()):
            if step == BATCH + 1:
                raise KeyError("no more")
            yield sample

    with Loader(IterSource(fails, SAMPLES), BATCH) as loader, pytest.raises(SampleError, match=rf"sample {BATCH + 1}: KeyError") as caught:
        take(loader)
    assert "The first sample" not in str(caught.value)


def test_a_generator_has_no_second_worker() -> None:
    with Loader(IterSource(walk, SAMPLES), BATCH) as loader, pytest.raises(ConfigError, match="workers=2: must be from 1 to 1"):
        loader.resize(2)


def test_a_generator_that_ends_early_is_an_error_of_the_batch_that_it_lacks() -> None:
    with Loader(IterSource(walk, SAMPLES + 10), BATCH) as loader:
        found: list[Any] = []
        with pytest.raises(PipelineError, match=r"ended after 50 samples. What to do: give length=50"):
            found.extend(copied(batch) for batch in loader)
    assert_same(found, inline(IterSource(walk, SAMPLES), BATCH)[:6])
