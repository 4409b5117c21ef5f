from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

from loader.data.spec import Leaf
from loader.data.transforms import Rotate90
from loader.errors import ConfigError

RNG = np.random.default_rng(0)
DTYPES = ["bool", "int8", "uint8", "uint16", "float16", "int32", "float32", "int64", "float64", "complex64"]


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
@pytest.mark.parametrize("shape", [(6, 6), (6, 6, 1), (6, 6, 2), (6, 6, 3), (6, 6, 4), (6, 6, 7), (1, 1, 3)], ids=str)
def test_a_turn_is_that_of_numpy(shape: Any, turn: int) -> None:
    for dtype in DTYPES:
        picture = RNG.integers(0, 100, shape).astype(dtype)
        out = np.full((1, *shape), 77, dtype)
        Rotate90().apply(picture[None], out, [turn])
        assert np.array_equal(out[0], np.rot90(picture, turn)), dtype


def test_bits_are_moved_whatever_they_mean() -> None:
    odd = RNG.integers(0, 2**32, (5, 5), np.uint32).view("f4")
    out = np.zeros((1, 5, 5), "f4")
    Rotate90().apply(odd[None], out, [1])
    assert np.array_equal(out[0].view("u4"), np.rot90(odd).view("u4"))


def test_each_turn_is_as_likely() -> None:
    turns = [Rotate90((0, 1, 3)).draw(RNG) for _ in range(900)]
    assert [turns.count(turn) in range(240, 360) for turn in (0, 1, 3)] == [True] * 3
    assert 2 not in turns


def test_image_and_mask_are_turned_together() -> None:
    picture = RNG.integers(0, 256, (6, 6, 3)).astype(np.uint8)
    x, y = Rotate90((1, 2, 3), fields=("image", "mask"))(({"image": picture}, {"mask": picture[..., 0]}), RNG)
    assert np.array_equal(x["image"][..., 0], y["mask"])


def test_half_turns_need_no_square() -> None:
    leaf = Leaf(0, None, (4, 6, 3), np.dtype("uint8"))
    assert Rotate90((0, 2)).result(leaf) == leaf
    with pytest.raises(ConfigError, match=r"x: \(4, 6, 3\) uint8 is not square\. .* turns=\(0, 2\)"):
        Rotate90().result(leaf)


@pytest.mark.parametrize("turns", [(), 1, (4,), (-1,), (0.5,), None, (True,), "13"])
def test_nonsense_is_refused(turns: Any) -> None:
    with pytest.raises(ConfigError, match="Rotate90: turns="):
        Rotate90(turns)


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
@pytest.mark.parametrize("axes", [(1, 2), (2, 1), (0, 2), (0, 1)])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "float32", "complex128"])
def test_a_turn_of_a_volume_is_that_of_numpy(dtype: str, axes: Any, turn: int) -> None:
    volume = RNG.integers(0, 100, (5, 5, 5, 3)).astype(dtype)
    for given in (volume, volume[..., ::-1], np.asfortranarray(volume)):
        out = np.full((1, *volume.shape), 77, dtype)
        Rotate90(axes=axes).apply(given[None], out, [turn])
        assert np.array_equal(out[0], np.rot90(given, turn, axes))


def test_the_plane_that_is_turned_is_square() -> None:
    leaf = Leaf(0, None, (4, 6, 6, 3), np.dtype("uint8"))
    assert Rotate90().result(leaf) == leaf
    with pytest.raises(ConfigError, match=r"x: \(4, 6, 6, 3\) uint8 is not of one size along the axes 0 and 2\."):
        Rotate90(axes=(0, 2)).result(leaf)


def test_volumes_need_no_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert Rotate90().result(Leaf(0, None, (4, 6, 6, 3), np.dtype("uint8")))
    with pytest.raises(ConfigError, match=r"Rotate90 needs OpenCV, not installed here\. What to do: pip install 'npy-loader\[image\]'"):
        Rotate90().result(Leaf(0, None, (6, 6), np.dtype("uint8")))


@pytest.mark.parametrize("axes", [(1,), (1, 1), (1, 3), (-1, 0), None, 1, (0, 1, 2), (0, 1.0)])
def test_axes_that_are_none_are_refused(axes: Any) -> None:
    with pytest.raises(ConfigError, match=r"Rotate90: axes=.*; give two of 0 \(depth\), 1 \(height\) and 2 \(width\)"):
        Rotate90(axes=axes)
