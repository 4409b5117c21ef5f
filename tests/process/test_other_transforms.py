"""Transforms of sound in real workers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from loader import Loader, NpyArrays
from loader import transforms as T
from tests.batches import assert_same, inline, take

RNG = np.random.default_rng(0)
SOURCE = NpyArrays({"sound": RNG.standard_normal((23, 4_000)).astype(np.float32)})
CHAIN: list[Any] = [
    T.Excerpt(0.4, 8_000, fields="sound"),
    T.Gain(6, fields="sound"),
    T.LogMel(8_000, n_fft=512, mels=40, fields="sound"),
]


@pytest.mark.parametrize("workers", [1, 3])
def test_random_transforms_make_the_same_bits_for_any_number_of_workers(workers: int) -> None:
    with Loader(SOURCE, 5, shuffle=True, seed=3, workers=workers, transforms=CHAIN) as loader:
        made = take(loader, epochs=2)
    assert_same(made, inline(SOURCE, 5, epochs=2, shuffle=True, seed=3, transforms=CHAIN))
