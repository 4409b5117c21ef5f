from __future__ import annotations

import inspect
import math
import sys
from abc import ABCMeta
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.data import transforms as T
from loader.data.spec import Array, Leaf, SampleSpec
from loader.data.transforms import (
    Affine,
    Brightness,
    Cast,
    Contrast,
    Crop,
    Erase,
    Excerpt,
    Flip,
    Gain,
    LeafTransform,
    LogMel,
    Noise,
    Normalize,
    OneHot,
    Pad,
    RandomResizedCrop,
    Rescale,
    Resize,
    Rotate90,
    RowError,
)
from loader.errors import ConfigError
from tests.examples import examples

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (9, 4, 6, 3)).astype(np.uint8)
VOLUMES = RNG.integers(0, 256, (9, 4, 5, 5, 2)).astype(np.uint8)
LABELS = RNG.integers(0, 5, 9).astype(np.int32)


def leaf_of(rows: Array, part: int = 0) -> Leaf:
    return Leaf(part, None, rows.shape[1:], rows.dtype)


def on_rows(transform: LeafTransform, rows: Array, draws: Any = ()) -> Array:
    result = transform.result(leaf_of(rows))
    out = np.full((len(rows), *result.shape), 77, result.dtype)
    kept = rows.copy()
    transform.for_leaf(leaf_of(rows)).apply(rows, out, draws)
    assert np.array_equal(rows, kept, equal_nan=rows.dtype.kind == "f"), "the input was changed"
    return out


# All of them.

TRANSFORMS: dict[str, tuple[LeafTransform, Array]] = {
    "rescale": (Rescale(1 / 255), IMAGES),
    "rescale with offset": (Rescale(1 / 127.5, -1.0), IMAGES),
    "rescale to float64": (Rescale(1 / 255, dtype="float64"), IMAGES),
    "rescale floats": (Rescale(0.1, 3.0), RNG.standard_normal((9, 5))),
    "rescale bools": (Rescale(2.0), IMAGES > 100),
    "rescale scalars": (Rescale(2.0), LABELS),
    "normalize": (Normalize(100.0, 50.0), IMAGES),
    "normalize per channel": (Normalize([100, 110, 120], [50, 60, 70]), IMAGES),
    "normalize per pixel": (Normalize(IMAGES.mean(0), IMAGES.std(0) + 1), IMAGES),
    "cast": (Cast("float16"), IMAGES),
    "cast to bool": (Cast(bool), IMAGES),
    "cast to complex": (Cast("complex64"), IMAGES),
    "one-hot": (OneHot(5), LABELS),
    "one-hot of many": (OneHot(5, "int8"), RNG.integers(0, 5, (9, 4)).astype(np.uint8)),
    "one-hot of floats": (OneHot(5), LABELS.astype("float64")),
    "flip": (Flip(), IMAGES),
    "flip the height": (Flip("vertical"), IMAGES[..., 0]),
    "flip an axis": (Flip(-1), RNG.standard_normal((9, 5))),
    "crop": (Crop((3, 4)), IMAGES),
    "crop the middle": (Crop((3, 4), "center"), IMAGES),
    "pad": (Pad((5, 9), 7), IMAGES),
    "resize": (Resize((3, 9), "area"), IMAGES),
    "random resized crop": (RandomResizedCrop(5), IMAGES),
    "brightness": (Brightness(0.9), IMAGES),
    "brightness of floats": (Brightness(0.9), RNG.standard_normal((9, 5, 7, 6)).astype("f4")),
    "contrast": (Contrast(0.9), IMAGES),
    "contrast of floats": (Contrast(0.9), RNG.standard_normal((9, 5, 7, 6)).astype("f4")),
    "noise": (Noise(5.0), IMAGES),
    "noise on floats": (Noise((0.1, 0.2)), RNG.standard_normal((9, 5)).astype("f4")),
    "noise on numbers": (Noise(5.0), LABELS),
    "erase": (Erase(p=0.7), IMAGES),
    "rotate by a half": (Rotate90((0, 2)), IMAGES),
    "rotate six channels": (Rotate90(), RNG.standard_normal((9, 5, 5, 6))),
    "affine": (Affine(30, 0.2, 0.1, 0.3, "reflect"), IMAGES),
    "affine of six channels": (Affine(30, 0.2, 0.1, 0.3, value=0.5), RNG.standard_normal((9, 5, 7, 6)).astype("f4")),
    "flip the depth": (Flip("depth"), VOLUMES),
    "crop volumes": (Crop((2, 3, 4)), VOLUMES),
    "noise on volumes": (Noise(5.0), VOLUMES),
    "rotate volumes": (Rotate90(), VOLUMES),
    "rotate volumes by a half": (Rotate90((0, 2), axes=(0, 2)), VOLUMES),
    "affine of volumes": (Affine(30, 0.2, 0.1, 0.3, tilt=10), VOLUMES),
    "excerpt": (Excerpt(0.5, 8), RNG.standard_normal((9, 10, 2)).astype("f4")),
    "excerpt that is filled up": (Excerpt(3, 8), RNG.integers(0, 9, (9, 10))),
    "gain": (Gain(6), RNG.standard_normal((9, 10, 2)).astype("f4")),
    "log mel": (LogMel(8_000, mels=40), RNG.standard_normal((9, 1_000)).astype("f4")),
    "log mel of two channels": (LogMel(8_000, mels=40, center=False), RNG.standard_normal((9, 1_000, 2)).astype("f4")),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_call_on_one_sample_gives_the_same_bits_as_a_row_of_many(name: str) -> None:
    transform, rows = TRANSFORMS[name]
    fields_of_x = type(transform).__new__(type(transform))
    vars(fields_of_x).update(vars(transform), fields=("x",))
    draws = [transform.draw(np.random.default_rng(row)) for row in range(len(rows))] if transform.random else ()
    together = on_rows(transform, rows, draws)
    for number, row in enumerate(rows):
        (alone,) = fields_of_x((row,), np.random.default_rng(number))
        assert np.asarray(alone).dtype == together.dtype
        assert np.asarray(alone).tobytes() == together[number].tobytes()


@pytest.mark.parametrize("name", TRANSFORMS)
def test_any_cut_of_the_rows_gives_the_same_bits(name: str) -> None:
    transform, rows = TRANSFORMS[name]
    draws = [transform.draw(np.random.default_rng(row)) for row in range(len(rows))] if transform.random else []
    parts = [on_rows(transform, rows[a:b], draws[a:b]) for a, b in ((0, 1), (1, 4), (4, 9))]
    assert np.concatenate(parts).tobytes() == on_rows(transform, rows, draws).tobytes()


@pytest.mark.parametrize("name", TRANSFORMS)
def test_read_only_rows_will_do(name: str) -> None:
    transform, rows = TRANSFORMS[name]
    rows = rows.copy()
    rows.setflags(write=False)
    on_rows(transform, rows, [transform.draw(RNG) for _ in rows] if transform.random else ())


def test_other_arrays_of_the_sample_are_left_alone() -> None:
    image, label = IMAGES[0], np.int64(3)
    x, y, w = Rescale(0.5)((image, label, 2.0), RNG)
    assert x.dtype == np.float32
    assert (y, y.dtype, w) == (3, np.int64, 2.0)
    assert image is not x
    assert np.array_equal(image, IMAGES[0])


def test_fields_choose_entries_of_dicts_and_parts() -> None:
    sample = ({"image": IMAGES[0], "mask": IMAGES[0, ..., 0]}, 1)
    x, y = Cast("float64", fields=["mask", "y"])(sample, RNG)
    assert [x["image"].dtype, x["mask"].dtype, y.dtype] == [np.uint8, np.float64, np.float64]


def test_a_field_that_is_not_there_is_refused_with_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"no field 'mask'; there are \['x', 'y'\]"):
        Cast("float64", fields="mask")((IMAGES[0], 1), RNG)


@pytest.mark.parametrize(
    "transform", [Rescale(1 / 255, fields=["image", "y"]), OneHot(10), Flip("vertical", 0.3), Normalize(0.5, 0.25), Cast("int8")], ids=repr
)
def test_a_repr_names_the_settings(transform: LeafTransform) -> None:
    text = repr(transform)
    assert text.startswith(f"{type(transform).__name__}(")
    for name, setting in vars(transform).items():
        assert f"{name}={setting!r}" in text


# Values.


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_rescale_multiplies_and_adds_in_its_own_dtype(dtype: str) -> None:
    made = on_rows(Rescale(1 / 127.5, -1.0, dtype), IMAGES)
    kind = np.dtype(dtype).type
    assert made.dtype == np.dtype(dtype)
    assert np.array_equal(made, IMAGES.astype(dtype) * kind(1 / 127.5) + kind(-1.0))


def test_rescale_of_large_integers_is_done_in_floats() -> None:
    assert on_rows(Rescale(2.0, dtype="float64"), np.array([2**62, -(2**62)])).tolist() == [2.0**63, -(2.0**63)]


def test_normalize_subtracts_and_divides_per_channel() -> None:
    mean, std = np.array([100, 110, 120], "f4"), np.array([50, 60, 70], "f4")
    made = on_rows(Normalize(mean, std), IMAGES)
    assert made.dtype == np.float32
    assert np.array_equal(made, (IMAGES.astype("f4") - mean) / std)


def test_normalize_works_in_its_own_dtype_whatever_the_input_is() -> None:
    large = RNG.standard_normal((9, 5)) + 1e6
    assert np.array_equal(on_rows(Normalize(1e6, 2.0), large), (large.astype("f4") - np.float32(1e6)) / np.float32(2.0))
    assert np.array_equal(on_rows(Normalize(1e6, 2.0, "float64"), large), (large - 1e6) / 2.0)


@pytest.mark.parametrize(("shape", "mean"), [((4, 6, 3), (2,)), ((4, 6), (3, 4, 6)), ((), (1,)), ((1, 6), (4, 6)), ((4, 6, 3), (4, 6))])
def test_normalize_refuses_a_mean_that_does_not_fit_the_sample(shape: tuple[int, ...], mean: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"mean .* and std .* do not fit x: .* float32"):
        Normalize(np.zeros(mean), 1.0).result(Leaf(0, None, shape, np.dtype("float32")))
    with pytest.raises(ConfigError, match="do not fit"):
        Normalize(0.0, np.ones(mean)).result(Leaf(0, None, shape, np.dtype("float32")))


@pytest.mark.parametrize(("mean", "std"), [(0, 0), (0, [1, 0]), (math.nan, 1), (0, math.inf), (0, 1e-50)])
def test_normalize_refuses_what_would_make_infinities(mean: Any, std: Any) -> None:
    with pytest.raises(ConfigError, match="mean must be finite, std finite and not zero"):
        Normalize(mean, std)


def test_cast_keeps_the_values_and_truncates_floats_towards_zero() -> None:
    assert on_rows(Cast("int32"), np.array([1.9, -1.9, 0.5])).tolist() == [1, -1, 0]
    assert on_rows(Cast("float32"), IMAGES).tolist() == IMAGES.tolist()
    assert on_rows(Cast(bool), np.array([0, 1, 7])).tolist() == [False, True, True]


@pytest.mark.parametrize("dtype", ["O", "U3", "S3", "datetime64[s]", "V4"])
def test_cast_and_one_hot_refuse_dtypes_that_no_batch_holds(dtype: str) -> None:
    with pytest.raises(ConfigError, match="Cast: "):
        Cast(dtype)
    with pytest.raises(ConfigError, match="OneHot: "):
        OneHot(3, dtype)


def test_cast_refuses_to_drop_an_imaginary_part() -> None:
    with pytest.raises(ConfigError, match="imaginary part"):
        Cast("float32").result(Leaf(0, None, (), np.dtype("complex64")))
    assert Cast(bool).result(Leaf(0, None, (), np.dtype("complex64"))).dtype == bool


@pytest.mark.parametrize("transform", [Rescale(2.0), Normalize(0.0, 1.0), OneHot(3)], ids=repr)
def test_complex_arrays_are_refused(transform: LeafTransform) -> None:
    with pytest.raises(ConfigError, match=type(transform).__name__):
        transform.result(Leaf(0, None, (), np.dtype("complex64")))


@pytest.mark.parametrize(
    "make", [lambda: Rescale(1.0, dtype="uint8"), lambda: Normalize(0, 1, dtype="int32"), lambda: Rescale(1.0, dtype="complex64")]
)
def test_arithmetic_in_anything_but_floats_is_refused(make: Callable[[], LeafTransform]) -> None:
    with pytest.raises(ConfigError, match="dtype must be a float type"):
        make()


@examples(50)
@given(
    classes=st.integers(1, 20), dtype=st.sampled_from(["float32", "uint8", "bool"]), shape=st.sampled_from([(), (3,), (1,), (2, 2)]), data=st.data()
)
def test_one_hot_is_one_at_the_class_and_zero_elsewhere(classes: int, dtype: str, shape: tuple[int, ...], data: st.DataObject) -> None:
    count = 4 * math.prod(shape)
    labels = np.array(data.draw(st.lists(st.integers(0, classes - 1), min_size=count, max_size=count)), "int16").reshape(4, *shape)
    made = on_rows(OneHot(classes, dtype), labels)
    assert made.dtype == np.dtype(dtype)
    assert np.array_equal(made, np.eye(classes, dtype=dtype)[labels])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("label", [3, -1, 2**40, 0.5, math.nan, math.inf, -math.inf, -0.1])
def test_one_hot_names_the_row_and_the_label_that_is_no_class(label: float) -> None:
    labels = np.array([0, 2, label, 1, label])
    with pytest.raises(RowError, match=rf"OneHot\(3\): the label is {label}, not a whole number from 0 to 2") as caught:
        on_rows(OneHot(3), labels)
    assert caught.value.row == 2


def test_one_hot_refuses_labels_beyond_any_signed_integer() -> None:
    with pytest.raises(RowError, match="18446744073709551615"):
        on_rows(OneHot(3), np.array([0, 2**64 - 1], np.uint64))


def test_one_hot_finds_the_row_in_labels_with_axes() -> None:
    with pytest.raises(RowError) as caught:
        on_rows(OneHot(3), np.array([[0, 1], [1, 2], [2, 3]]))
    assert caught.value.row == 2


@pytest.mark.parametrize("classes", [0, -3])
def test_one_hot_needs_a_class(classes: int) -> None:
    with pytest.raises(ConfigError, match=f"classes={classes}; give a whole number, 1 or more"):
        OneHot(classes)


# Flip.


@pytest.mark.parametrize(
    ("direction", "axis"),
    [("horizontal", 2), ("vertical", 1), (0, 1), (1, 2), (2, 3), (-1, 3), (-3, 1)],
)
def test_flip_mirrors_the_samples_that_were_drawn(direction: Any, axis: int) -> None:
    draws = [True, False, True] * 3
    made = on_rows(Flip(direction), IMAGES, draws)
    for row, (drawn, image) in enumerate(zip(draws, IMAGES, strict=True)):
        assert np.array_equal(made[row], np.flip(image, axis - 1) if drawn else image)


@pytest.mark.parametrize(("direction", "axis"), [("depth", 0), ("vertical", 1), ("horizontal", 2), (0, 0)])
def test_flip_mirrors_volumes(direction: Any, axis: int) -> None:
    assert np.array_equal(on_rows(Flip(direction), VOLUMES, [True] * 9), np.flip(VOLUMES, axis + 1))


def test_flip_mirrors_images_without_channels() -> None:
    grey = IMAGES[..., 0]
    assert np.array_equal(on_rows(Flip("horizontal"), grey, [True] * 9), grey[:, :, ::-1])
    assert np.array_equal(on_rows(Flip("vertical"), grey, [True] * 9), grey[:, ::-1])


@pytest.mark.parametrize("dtype", ["bool", "uint8", "float32", "complex64"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_flip_mirrors_rows_that_are_not_contiguous_and_those_that_are(axis: int, dtype: str) -> None:
    rows = IMAGES.astype(dtype)
    expected = np.flip(rows, axis + 1)
    assert np.array_equal(on_rows(Flip(axis), rows, [True] * 9), expected)
    assert np.array_equal(on_rows(Flip(axis), np.asfortranarray(rows), [True] * 9), expected)
    assert np.array_equal(on_rows(Flip(axis), rows[:, :, ::2], [True] * 9), np.flip(rows[:, :, ::2], axis + 1))


@pytest.mark.parametrize("shape", [(9, 5, 7), (9, 5, 7, 1), (9, 5, 7, 3), (9, 5, 7, 4), (9, 5, 7, 5), (9, 5, 1, 3), (2, 3, 5, 7, 2)])
@pytest.mark.parametrize("axis", [0, 1])
def test_flip_gives_the_same_with_opencv_and_without(shape: tuple[int, ...], axis: int) -> None:
    draws = [True, False, True] * 3
    flip = Flip(axis)
    flip.open()
    assert "cv2" in sys.modules
    for dtype in ("bool", "uint8", "int8", "uint16", "int16", "int32", "int64", "float16", "float32", "float64"):
        rows = RNG.integers(0, 100, shape).astype(dtype)
        rows.flags.writeable = False
        made = on_rows(flip, rows, draws[: len(rows)])
        with pytest.MonkeyPatch.context() as patch:
            patch.delitem(sys.modules, "cv2")
            assert np.array_equal(made, on_rows(flip, rows, draws[: len(rows)])), dtype
        for row, mirrored, result in zip(rows, draws, made, strict=False):
            assert np.array_equal(result, np.flip(row, axis) if mirrored else row), dtype


def test_flip_of_pictures_without_pixels_or_channels_does_nothing() -> None:
    for shape in ((2, 3, 4, 0), (2, 0, 4, 3), (0, 3, 4, 3)):
        assert on_rows(Flip(), np.zeros(shape), [True] * shape[0]).shape == shape


@pytest.mark.parametrize("seed", range(6))
def test_image_and_mask_in_different_dicts_get_the_same_decision(seed: int) -> None:
    flip = Flip("horizontal", fields=("image", "mask"))
    mask = IMAGES[0, ..., 0]
    x, y = flip(({"image": IMAGES[0], "age": 3}, {"mask": mask}), np.random.default_rng(seed))
    mirrored = bool(np.random.default_rng(seed).random() < 0.5)
    assert np.array_equal(x["image"], IMAGES[0][:, ::-1] if mirrored else IMAGES[0])
    assert np.array_equal(y["mask"], mask[:, ::-1] if mirrored else mask)
    assert x["age"] == 3


@pytest.mark.parametrize(("p", "least", "most"), [(0.0, 0, 0), (1.0, 1_000, 1_000), (0.3, 230, 370)])
def test_flip_draws_with_its_probability(p: float, least: int, most: int) -> None:
    rng = np.random.default_rng(1)
    assert least <= sum(Flip(p=p).draw(rng) for _ in range(1_000)) <= most


@pytest.mark.parametrize(
    ("direction", "p"), [("sideways", 0.5), (1.5, 0.5), (None, 0.5), ("vertical", 1.1), ("vertical", -0.1), ("vertical", math.nan)]
)
def test_flip_refuses_other_directions_and_probabilities(direction: Any, p: float) -> None:
    with pytest.raises(ConfigError, match="Flip: "):
        Flip(direction, p)


@pytest.mark.parametrize(
    ("direction", "shape", "problem"),
    [
        ("horizontal", (5,), "is not an image"),
        ("vertical", (2, 3, 4, 5, 6), "is not an image, .*, nor a volume"),
        ("depth", (4, 6, 3), "is not a volume"),
        (2, (4, 6), "has no axis 2"),
        (-3, (4, 6), "has no axis -3"),
        (0, (), "no axis 0"),
    ],
)
def test_flip_refuses_arrays_without_the_axis(direction: Any, shape: tuple[int, ...], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        Flip(direction).result(Leaf(0, None, shape, np.dtype("uint8")))


# The contract that all of them keep.


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_result_keeps_its_place_in_the_sample(name: str) -> None:
    transform, rows = TRANSFORMS[name]
    leaf = Leaf(1, "mask", rows.shape[1:], rows.dtype)
    result = transform.result(leaf)
    assert (result.part, result.key) == (1, "mask")


def test_every_transform_is_tested_above() -> None:
    tested = {type(transform) for transform, _ in TRANSFORMS.values()}
    classes = inspect.getmembers(T, lambda member: isinstance(member, ABCMeta))  # for Python 3.10, list[int] is a class
    exist = {kind for _, kind in classes if issubclass(kind, LeafTransform) and not inspect.isabstract(kind)}
    assert tested == exist


def test_the_spec_of_a_transformed_sample_is_what_result_says() -> None:
    sample = (IMAGES[0], LABELS[0])
    for transform in (Rescale(0.5), Cast("float64", fields=("x", "y")), OneHot(5), Flip()):
        spec = SampleSpec.of(sample)
        leaves = list(spec.leaves)
        for number in spec.select(transform.fields):
            leaves[number] = transform.result(leaves[number])
        sample = transform(sample, np.random.default_rng(0))
        assert SampleSpec.of(sample) == SampleSpec(tuple(leaves))
