from __future__ import annotations

import math
from itertools import product
from typing import Any

import cv2
import numpy as np
import pytest

from loader.data.spec import Array, Leaf
from loader.data.transforms import LeafTransform, RandomResizedCrop, Resize
from loader.data.transforms.sizes import window_of
from loader.errors import ConfigError

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (24, 33, 3)).astype(np.uint8)
CODES = {"nearest": cv2.INTER_NEAREST, "linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA}
RATIO = (3 / 4, 4 / 3)


def made(transform: LeafTransform, array: Array, draws: Any = ()) -> Array:
    result = transform.result(Leaf(0, None, array.shape, array.dtype))
    out = np.full((1, *result.shape), 77, result.dtype)
    transform.apply(array[None], out, draws)
    return out[0]


@pytest.mark.parametrize("size", [(7, 9), (40, 50), (24, 33), (48, 11)], ids=str)
@pytest.mark.parametrize("resample", CODES)
def test_a_resized_picture_is_what_opencv_makes_of_it(resample: Any, size: Any) -> None:
    for channels, dtype in product([(), (1,), (2,), (3,), (4,), (6,)], ["uint8", "float32", "uint16", "float64"]):
        picture = RNG.integers(0, 256, (24, 33, *channels)).astype(dtype)
        flat = picture.reshape(24, 33, -1)
        groups = [np.ascontiguousarray(flat[..., first : first + 4]) for first in range(0, flat.shape[2], 4)]
        parts = [cv2.resize(group, size[::-1], interpolation=CODES[resample]).reshape(*size, -1) for group in groups]
        result = made(Resize(size, resample), picture)
        assert result.shape == (*size, *channels)
        assert np.array_equal(result, np.concatenate(parts, axis=-1).reshape(result.shape)), (channels, dtype)


def test_a_random_part_is_what_opencv_makes_of_that_window() -> None:
    crop = RandomResizedCrop((7, 9))
    for seed in range(20):
        drawn = crop.draw(np.random.default_rng(seed))
        top, left, height, width = window_of(24, 33, drawn, crop.ratio)
        expected = cv2.resize(PICTURE[top : top + height, left : left + width], (9, 7), interpolation=cv2.INTER_LINEAR)
        assert np.array_equal(made(crop, PICTURE, [drawn]), expected)


def test_windows_lie_within_the_picture_and_have_the_shares_and_ratios_asked_for() -> None:
    crop = RandomResizedCrop(5, scale=(0.2, 0.6))
    shares, ratios, ends = [], [], []
    for _ in range(1_000):
        top, left, height, width = window_of(300, 400, crop.draw(RNG), crop.ratio)
        assert min(top, left) >= 0
        assert top + height <= 300
        assert left + width <= 400
        shares.append(height * width / 120_000)
        ratios.append(width / height)
        ends.append((top == 0, top + height == 300))
    assert 0.195 < min(shares) < 0.22
    assert 0.55 < max(shares) < 0.605
    assert 0.74 < min(ratios) < 0.8
    assert 1.25 < max(ratios) < 1.35
    assert np.any(ends, axis=0).all()


@pytest.mark.parametrize(
    ("height", "width", "window"),
    [(10, 100, (0, 43, 10, 13)), (100, 10, (43, 0, 13, 10)), (10, 10, (0, 0, 10, 10)), (1, 90, (0, 44, 1, 1))],
)
def test_where_no_window_fits_the_largest_one_in_the_middle_is_taken(height: int, width: int, window: Any) -> None:
    too_large = [[40.0, 1.0, 0.5, 0.5]] * 10
    assert window_of(height, width, too_large, RATIO) == window


def test_the_first_window_that_fits_is_taken() -> None:
    drawn = [[1.0, 1.0, 0.0, 0.0], [0.25, 1.0, 0.5, 0.999]]
    assert window_of(20, 40, drawn, RATIO) == (3, 26, 14, 14)


def test_image_and_mask_are_cut_at_the_same_place_and_the_mask_gets_no_new_classes() -> None:
    mask = np.where(PICTURE[..., 0] > 128, np.uint8(200), np.uint8(10))
    crop = RandomResizedCrop(16, fields="image", masks="y")
    x, y = crop(({"image": PICTURE}, mask), np.random.default_rng(5))
    drawn = crop.draw(np.random.default_rng(5))
    assert np.array_equal(x["image"], made(RandomResizedCrop(16), PICTURE, [drawn]))
    assert np.array_equal(y, made(RandomResizedCrop(16, resample="nearest"), mask, [drawn]))
    assert set(np.unique(y)) == {10, 200}


@pytest.mark.parametrize("shape", [0, -3, 2.5, None, (3,), (3, 4, 3), (3, 0), "large"])
def test_what_is_no_size_is_refused(shape: Any) -> None:
    for kind, name in ((Resize, "shape"), (RandomResizedCrop, "size")):
        with pytest.raises(ConfigError, match=rf"{name}=.*; give \(height, width\), or one number for a square"):
            kind(shape)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"scale": 0.5}, r"scale=0.5; give a pair \(low, high\)"),
        ({"scale": (0, 1)}, "both must be above 0"),
        ({"scale": (0.5, 1.5)}, "at most the whole area"),
        ({"scale": (0.5, 0.1)}, "the lower end comes first"),
        ({"ratio": (-1, 1)}, "both must be above 0"),
        ({"ratio": (1, math.inf)}, "give one finite number"),
        ({"resample": "bicubic"}, "resample='bicubic'; must be one of"),
    ],
)
def test_nonsense_is_refused(arguments: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=f"RandomResizedCrop: .*{problem}"):
        RandomResizedCrop(8, **arguments)


def test_arrays_that_are_no_pictures_are_refused() -> None:
    for transform in (Resize(3), RandomResizedCrop(3)):
        with pytest.raises(ConfigError, match="is not a picture"):
            transform.result(Leaf(0, None, (5,), np.dtype("uint8")))
        with pytest.raises(ConfigError, match="put a Cast before it"):
            transform.result(Leaf(0, None, (5, 5), np.dtype("int64")))
