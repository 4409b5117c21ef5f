from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from loader.data.spec import Array, Leaf
from loader.data.transforms import Brightness, Contrast, LeafTransform
from loader.errors import ConfigError

RNG = np.random.default_rng(0)
SHAPES = [(8, 11), (8, 11, 1), (8, 11, 2), (8, 11, 3), (8, 11, 4), (8, 11, 7), (4, 1), (1, 4, 1)]


def made(transform: LeafTransform, array: Array, factor: float) -> Array:
    result = transform.result(Leaf(0, None, array.shape, array.dtype))
    out = np.full((1, *result.shape), 77, result.dtype)
    transform.apply(array[None], out, [factor])
    return out[0]


@pytest.mark.parametrize("factor", [0.0, 0.5, 0.93, 1.0, 1.71, 300.0])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_brightness_of_bytes_is_what_opencv_makes_of_the_factor(shape: Any, factor: float) -> None:
    picture = RNG.integers(0, 256, shape).astype(np.uint8)
    bright = made(Brightness(0.2), picture, factor)
    assert np.array_equal(bright, np.clip(np.rint(picture.astype("f8") * factor), 0, 255))
    assert np.array_equal(bright, cv2.convertScaleAbs(picture.reshape(len(picture), -1), alpha=factor).reshape(shape))


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.71])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_brightness_of_floats_is_a_product(shape: Any, dtype: Any, factor: float) -> None:
    picture = RNG.normal(size=shape).astype(dtype)
    assert np.array_equal(made(Brightness(0.2), picture, factor), picture * np.dtype(dtype).type(factor))


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 1.71])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_contrast_changes_the_distance_to_the_mean_of_the_channel(shape: Any, dtype: str, factor: float) -> None:
    picture = RNG.integers(0, 256, shape).astype(dtype)
    mean = picture.mean(axis=(0, 1), dtype="f8")
    expected = (picture - mean) * factor + mean
    result = made(Contrast(0.2), picture, factor)
    if dtype == "uint8":
        # A value that lies halfway between two numbers may go to either.
        assert (abs(result - np.clip(expected, 0, 255)) <= 0.5 + 1e-9).all()
    else:
        assert np.allclose(result, expected, rtol=0, atol=1e-4 if dtype == "float32" else 1e-10)


@pytest.mark.parametrize("kind", [Brightness, Contrast])
def test_a_factor_of_one_leaves_the_picture_as_it_is(kind: Any) -> None:
    picture = RNG.integers(0, 256, (8, 11, 3)).astype(np.uint8)
    assert np.array_equal(made(kind((1, 1)), picture, kind((1, 1)).draw(RNG)), picture)


@pytest.mark.parametrize("kind", [Brightness, Contrast])
@pytest.mark.parametrize(("factor", "low", "high"), [(0.2, 0.8, 1.2), ((0.5, 3), 0.5, 3.0), (1, 0.0, 2.0)])
def test_factors_are_drawn_from_their_range(kind: Any, factor: Any, low: float, high: float) -> None:
    drawn = [kind(factor).draw(RNG) for _ in range(300)]
    assert low <= min(drawn) < low + 0.1 * (high - low)
    assert high - 0.1 * (high - low) < max(drawn) <= high


@pytest.mark.parametrize("kind", [Brightness, Contrast])
@pytest.mark.parametrize("factor", [-0.1, 1.5, (-0.5, 1), (2, 1), (1, 2, 3), None, "strong", float("nan")])
def test_nonsense_is_refused(kind: Any, factor: Any) -> None:
    with pytest.raises(ConfigError, match=f"{kind.__name__}: factor="):
        kind(factor)


@pytest.mark.parametrize("kind", [Brightness, Contrast])
@pytest.mark.parametrize(("shape", "dtype"), [((5,), "uint8"), ((5, 5), "int32"), ((5, 5), "uint16"), ((5, 5), "bool")])
def test_arrays_that_are_no_pictures_of_bytes_or_floats_are_refused(kind: Any, shape: Any, dtype: str) -> None:
    with pytest.raises(ConfigError, match=f"{kind.__name__}: "):
        kind(0.2).result(Leaf(0, None, shape, np.dtype(dtype)))


LARGE = [(113, 301), (113, 301, 1), (113, 301, 2), (113, 301, 3), (97, 89, 4), (97, 89, 7)]


def from_tables(transform: LeafTransform, picture: Array, factor: float) -> Array:
    """Return what one table for each channel makes of a picture."""
    lines = picture.reshape(-1, picture.shape[2] if picture.ndim == 3 else 1)
    groups = range(0, lines.shape[1], 4)  # OpenCV takes so many channels at a time
    means = np.concatenate([cv2.mean(np.ascontiguousarray(lines[None, :, first : first + 4]))[: lines.shape[1] - first] for first in groups])
    offsets = means * (1 - factor) if isinstance(transform, Contrast) else np.zeros(len(means))
    tables = np.clip(np.rint(np.arange(256.0)[:, None] * factor + offsets), 0, 255).astype(np.uint8)
    return np.take_along_axis(tables, lines, 0).reshape(picture.shape)


@pytest.mark.parametrize("kind", [Brightness, Contrast])
@pytest.mark.parametrize("shape", LARGE, ids=str)
def test_a_large_picture_of_bytes_is_what_tables_make_of_it(kind: Any, shape: Any) -> None:
    picture = RNG.integers(0, 256, shape).astype(np.uint8)
    for factor in (0.0, 0.5, 1.0, 300.0, *RNG.uniform(0.3, 2, 20)):
        assert np.array_equal(made(kind(0.2), picture, factor), from_tables(kind(0.2), picture, factor)), factor


@pytest.mark.parametrize("channels", [1, 3])
def test_bytes_that_lie_halfway_between_two_numbers_in_float32_alone_are_not_rounded_there(channels: int) -> None:
    factor = 0.5 + 2**-40  # all odd bytes become a little more than that, which float32 can't hold
    picture = RNG.integers(0, 256, (200, 301, channels)).astype(np.uint8)
    assert not np.array_equal(cv2.convertScaleAbs(picture, alpha=factor).reshape(picture.shape), from_tables(Brightness(0.2), picture, factor))
    assert np.array_equal(made(Brightness(0.2), picture, factor), from_tables(Brightness(0.2), picture, factor))
    picture[0, 0], picture[-1, -1] = 0, 255
    assert np.array_equal(made(Contrast(0.2), picture, factor), from_tables(Contrast(0.2), picture, factor))
