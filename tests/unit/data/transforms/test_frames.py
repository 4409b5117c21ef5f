from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from loader.data.spec import Array, Leaf
from loader.data.transforms import Crop, LeafTransform, Pad
from loader.errors import ConfigError

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (6, 9, 3)).astype(np.uint8)


def made(transform: LeafTransform, array: Array, draws: Any = ()) -> Array:
    result = transform.result(Leaf(0, None, array.shape, array.dtype))
    out = np.full((1, *result.shape), 77, result.dtype)
    transform.apply(array[None], out, draws)
    return out[0]


@pytest.mark.parametrize(("drawn", "down", "right"), [((0.0, 0.0), 0, 0), ((0.999, 0.999), 2, 4), ((0.4, 0.6), 1, 3)])
def test_crop_cuts_where_it_was_drawn(drawn: Any, down: int, right: int) -> None:
    assert np.array_equal(made(Crop((4, 5)), PICTURE, [drawn]), PICTURE[down : down + 4, right : right + 5])


def test_every_place_is_as_likely() -> None:
    counts = np.zeros((3, 5), int)
    row_and_column = np.stack(np.indices((6, 9)), axis=-1).astype(np.uint8)
    for _ in range(3_000):
        crop = Crop((4, 5))
        counts[tuple(made(crop, row_and_column, [crop.draw(RNG)])[0, 0])] += 1
    assert (abs(counts - 200) < 75).all()


@pytest.mark.parametrize(
    ("shape", "array", "expected"),
    [
        ((4, 5), PICTURE, PICTURE[1:5, 2:7]),
        ((3, 4), PICTURE[..., 0], PICTURE[1:4, 2:6, 0]),
        (3, np.arange(6), np.arange(6)[1:4]),
        ((6, 9), PICTURE, PICTURE),
        ((2, 3, 1), PICTURE, PICTURE[2:4, 3:6, 1:2]),
    ],
)
def test_crop_takes_the_middle_of_the_first_axes(shape: Any, array: Array, expected: Array) -> None:
    crop = Crop(shape, "center")
    assert not crop.random
    assert np.array_equal(made(crop, array), expected)


def test_image_and_mask_are_cut_at_the_same_place() -> None:
    x, y = Crop((4, 5), fields=("image", "mask"))(({"image": PICTURE}, {"mask": PICTURE[..., 0]}), RNG)
    assert np.array_equal(x["image"][..., 0], y["mask"])


@pytest.mark.parametrize("dtype", ["uint8", "bool", "float32", "int64", "complex64"])
def test_pad_adds_behind_or_around(dtype: str) -> None:
    array = PICTURE.astype(dtype)
    behind = made(Pad((7, 12), 1), array)
    assert np.array_equal(behind, np.pad(array, ((0, 1), (0, 3), (0, 0)), constant_values=1))
    around = made(Pad((9, 12), 1, "center"), array)
    assert np.array_equal(around, np.pad(array, ((1, 2), (1, 2), (0, 0)), constant_values=1))


def test_pad_fills_sequences_up() -> None:
    assert made(Pad(5, -1), np.arange(3)).tolist() == [0, 1, 2, -1, -1]


def test_padded_and_cropped_is_as_before() -> None:
    assert np.array_equal(made(Crop((6, 9), "center"), made(Pad((11, 12), position="center"), PICTURE)), PICTURE)


@pytest.mark.parametrize("kind", [Crop, Pad])
@pytest.mark.parametrize("shape", [0, -3, 2.5, True, None, "4", (), (4, 0), (4, None)])
def test_what_is_no_shape_is_refused(kind: Any, shape: Any) -> None:
    with pytest.raises(ConfigError, match=rf"{kind.__name__}: shape=.*; give positive whole numbers, such as \(224, 224\)"):
        kind(shape)


def test_other_nonsense_is_refused() -> None:
    with pytest.raises(ConfigError, match="Crop: position='end'; must be one of 'random', 'center'"):
        Crop(3, "end")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="Pad: position='random'; must be one of 'end', 'center'"):
        Pad(3, 0, "random")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="Pad: value=None"):
        Pad(3, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "Pad: shape=None; give positive whole numbers"),
        ({"length": "epoch"}, "Pad: length='epoch'; must be one of 'batch'"),
        ({"length": "batch", "shape": 3}, "Pad: length='batch' pads at the end, where nothing moves; leave out shape"),
        ({"length": "batch", "position": "center"}, "leave out shape, position"),
        ({"length": "batch", "points": "y"}, "leave out shape, position, boxes and points"),
        ({"length": "batch", "axis": -1}, "Pad: axis=-1; give a whole number, 0 or more"),
        ({"length": "batch", "mask": ""}, "Pad: mask=''; give a name, or None"),
        ({"length": "batch", "multiple_of": 0}, "Pad: multiple_of=0; give a whole number, 1 or more"),
        ({"shape": 3, "mask": "mask"}, r"Pad: axis, lengths, mask and multiple_of are for Pad\(length='batch'\)"),
    ],
)
def test_nonsense_about_the_length_of_a_batch_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Pad(**settings)


def test_padding_to_the_longest_of_a_batch_needs_one() -> None:
    with pytest.raises(ConfigError, match=r"Pad\(length='batch'\) needs a batch: give it to a Loader, as its last transform"):
        Pad(length="batch")((np.zeros(3),), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("transform", "problem"),
    [
        (Crop((7, 9)), "smaller than shape=.*; put a Pad or Resize before it"),
        (Crop((1, 1, 1, 1)), "has 3 axes, fewer than shape"),
        (Crop(4), r"names one axis of x: \(6, 9, 3\) uint8; give \(height, width\)"),
        (Pad((5, 9)), "larger than shape=.*; put a Crop or Resize before it"),
        (Pad((9, 9), 256), "value=256 does not fit"),
        (Pad((9, 9), 0.5), "value=0.5 does not fit"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(transform: LeafTransform, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        transform.result(Leaf(0, None, PICTURE.shape, PICTURE.dtype))
