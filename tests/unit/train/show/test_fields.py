"""What an array is shown as follows from its shape, its dtype and its values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from loader import Loader, NpyArrays
from loader.data.spec import Array, Leaf
from loader.train.show.fields import Field, Kind, fields_of, kind_of
from loader.train.show.samples import Taken, take_from_source
from loader.train.show.values import Scale, Values, levels_of, scale_of


def kind(array: Array, part: int = 0, *, made_of_sound: bool = False) -> Kind:
    return kind_of(Leaf(part, None, array.shape, array.dtype), array, Values.of([array]), made_of_sound=made_of_sound)


def zeros(*shape: int, dtype: str = "f4") -> Array:
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (zeros(), Kind.VALUE),
        (zeros(0, 3), Kind.VALUE),
        (zeros(4), Kind.VALUE),
        (zeros(5), Kind.CURVES),
        (zeros(1000, 3), Kind.CURVES),
        (zeros(3, 1000), Kind.CURVES),
        (zeros(1, 1), Kind.VALUE),
        (zeros(10, 4), Kind.VALUE),
        (zeros(8, 6), Kind.PICTURE),
        (zeros(28, 28), Kind.PICTURE),
        (zeros(28, 28) + 200, Kind.PICTURE),
        (zeros(28, 28) - 11, Kind.HEAT),
        (zeros(28, 28, dtype="i4") - 11, Kind.HEAT),
        (zeros(28, 28, 1), Kind.PICTURE),
        (zeros(28, 28, 13), Kind.PICTURE),
        (zeros(3, 28, 28), Kind.PLANAR),
        (zeros(1, 28, 20), Kind.PLANAR),
        (zeros(3, 3, 3), Kind.PICTURE),
        (zeros(16, 28, 28), Kind.VOLUME),
        (zeros(16, 28, 28, 1), Kind.VOLUME),
        (zeros(16, 28, 28, 3), Kind.FILM),
        (zeros(2, 5, 6, 7, 8), Kind.VOLUME),
    ],
    ids=lambda value: value.name if isinstance(value, Kind) else f"{value.shape}{value.dtype}{value.min() if value.size else ''}",
)
def test_an_array_is_shown_as_its_shape_and_values_suggest(array: Array, expected: Kind) -> None:
    assert kind(array) is expected


@pytest.mark.parametrize("shape", [(98, 64), (98, 64, 1)])
def test_two_axes_made_of_one_are_a_spectrogram(shape: tuple[int, ...]) -> None:
    assert kind(zeros(*shape), made_of_sound=True) is Kind.SPECTROGRAM


def test_a_one_hot_label_is_a_class() -> None:
    label = np.eye(10, dtype="f4")[3]
    assert kind(label, part=1) is Kind.VALUE
    assert kind(label * 0.7 + np.eye(10, dtype="f4")[4] * 0.3, part=1) is Kind.VALUE
    assert kind(label * 2, part=1) is Kind.CURVES


def field(*arrays: Array) -> Values:
    return Values.of(arrays)


@pytest.mark.parametrize(
    ("low", "high", "dtype", "scale"),
    [
        (0, 1, "f4", (0, 1)),
        (0.2, 0.8, "f4", (0, 1)),
        (-0.2, 0.8, "f4", (-1, 1)),
        (3, 200, "f4", (0, 255)),
        (3, 100, "u1", (0, 255)),
        (0, 1, "u1", (0, 1)),
        (3, 100, "f4", (3, 100)),
        (0, 4095, "u2", (0, 4095)),
        (-2.5, 3, "f4", (-2.5, 3)),
        (7, 7, "f4", (6, 8)),
        (2**63, 2**63, "u8", (2**63 - 2**63 * 1e-6, 2**63 + 2**63 * 1e-6)),
    ],
)
def test_black_and_white_are_those_of_the_range_that_the_values_are_meant_in(low: float, high: float, dtype: str, scale: tuple[float, float]) -> None:
    array = np.array([low, high], dtype)
    assert scale_of(Values.of([array]), array.dtype) == Scale(*scale)


def test_values_that_are_not_finite_are_counted_beside_the_others() -> None:
    values = Values.of([np.array([1.0, np.nan, 3.0]), np.array([np.inf, np.nan])])
    assert values == Values(1.0, 3.0, 2.0, 2, 1, 5)
    assert str(values) == "1 to 3, mean 2; 2 NaN, 1 infinite"
    assert str(Values.of([np.full(2, np.nan)])) == "no finite value; 2 NaN, 0 infinite"
    assert str(Values.of([np.zeros(0)])) == "empty"


def test_masks_have_few_whole_numbers() -> None:
    found = levels_of([np.array([0, 2]), np.array([1.0, 0.0])])
    assert found is not None
    assert found.tolist() == [0, 1, 2]
    assert levels_of([np.array([0.5])]) is None
    assert levels_of([np.array([np.nan])]) is None
    assert levels_of([np.arange(100)]) is None


def shown(*parts: Any) -> list[Field]:
    return fields_of(take_from_source("it", NpyArrays(*parts), 4))


def test_a_label_of_the_size_of_the_picture_is_a_mask_over_it() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (4, 8, 9, 3), "u1")
    x, y = shown(pictures, np.tile([0, 1, 255], (4, 8, 3)).astype("u1"))
    assert (x.kind, y.kind, y.over, y.levels.tolist()) == (Kind.PICTURE, Kind.MASK, 0, [0, 1, 255])
    assert shown(pictures, pictures[..., 0])[1].kind is Kind.PICTURE  # a target of many values
    other_size = shown({"image": pictures, "a_mask": np.zeros((4, 6, 6), "u1")})[1]
    assert (other_size.kind, other_size.over) == (Kind.MASK, None)


def test_numbers_of_tokens_are_text() -> None:
    (x,) = shown(np.arange(24, dtype="i4").reshape(4, 6))
    assert (x.kind, x.texts[0][1]) == (Kind.TEXT, "6 7 8 9 10 11")
    assert shown(np.arange(80, dtype="i4").reshape(4, 20) - 3)[0].kind is Kind.CURVES
    assert shown(np.arange(24, dtype="i2").reshape(4, 6))[0].kind is Kind.VALUE
    assert shown(np.arange(80, dtype="i2").reshape(4, 20))[0].kind is Kind.CURVES
    assert shown(np.zeros((4, 1000), "i8"))[0].kind is Kind.CURVES


def test_a_field_says_what_it_is_and_how_it_is_drawn() -> None:
    (x,) = shown(np.linspace(0, 1, 4 * 6 * 5 * 7).reshape(4, 6, 5, 7).astype("f4"))
    assert str(x) == "x: float32 (6, 5, 7), 0 to 1, mean 0.5; picture; black is 0, white is 1, the first three of 7 channels"
    assert str(shown(np.zeros(4))[0]) == "x: float64 (), all 0"


@pytest.mark.parametrize(
    ("shape", "words"),
    [((17, 18, 20), "white is 1"), ((6, 7, 8, 2), "white is 1, the first of 2 channels"), ((1, 6, 7, 8), "white is 1"), ((5, 6, 7, 8), "white is 1")],
)
def test_the_channels_of_a_volume_come_last_or_first(shape: tuple[int, ...], words: str) -> None:
    assert str(shown(np.zeros((2, *shape)))[0]).endswith(f"black is 0, {words}")


def test_complex_numbers_and_small_floats_are_drawn() -> None:
    with Loader(NpyArrays(np.ones((4, 6), "c8"), np.ones((4, 6, 6), "f2")), 2, workers=0) as loader:
        words = str(loader.show()).splitlines()
    assert words[1] == "x: complex64 (6,), all 1; curves; from 0 at the bottom to 2 at the top"
    assert words[2].startswith("y: float16 (6, 6), all 1")


def test_what_is_taken_of_a_source_comes_from_everywhere_in_it() -> None:
    taken: Taken = take_from_source("it", NpyArrays(np.arange(1000.0)), 4)
    assert taken.indices.tolist() == [0, 333, 666, 999]
    assert take_from_source("it", NpyArrays(np.arange(3.0)), 4).indices.tolist() == [0, 1, 2]
