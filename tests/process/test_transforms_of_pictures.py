"""Transforms of pictures in real workers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from loader import Loader, NpyArrays
from loader import transforms as T
from tests.batches import assert_same, inline, take

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (37, 24, 32, 3)).astype(np.uint8)
SOURCE = NpyArrays({"image": IMAGES, "mask": (IMAGES[..., 0] > 100).astype(np.uint8)})
BOTH: Any = {"fields": "image", "masks": "mask"}
CHAIN: list[Any] = [
    T.RandomResizedCrop((20, 32), **BOTH),
    T.Affine(20, 0.1, 0.1, 0.2, "reflect", **BOTH),
    T.Crop((16, 24), fields=["image", "mask"]),
    T.Brightness(0.3, fields="image"),
    T.Contrast(0.3, fields="image"),
    T.Noise((1, 20), fields="image"),
    T.Erase(fields=["image", "mask"]),
    T.Rotate90((0, 2), fields=["image", "mask"]),
    T.Resize(16, "area", fields="image"),
]


@pytest.mark.parametrize("workers", [1, 3])
def test_random_transforms_make_the_same_bits_for_any_number_of_workers(workers: int) -> None:
    with Loader(SOURCE, 5, shuffle=True, seed=3, workers=workers, transforms=CHAIN) as loader:
        made = take(loader, epochs=2)
    assert_same(made, inline(SOURCE, 5, epochs=2, shuffle=True, seed=3, transforms=CHAIN))
