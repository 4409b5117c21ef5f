"""More or fewer workers while it runs, and several ranks that share the samples: nothing is lost or repeated."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest

from loader import ConfigError, Loader, NpyArrays
from tests.batches import assert_same, copied, inline, take
from tests.processes import alive, wait_until, workers_of

SOURCE = NpyArrays(np.arange(300 * 50, dtype=np.float32).reshape(300, 50))


def running(loader: Loader) -> int:
    return len([pid for pid in workers_of(loader) if alive(pid)])


def test_resizing_up_and_down_loses_and_repeats_nothing() -> None:
    def slowly(sample: Any, rng: np.random.Generator) -> Any:
        import time

        time.sleep(0.0005)
        return sample

    expected = inline(SOURCE, 8, 3, shuffle=True)
    with Loader(SOURCE, 8, shuffle=True, workers=2, max_workers=6, transforms=[slowly]) as loader:
        sizes = itertools.cycle([1, 4, 6, 2, 5, 1, 3])
        found = []
        for number, batch in enumerate(itertools.islice(loader.batches(), len(expected))):
            found.append(copied(batch))
            del batch
            if number % 3 == 0:
                loader.resize(workers=next(sizes))
        assert_same(found, expected)


@pytest.mark.parametrize("workers", [1, 4])
def test_as_many_workers_run_as_were_asked_for_last(workers: int) -> None:
    with Loader(SOURCE, 8, workers=2, max_workers=4) as loader:
        for number in (4, 1, 3, 1, workers):
            loader.resize(number)
        take(loader)
        wait_until(lambda: running(loader) == workers, f"{workers} workers run")
        assert_same(take(loader), inline(SOURCE, 8))


def test_resizing_before_the_first_batch_works() -> None:
    with Loader(SOURCE, 8, workers=1, max_workers=3) as loader:
        loader.resize(3)
        assert_same(take(loader), inline(SOURCE, 8))
        wait_until(lambda: running(loader) == 3, "3 workers run")


def test_a_number_of_workers_out_of_range_is_refused() -> None:
    wrong: list[Any] = [0, -1, 4, 2.0, True, "3", None]
    with Loader(SOURCE, 8, workers=2, max_workers=3) as loader:
        for workers in wrong:
            with pytest.raises(ConfigError, match="from 1 to 3"):
                loader.resize(workers)
        assert_same(take(loader), inline(SOURCE, 8))


def test_without_a_pool_there_is_nothing_to_resize() -> None:
    with Loader(SOURCE, 8, workers=0) as loader, pytest.raises(ConfigError, match="workers=0"):
        loader.resize(2)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("samples", [300, 296])
def test_two_ranks_together_have_the_batches_of_one(workers: int, samples: int) -> None:
    source = SOURCE.subset(range(samples))
    ranks = []
    for rank in range(2):
        with Loader(source, 8, shuffle=True, seed=4, workers=workers, shard=(rank, 2)) as loader:
            ranks.append(take(loader, 2))
    together = [(np.concatenate([left, right]),) for (left,), (right,) in zip(*ranks, strict=True)]
    assert_same(together, inline(source, 16, 2, shuffle=True, seed=4))


def test_samples_that_ranks_cannot_share_are_left_out_with_one_warning() -> None:
    seen: list[int] = []
    for rank in range(3):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with Loader(SOURCE.subset(range(32)), 5, shuffle=True, workers=1, shard=(rank, 3)) as loader:
                batches = take(loader, 2)
                assert [len(x) for (x,) in batches] == [5, 5] * 2
                seen += [int(row[0]) for (x,) in batches[:2] for row in x]
        (warning,) = caught
        assert "the last 2 of 32 samples" in str(warning.message)
        assert warning.filename == __file__
    assert len(set(seen)) == 30


def test_with_drop_last_nothing_needs_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Loader(SOURCE.subset(range(32)), 5, drop_last=True, workers=1, shard=(1, 3)) as loader:
            assert len(loader) == 2
