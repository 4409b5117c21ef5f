from __future__ import annotations

import importlib.util
import math
from itertools import product
from typing import Any

import cv2
import numpy as np
import pytest

from loader.data.spec import Array, Leaf
from loader.data.transforms import Affine
from loader.data.transforms.affine import affine_matrix
from loader.errors import ConfigError

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (12, 17, 3)).astype(np.uint8)
SQUARE = RNG.integers(0, 256, (9, 9, 3)).astype(np.uint8)


def moved(affine: Affine, picture: Array, drawn: Any = None) -> Array:
    out = np.full((1, *picture.shape), 77, picture.dtype)
    affine.apply(picture[None], out, [affine.draw(np.random.default_rng(0)) if drawn is None else drawn])
    return out[0]


@pytest.mark.parametrize("interpolation", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize(("fill", "border"), [("constant", 0), ("nearest", 1), ("reflect", 2), ("wrap", 3)])
def test_the_result_is_what_opencv_makes_of_the_same_matrix(fill: Any, border: int, interpolation: Any) -> None:
    affine = Affine(25, 0.2, 0.2, 0.2, fill, 9, interpolation)
    drawn = affine.draw(np.random.default_rng(3))
    matrix = np.array(affine_matrix(12, 17, drawn))
    flags = {"nearest": cv2.INTER_NEAREST, "linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}[interpolation]
    for channels, dtype in product([(), (1,), (2,), (3,), (4,), (7,)], ["uint8", "float32", "uint16", "float64"]):
        picture = RNG.integers(0, 256, (12, 17, *channels)).astype(dtype)
        flat = picture.reshape(12, 17, -1)
        groups = [np.ascontiguousarray(flat[..., first : first + 4]) for first in range(0, flat.shape[2], 4)]
        parts = [cv2.warpAffine(group, matrix, (17, 12), flags=flags, borderMode=border, borderValue=(9,) * 4) for group in groups]
        expected = np.concatenate([part.reshape(12, 17, -1) for part in parts], axis=-1).reshape(picture.shape)
        made = moved(affine, picture, drawn)
        assert made.dtype == np.dtype(dtype)
        assert np.array_equal(made, expected), (channels, dtype)


def test_the_matrix_zooms_shears_turns_and_shifts_about_the_middle() -> None:
    angle, shear = math.radians(20), 0.3
    to_middle = np.array([[1, 0, -8], [0, 1, -5.5], [0, 0, 1]])
    zooms = np.diag([1.2, 0.9, 1])
    shears = np.array([[1, shear, 0], [0, 1, 0], [0, 0, 1]])
    turns = np.array([[math.cos(angle), math.sin(angle), 0], [-math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
    shifts = np.array([[1, 0, -0.25 * 17], [0, 1, 0.5 * 12], [0, 0, 1]])
    expected = np.linalg.inv(to_middle) @ shifts @ turns @ shears @ zooms @ to_middle
    assert np.allclose(affine_matrix(12, 17, (20, 0.5, -0.25, shear, 0.9, 1.2)), expected[:2], atol=1e-12)


def test_nothing_drawn_leaves_the_picture_as_it_is() -> None:
    assert np.array_equal(moved(Affine(), PICTURE), PICTURE)


def test_a_quarter_turn_is_counterclockwise() -> None:
    assert np.array_equal(moved(Affine((90, 90)), SQUARE), np.rot90(SQUARE))


def test_a_shift_is_a_fraction_of_height_and_width() -> None:
    made = moved(Affine(shift=1, value=5), PICTURE, (0.0, 3 / 12, -4 / 17, 0.0, 1.0, 1.0))
    assert np.array_equal(made[3:, :-4], PICTURE[:-3, 4:])
    assert (made[:3] == 5).all()
    assert (made[:, -4:] == 5).all()


def test_a_zoom_above_one_makes_larger() -> None:
    dot = np.zeros((9, 9), np.uint8)
    dot[3:6, 3:6] = 255
    assert moved(Affine(zoom=(2, 2), interpolation="nearest"), dot).astype(bool).sum() > 9
    assert moved(Affine(zoom=(0.5, 0.5), interpolation="nearest"), dot).astype(bool).sum() < 9


def test_amounts_are_drawn_from_their_ranges() -> None:
    affine = Affine((5, 10), (0.1, 0.4), 0.3, (0.5, 2), tilt=3)
    drawn = np.array([affine.draw(RNG) for _ in range(500)])
    low, high = np.array([5, -0.1, -0.4, -0.3, 0.5, 0.5, -3, -3, 0, 0.5]), np.array([10, 0.1, 0.4, 0.3, 2, 2, 3, 3, 0, 2])
    assert (drawn >= low).all()
    assert (drawn <= high).all()
    assert (drawn.max(0) - drawn.min(0) >= 0.9 * (high - low)).all()


def test_image_and_mask_are_moved_alike_and_the_mask_gets_no_new_classes() -> None:
    mask = np.where(PICTURE[..., 0] > 128, np.uint8(200), np.uint8(10))
    affine = Affine(30, 0.2, zoom=0.2, value=128, fields="image", masks="mask", mask_value=255)
    x, y = affine(({"image": PICTURE, "age": 3}, {"mask": mask}), np.random.default_rng(5))
    drawn = affine.draw(np.random.default_rng(5))
    assert np.array_equal(x["image"], moved(Affine(value=128), PICTURE, drawn))
    assert np.array_equal(y["mask"], moved(Affine(value=255, interpolation="nearest"), mask, drawn))
    assert set(np.unique(y["mask"])) == {10, 200, 255}
    assert x["age"] == 3


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"rotation": "a lot"}, "rotation='a lot'; give one finite number"),
        ({"rotation": -10}, "rotation=-10; give a number that is not negative, or a pair"),
        ({"rotation": (10, -10)}, "the lower end comes first"),
        ({"rotation": (1, 2, 3)}, "give a number, or a pair"),
        ({"shift": -0.1}, "shift=-0.1; give fractions that are not negative"),
        ({"shift": (0.1,) * 4}, "shift=.* give one fraction, a pair .*, or three"),
        ({"shift": (-0.1, 0, 0)}, "shift=.* give fractions that are not negative"),
        ({"tilt": "much"}, "tilt='much'; give one finite number"),
        ({"shear": math.nan}, "shear=nan"),
        ({"zoom": 1}, "zoom=1; give a number below 1"),
        ({"zoom": (0, 2)}, "zoom=.* factors above 0"),
        ({"fill": "mirror"}, "fill='mirror'; must be one of 'constant', 'nearest', 'reflect', 'wrap'"),
        ({"interpolation": "area"}, "interpolation='area'; must be one of"),
        ({"value": None}, "value=None"),
        ({"masks": 3}, "masks=3; give names"),
        ({"fields": ()}, "names no array"),
    ],
)
def test_nonsense_is_refused(arguments: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=f"Affine: .*{problem}"):
        Affine(**arguments)


@pytest.mark.parametrize(
    ("shape", "dtype", "arguments", "problem"),
    [
        ((5,), "uint8", {}, "is not a picture"),
        ((0, 5), "uint8", {}, "is not a picture"),
        ((3, 4, 5, 3, 2), "uint8", {}, r"is not a picture, .*, or a volume, \(depth, height, width, channels\)"),
        ((3, 4, 0, 3), "uint8", {}, "is a volume without values"),
        ((3, 4, 5, 3), "float16", {}, "put a Cast before it"),
        ((3, 4, 5, 3), "uint8", {"value": 256}, "value=256 does not fit"),
        ((4, 40_000), "uint8", {}, "larger than OpenCV allows"),
        ((4, 5), "float16", {}, "put a Cast before it"),
        ((4, 5), "bool", {}, "put a Cast before it"),
        ((4, 5), "uint8", {"value": 256}, "value=256 does not fit"),
        ((4, 5), "uint8", {"value": 0.5}, "value=0.5 does not fit"),
        ((4, 5), "uint8", {"value": 0.5, "masks": "x", "mask_value": -1}, "mask_value=-1 does not fit"),
    ],
)
def test_arrays_that_it_can_not_move_are_refused(shape: Any, dtype: str, arguments: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        Affine(10, **arguments).result(Leaf(0, None, shape, np.dtype(dtype)))


@pytest.mark.parametrize(("shape", "library", "extra"), [((4, 5), "OpenCV", "image"), ((3, 4, 5, 1), "SciPy for volumes", "volume")])
def test_without_its_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, shape: Any, library: str, extra: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=rf"Affine needs {library}, not installed here\. What to do: pip install 'npy-loader\[{extra}\]'"):
        Affine(10).result(Leaf(0, None, shape, np.dtype("uint8")))
