from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.data.spec import Leaf, SampleSpec, as_leaf, as_parts

SCALARS = st.sampled_from([True, 3, 2.5, 1j, np.int8(1), np.float64(2.0), np.uint64(7), np.zeros((2, 3), np.float32), np.zeros((0,), "int16")])
PARTS = st.one_of(SCALARS, st.dictionaries(st.sampled_from(["image", "mask", "b", "a"]), SCALARS, min_size=1))
SAMPLES = st.lists(PARTS, min_size=1, max_size=3).map(tuple)


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return list(one) == list(other) and all(equal(one[key], other[key]) for key in one)
    return bool(np.array_equal(one, other))


# From a sample to leaves and back.


@given(sample=SAMPLES)
def test_flatten_and_unflatten_are_inverse(sample: tuple[Any, ...]) -> None:
    spec = SampleSpec.of(sample)
    leaves = spec.flatten(sample)
    assert [(leaf.shape, leaf.dtype) for leaf in spec.leaves] == [(array.shape, array.dtype) for array in leaves]
    back = spec.unflatten(leaves)
    assert len(back) == len(sample)
    assert all(equal(one, other) for one, other in zip(sample, back, strict=True))
    assert SampleSpec.of(back) == spec


@given(sample=SAMPLES)
def test_a_spec_survives_json(sample: tuple[Any, ...]) -> None:
    spec = SampleSpec.of(sample)
    assert SampleSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


@given(sample=SAMPLES)
def test_a_sample_has_the_bytes_of_its_leaves(sample: tuple[Any, ...]) -> None:
    spec = SampleSpec.of(sample)
    assert spec.nbytes == sum(array.nbytes for array in spec.flatten(sample))


def test_the_keys_of_a_dict_may_come_in_another_order() -> None:
    spec = SampleSpec.of(({"a": 1, "b": np.zeros(2)}, 3))
    assert [array.shape for array in spec.flatten(({"b": np.zeros(2), "a": 1}, 3))] == [(), (2,), ()]


def test_anything_but_a_tuple_is_x_alone() -> None:
    assert as_parts([1, 2]) == ([1, 2],)
    assert SampleSpec.of({"a": 1}).parts == (("a",),)
    assert SampleSpec.of(np.zeros(3)).parts == (None,)


def test_leaves_have_the_names_that_messages_use() -> None:
    spec = SampleSpec.of(({"image": np.zeros((2, 2)), "age": 1.0}, 1, 0.5))
    assert [leaf.name for leaf in spec.leaves] == ["x['image']", "x['age']", "y", "sample_weight"]
    assert str(spec) == "(x['image']: (2, 2) float64, x['age']: () float32, y: () int32, sample_weight: () float32)"


@pytest.mark.parametrize(("fields", "chosen"), [(["x"], [0, 1]), (["mask", "image"], [0, 1]), (["y"], [2]), (["x['mask']", "y"], [1, 2]), ([], [])])
def test_fields_name_parts_keys_or_leaves(fields: list[str], chosen: list[int]) -> None:
    assert SampleSpec.of(({"image": 1, "mask": 2}, 3)).select(fields) == chosen


def test_a_field_that_names_nothing_is_refused_with_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"no field 'masc'; there are .*x\['image'\].*x\['mask'\]"):
        SampleSpec.of(({"image": 1, "mask": 2},)).select(["image", "masc"])


# Dtypes.


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (True, "bool"),
        (7, "int32"),
        (-(2**31), "int32"),
        (0.5, "float32"),
        (1j, "complex128"),
        (np.int64(7), "int64"),
        (np.uint8(7), "uint8"),
        (np.float64(0.5), "float64"),
        (np.float16(0.5), "float16"),
        (np.bool_(True), "bool"),
        (np.complex64(1j), "complex64"),
        ([1.0, 2.0], "float64"),
        (np.zeros(3, ">i2"), "int16"),
        (np.zeros(3, "<f8"), "float64"),
    ],
)
def test_python_numbers_become_32_bit_and_everything_else_keeps_its_dtype(value: object, dtype: str) -> None:
    array = as_leaf(value, "x")
    assert array.dtype == np.dtype(dtype)
    assert array.dtype.isnative


@pytest.mark.parametrize("order", ["<", ">"])
def test_other_byte_orders_arrive_native_with_the_same_values(order: str) -> None:
    values = np.array([1, -2, 300], f"{order}i4")
    array = as_leaf(values, "x")
    assert array.dtype == np.dtype("=i4")
    assert array.tolist() == [1, -2, 300]


def test_an_array_of_native_dtype_is_not_copied() -> None:
    array = np.zeros(3, np.float32)
    assert as_leaf(array, "x") is array


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 10**30])
def test_a_python_int_beyond_32_bits_is_refused_with_the_way_out(value: int) -> None:
    with pytest.raises(ValueError, match=rf"y is the Python int {value}, which int32 can't hold; give np\.int64\({value}\)"):
        SampleSpec.of((np.zeros(2), value))


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        (np.array(["cat"]), "number of tokens"),
        ("cat", "number of tokens"),
        (np.array([b"raw"]), "np.frombuffer"),
        (b"raw", "np.frombuffer"),
        (np.array([None, 1]), "np.stack"),
        (np.zeros(2, [("a", "f4"), ("b", "i4")]), "entry of a dict"),
        (np.array(["2020-01-01"], "datetime64[s]"), r"astype\(np.int64\)"),
        (np.array([5], "timedelta64[s]"), r"astype\(np.int64\)"),
    ],
)
def test_other_dtypes_are_refused_with_what_to_do(value: object, remedy: str) -> None:
    with pytest.raises(TypeError, match=rf"x\['a'\] (has dtype|is text, 'cat').* What to do: .*{remedy}"):
        SampleSpec.of(({"a": value},))


def test_text_as_a_label_is_a_class() -> None:
    with pytest.raises(TypeError, match=r"y is text, 'cat'; .*np\.unique"):
        SampleSpec.of((1, "cat"))


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (
            [np.zeros((2, 2)), 1],
            r"x is a list \(an array \(2, 2\) and int\); a sample is a tuple .*For several inputs give a dict",
        ),
        (([np.zeros(2), np.zeros(3)], 1), r"x is a list .*For several inputs give a dict"),
        (((np.zeros(2), np.zeros(3)), 1), r"x is a tuple \(an array \(2,\) and an array \(3,\)\); .*For several inputs give a dict"),
        (((np.zeros(2), np.zeros(2)), 1), r"x is a tuple .*For several inputs give a dict.*np\.stack"),
        ([np.zeros((2, 2)), np.zeros((2, 2))], r"x is a list .*For several inputs give a dict.*np\.stack"),
        ((object(), 1), "x is of type object, neither an array nor a number"),
        (((number for number in ()), 1), "x is of type generator"),
        (([[1, 2], [3]], 1), "x is a list .*its items differ in shape.*padding"),
        ((np.zeros(2), None), "y is None; .*Leave out a part"),
        (({"a": {"b": 1}}, 1), r"x\['a'\] is a dict inside a dict"),
    ],
)
def test_several_arrays_in_one_part_are_refused_with_the_way_to_give_them(sample: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        SampleSpec.of(sample)


def test_a_long_list_of_arrays_is_one_array() -> None:
    assert str(SampleSpec.of(([np.zeros(2)] * 4, 1))) == "(x: (4, 2) float64, y: () int32)"


def test_a_tuple_of_numbers_is_an_array() -> None:
    assert str(SampleSpec.of((1, (0, 0, 5, 5)))) == "(x: () int32, y: (4,) int64)"


# What can't be a sample, or differs from the first one.


@pytest.mark.parametrize("sample", [(), (1, 2, 3, 4)])
def test_a_sample_has_one_to_three_parts(sample: tuple[int, ...]) -> None:
    with pytest.raises(TypeError, match=f"1 to 3 parts, .* this one has {len(sample)}"):
        SampleSpec.of(sample)


def test_none_is_no_sample() -> None:
    with pytest.raises(TypeError, match="None is not a sample; return the sample"):
        SampleSpec.of(None)


@pytest.mark.parametrize("sample", [({},), ({}, 1), (1, {}), ({"a": 1}, {})])
def test_an_empty_dict_is_no_part(sample: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError, match="empty dict"):
        SampleSpec.of(sample)


@pytest.mark.parametrize(
    ("sample", "problem"),
    [
        ((np.zeros(3, "f4"), 1), r"1 parts.*had|has 2 parts, but the first had 3"),
        (
            (np.zeros(4, "f4"), {"a": 1, "b": 2}, 1.0),
            r"x has shape \(4,\) and dtype float32, but the first sample's had shape \(3,\) and dtype float32",
        ),
        ((np.zeros(3), {"a": 1, "b": 2}, 1.0), "x has shape .* dtype float64, .* dtype float32"),
        (({"a": 1}, {"a": 1, "b": 2}, 1.0), "x is a dict, but the first sample's was an array"),
        ((np.zeros(3, "f4"), 1, 1.0), "y has int, the first sample's was a dict with keys"),
        ((np.zeros(3, "f4"), {"a": 1, "c": 2}, 1.0), r"y has \['a', 'c'\], the first sample's was a dict with keys \['a', 'b'\]"),
        ((np.zeros(3, "f4"), {"a": 1, "b": 2.0}, 1.0), r"y\['b'\] has shape \(\) and dtype float32, .* dtype int32"),
        ((np.zeros(3, "f4"), {"a": 1, "b": 2}, 1), "sample_weight has shape .* dtype int32, .* dtype float32"),
    ],
)
def test_a_sample_that_differs_from_the_first_is_refused_by_name(sample: tuple[Any, ...], problem: str) -> None:
    spec = SampleSpec.of((np.zeros(3, "f4"), {"a": 1, "b": 2}, 1.0))
    with pytest.raises(ValueError, match=problem):
        spec.flatten(sample)


def test_a_leaf_knows_its_bytes_even_where_it_is_empty_or_a_scalar() -> None:
    assert Leaf(0, None, (), np.dtype("float64")).nbytes == 8
    assert Leaf(0, None, (3, 0), np.dtype("float64")).nbytes == 0
