"""Functions of the user that tamper with their process: they fork it, close what is not theirs, put their own streams in its place."""

from __future__ import annotations

import itertools
import os
import time
from typing import Any

import numpy as np
import pytest

from loader import Loader, MapSource, NpyArrays, PipelineError, SampleError
from tests.batches import assert_same, inline, take

NUMBERS = np.arange(40)
SOURCE = NpyArrays(NUMBERS)
BAD = 17  # in batches of 4: the second one of batch 4


def at(index: int, act: Any) -> Any:
    """Return a transform that does `act` at one sample, and changes nothing."""

    def transform(sample: Any, rng: np.random.Generator) -> Any:
        if sample[0] == index:
            act()
        return sample

    return transform


def fork_and_return() -> None:
    os.fork()


def fork_and_fail() -> None:
    if os.fork() == 0:
        raise ValueError("in the child")


def fork_and_exit() -> None:
    if os.fork() == 0:
        raise SystemExit(0)


def without_stdout() -> None:
    import sys

    sys.stdout = None  # type: ignore[assignment]


def with_a_closed_stdout() -> None:
    import sys

    with open(os.devnull, "w") as sys.stdout:
        print("unheard")


def close_all() -> None:
    os.closerange(3, 200)


@pytest.mark.parametrize("settings", [{}, {"on_error": "substitute"}])
@pytest.mark.parametrize("act", [fork_and_return, fork_and_fail, fork_and_exit])
@pytest.mark.parametrize("index", [0, BAD])
def test_a_child_that_a_function_lets_return_is_ended_and_changes_nothing(index: int, act: Any, settings: Any, capfd: Any) -> None:
    with Loader(SOURCE, 4, workers=2, transforms=[at(index, act)], **settings) as loader:
        assert_same(take(loader, 3), inline(SOURCE, 4, 3))
        assert not loader.stats().supervisor_restarts
        deadline = time.monotonic() + 60
        printed = ""
        while "it should end by os._exit" not in printed and time.monotonic() < deadline:
            loader.stats()
            printed += capfd.readouterr().err
            time.sleep(0.02)
    assert "it should end by os._exit" in printed


def test_a_child_that_a_source_lets_return_late_writes_into_no_slot() -> None:
    class Forking:
        def __len__(self) -> int:
            return len(NUMBERS)

        def __getitem__(self, index: int) -> Any:
            if index == BAD and os.fork() == 0:
                time.sleep(0.3)
                return np.full(1000, -1)
            return np.full(1000, index)

    with Loader(MapSource(Forking()), 4, workers=1, slots=4) as loader:
        found = iter(loader)
        for number in range(10):
            (x,) = next(found)
            if number == BAD // 4:
                time.sleep(0.6)  # the batch lies in its slot while the child would write
            assert (x == NUMBERS[4 * number : 4 * number + 4, None]).all()


@pytest.mark.parametrize("act", [without_stdout, with_a_closed_stdout])
@pytest.mark.parametrize("index", [0, BAD])
def test_a_standard_output_that_a_function_takes_away_is_not_missed(index: int, act: Any) -> None:
    with Loader(SOURCE, 4, workers=2, transforms=[at(index, act)]) as loader:
        assert_same(take(loader, 2), inline(SOURCE, 4, 2))


def test_a_sample_that_closes_its_workers_descriptors_is_named() -> None:
    with Loader(SOURCE, 4, workers=2, transforms=[at(BAD, close_all)]) as loader:
        seen: list[int] = []
        with pytest.raises(SampleError, match="killed its worker") as caught:
            seen.extend(number for (x,) in loader for number in x.tolist())
        assert caught.value.index == BAD
        assert seen == list(range(16))


def test_a_first_sample_that_closes_descriptors_is_told_so_even_if_it_goes_on() -> None:
    def close_and_sleep() -> None:
        close_all()
        time.sleep(30)

    for act in (close_all, close_and_sleep):
        with Loader(SOURCE, 4, workers=1, transforms=[at(0, act)]) as loader, pytest.raises(PipelineError, match="closed descriptors"):
            take(loader)


def test_a_process_that_the_first_sample_starts_and_leaves_is_not_waited_for() -> None:
    def leave_behind() -> None:
        if os.fork() == 0:
            time.sleep(2.5)
            os._exit(0)

    with Loader(SOURCE, 4, workers=1, transforms=[at(0, leave_behind)], sample_timeout_s=1.0) as loader:
        assert_same(take(loader), inline(SOURCE, 4))
    time.sleep(2.5)  # until the last of them is gone


def test_an_iterator_that_is_closed_while_it_takes_a_batch_ends() -> None:
    def close() -> None:
        batches.close()

    with Loader(SOURCE, 4, workers=0, transforms=[at(BAD, close)]) as loader:
        batches = iter(loader)
        assert len(list(itertools.islice(batches, 100))) < 10
