"""`Map` and `Batch` in real workers."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from loader import Loader, NpyArrays, PipelineError, SampleError
from loader import transforms as T
from tests.batches import assert_same, inline, take

X = np.arange(3 * 211, dtype=np.float32).reshape(211, 3)
SOURCE = NpyArrays(X, np.arange(211))


def noisy(samples: Any, rngs: Any) -> Any:
    x, y = samples
    return x + np.stack([rng.normal(size=3) for rng in rngs]), y


def jittered(x: Any, rng: np.random.Generator) -> Any:
    return x + rng.random()


CHAIN: list[Any] = [T.Map(jittered), T.Batch(noisy), T.Rescale(0.5), T.Batch(noisy), T.Map(np.square, fields="y")]


@pytest.mark.parametrize("workers", [1, 3])
def test_the_bits_are_the_same_for_any_number_of_workers(workers: int) -> None:
    with Loader(SOURCE, 64, shuffle=True, seed=3, workers=workers, transforms=CHAIN) as loader:
        made = take(loader, epochs=3)
    assert_same(made, inline(SOURCE, 64, epochs=3, shuffle=True, seed=3, transforms=CHAIN))


def test_the_sample_on_which_a_function_of_several_dies_is_named() -> None:
    def dies(samples: Any, rngs: Any) -> Any:
        if 100 in samples[1]:
            os._exit(3)
        return samples

    with Loader(SOURCE, 64, workers=2, transforms=[T.Batch(dies)]) as loader:
        batches = iter(loader)
        next(batches)
        with pytest.raises(SampleError) as caught:
            next(batches)
    assert caught.value.index == 100


def test_one_that_depends_on_its_company_is_found_by_check() -> None:
    def centred(samples: Any, rngs: Any) -> Any:
        x, y = samples
        return x - x.mean(axis=0), y

    with (
        Loader(SOURCE, 64, workers=1, transforms=[T.Batch(centred, check=True)]) as loader,
        pytest.raises(PipelineError, match=r"Batch\(centred\) makes something else"),
    ):
        take(loader)
