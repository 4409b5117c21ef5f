from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from loader.data.spec import Array, Leaf
from loader.data.transforms import Erase, LeafTransform, Noise
from loader.data.transforms.noise import rectangle
from loader.errors import ConfigError

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (20, 30, 3)).astype(np.uint8)


def made(transform: LeafTransform, array: Array, drawn: Any) -> Array:
    result = transform.result(Leaf(0, None, array.shape, array.dtype))
    out = np.full((1, *result.shape), 77, result.dtype)
    transform.apply(array[None], out, [drawn])
    return out[0]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_noise_has_the_deviation_asked_for_and_no_mean(dtype: str) -> None:
    noise = made(Noise(2.0), np.zeros((100, 100), dtype), (3, 2.0)).astype("f8")
    assert abs(noise.mean()) < 0.06
    assert abs(noise.std() - 2.0) < 0.06


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32"])
def test_noise_is_added_to_each_value(dtype: str) -> None:
    array = np.full((50, 60), 100, dtype)
    exact = "f8" if dtype == "int32" else "f4"
    noise = np.random.Generator(np.random.SFC64(3)).standard_normal((50, 60), exact) * np.dtype(exact).type(2.0)
    expected = noise + array.astype(exact)
    assert np.array_equal(made(Noise(2.0), array, (3, 2.0)), expected if dtype == "float32" else np.rint(expected).astype(dtype))


def test_noise_keeps_integers_within_their_range() -> None:
    array = np.array([0, 255] * 500, np.uint8)
    noisy = made(Noise(50.0), array, (3, 50.0))
    assert 200 < (noisy[::2] == 0).sum() < 300
    assert 200 < (noisy[1::2] == 255).sum() < 300


def test_each_sample_has_noise_of_its_own() -> None:
    noise = Noise((1.0, 3.0))
    drawn = [noise.draw(RNG) for _ in range(300)]
    assert len({seed for seed, _ in drawn}) == 300
    assert 1.0 <= min(std for _, std in drawn) < 1.1
    assert 2.9 < max(std for _, std in drawn) <= 3.0


@pytest.mark.parametrize("std", [-1, (-1, 1), (2, 1), None, math.nan, "little", (1, 2, 3)])
def test_noise_of_nonsense_is_refused(std: Any) -> None:
    with pytest.raises(ConfigError, match="Noise: std="):
        Noise(std)


@pytest.mark.parametrize("dtype", ["bool", "int64", "uint64", "complex64"])
def test_noise_refuses_what_floats_can_not_hold(dtype: str) -> None:
    with pytest.raises(ConfigError, match=r"Noise: .*put a Cast before it"):
        Noise(1).result(Leaf(0, None, (3,), np.dtype(dtype)))


@pytest.mark.parametrize("dtype", ["uint8", "float32", "bool"])
@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 1), (20, 30, 7)], ids=str)
def test_erase_overwrites_the_rectangle_and_nothing_else(shape: Any, dtype: str) -> None:
    picture = RNG.integers(0, 2, shape).astype(dtype)
    expected = picture.copy()
    expected[8:14, 12:27] = 1
    patch = (90 / 600, 2.5, 0.54, 0.8)
    assert rectangle(20, 30, patch) == (slice(8, 14), slice(12, 27))
    assert np.array_equal(made(Erase(value=1), picture, patch), expected)


def test_erase_leaves_the_picture_alone_where_it_was_not_drawn() -> None:
    assert np.array_equal(made(Erase(), PICTURE, None), PICTURE)
    assert sum(Erase(p=0.3).draw(RNG) is not None for _ in range(1_000)) in range(230, 370)
    assert Erase(p=0).draw(RNG) is None


def test_rectangles_lie_within_the_picture_and_have_the_share_asked_for() -> None:
    erase = Erase(scale=(0.1, 0.2), p=1)
    areas, ends = [], []
    for _ in range(1_000):
        patch = erase.draw(RNG)
        assert patch is not None
        rows, columns = rectangle(300, 400, patch)
        assert 0 <= rows.start < rows.stop <= 300
        assert 0 <= columns.start < columns.stop <= 400
        areas.append((rows.stop - rows.start) * (columns.stop - columns.start) / 120_000)
        ends.append((rows.start < 10, rows.stop > 290))
    assert 0.095 < min(areas) < 0.11
    assert 0.19 < max(areas) < 0.205
    assert np.any(ends, axis=0).all()


def test_the_smallest_and_the_longest_rectangles_still_fit() -> None:
    assert rectangle(20, 30, (1e-9, 1.0, 0.999, 0.999)) == (slice(19, 20), slice(29, 30))
    assert rectangle(20, 30, (1.0, 1e6, 0.5, 0.5)) == (slice(10, 11), slice(0, 30))


def test_image_and_mask_lose_the_same_rectangle() -> None:
    x, y = Erase(value=1, p=1, fields=("image", "mask"))(({"image": PICTURE}, {"mask": PICTURE[..., 0]}), RNG)
    assert np.array_equal(x["image"][..., 0], y["mask"])
    assert not np.array_equal(y["mask"], PICTURE[..., 0])


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"scale": 0.5}, "scale=0.5; give a pair"),
        ({"scale": (0.5, 2)}, "at most the whole area"),
        ({"ratio": (0, 1)}, "both must be above 0"),
        ({"p": 2}, "give a probability from 0 to 1"),
        ({"value": (1, 2, 3)}, "give one finite number"),
    ],
)
def test_erasing_of_nonsense_is_refused(arguments: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=f"Erase: .*{problem}"):
        Erase(**arguments)


def test_erase_refuses_what_is_no_picture_and_values_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match="is not a picture"):
        Erase().result(Leaf(0, None, (5,), np.dtype("uint8")))
    with pytest.raises(ConfigError, match="value=-1 does not fit"):
        Erase(value=-1).result(Leaf(0, None, (5, 5), np.dtype("uint8")))
