"""Transforms of sound, of volumes, and of boxes and key points, in real workers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from loader import Loader, NpyArrays
from loader import transforms as T
from tests.batches import assert_same, inline, take

RNG = np.random.default_rng(0)
VOLUMES = RNG.integers(0, 256, (23, 6, 8, 8, 2)).astype(np.uint8)
SOURCE = NpyArrays(
    {
        "sound": RNG.standard_normal((23, 4_000)).astype(np.float32),
        "scan": VOLUMES,
        "organ": (VOLUMES[..., :1] > 100).astype(np.uint8),
        "image": RNG.integers(0, 256, (23, 24, 24, 3)).astype(np.uint8),
        "boxes": RNG.uniform(0, 24, (23, 5, 4)).astype(np.float32),
        "points": RNG.uniform(0, 24, (23, 3, 2)).astype(np.float32),
    }
)
SCANS: Any = {"fields": ("scan", "organ")}
PLACES: Any = {"fields": "image", "boxes": "boxes", "points": "points"}
CHAIN: list[Any] = [
    T.Excerpt(0.4, 8_000, fields="sound"),
    T.Gain(6, fields="sound"),
    T.LogMel(8_000, n_fft=512, mels=40, fields="sound"),
    T.Affine(20, (0.1, 0.2, 0.2), 0.1, 0.2, "reflect", tilt=10, fields="scan", masks="organ"),
    T.Crop((5, 8, 8), **SCANS),
    T.Flip("depth", **SCANS),
    T.Rotate90(**SCANS),
    T.Noise(5, fields="scan"),
    T.Affine(20, 0.1, 0.1, 0.2, **PLACES),
    T.Pad((28, 28), **PLACES),
    T.RandomResizedCrop(24, (0.5, 1), **PLACES),
    T.Flip(**PLACES),
    T.Rotate90(**PLACES),
    T.Crop((20, 22), **PLACES),
    T.Resize((30, 30), **PLACES),
]


@pytest.mark.parametrize("workers", [1, 3])
def test_random_transforms_make_the_same_bits_for_any_number_of_workers(workers: int) -> None:
    with Loader(SOURCE, 5, shuffle=True, seed=3, workers=workers, transforms=CHAIN) as loader:
        made = take(loader, epochs=2)
    expected = inline(SOURCE, 5, epochs=2, shuffle=True, seed=3, transforms=CHAIN)
    assert_same(made, expected)
    assert {key: value.shape[1:] for key, value in expected[0][0].items()} == {
        "sound": (21, 40),
        "scan": (5, 8, 8, 2),
        "organ": (5, 8, 8, 1),
        "image": (30, 30, 3),
        "boxes": (5, 4),
        "points": (3, 2),
    }
