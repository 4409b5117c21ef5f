"""Transforms of sound, of volumes, and of boxes and key points, in real workers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from loader import Loader, MapSource, NpyArrays
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


VARIOUS = MapSource(
    [
        {
            "sound": RNG.standard_normal(int(RNG.integers(1_000, 6_000))).astype(np.float32),
            "image": RNG.integers(0, 256, (*RNG.integers(20, 60, 2), 3)).astype(np.uint8),
            "boxes": RNG.uniform(0, 20, (int(RNG.integers(6)), 4)).astype(np.float32),
        }
        for _ in range(17)
    ]
)
BOXED: Any = {"fields": "image", "boxes": "boxes"}
ALIKE: list[Any] = [
    T.Excerpt(0.4, 8_000, fields="sound"),
    T.RandomResizedCrop(24, (0.5, 1), **BOXED),
    T.Pad((6, 4), -1, fields="boxes"),
    T.LogMel(8_000, n_fft=512, mels=40, fields="sound"),
    T.Flip(**BOXED),
]


@pytest.mark.parametrize("workers", [1, 3])
def test_sounds_and_pictures_with_boxes_may_differ_in_size(workers: int) -> None:
    with Loader(VARIOUS, 5, shuffle=True, seed=3, workers=workers, transforms=ALIKE) as loader:
        made = take(loader, epochs=2)
    expected = inline(VARIOUS, 5, epochs=2, shuffle=True, seed=3, transforms=ALIKE)
    assert_same(made, expected)
    assert {key: value.shape[1:] for key, value in expected[0][0].items()} == {"sound": (21, 40), "image": (24, 24, 3), "boxes": (6, 4)}
