"""The arithmetic of bytes without a header."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from loader.data.npy.headerless import checked_dtype, checked_shape, records_of, shape_of
from loader.errors import ConfigError


@pytest.mark.parametrize(
    ("size", "offset", "dtype", "shape", "records"),
    [(24, 0, "u1", (2, 3), 4), (26, 2, "u1", (2, 3), 4), (24, 0, "f4", (), 6), (24, 0, "f8", (3,), 1), (16 + 784, 16, "u1", (28, 28), 1)],
)
def test_whole_records_are_counted(size: int, offset: int, dtype: str, shape: tuple[int, ...], records: int) -> None:
    assert records_of(size, offset, np.dtype(dtype), shape) == records


@pytest.mark.parametrize(
    ("size", "offset", "dtype", "shape", "words"),
    [
        (0, 0, "u1", (2,), "is empty (0 bytes)"),
        (8, 8, "u1", (2,), "has 8 bytes, so nothing is left after offset=8"),
        (
            3 * 3072 + 3,
            0,
            "u1",
            (32, 32, 3),
            "has 9,219 bytes; a record of shape (32, 32, 3) and dtype uint8 has 3,072, and 9,219 = 3 × 3,072 + 3. What would fit: shape (3073,), "
            "shape (1317,), shape (439,). What to do: if it begins with a header of 3 bytes, give offset=3; if it was cut off or appended to, write "
            "it again",
        ),
        (16 + 784 * 40, 4, "u1", (28, 28), "has 31,376 bytes, 31,372 of them after offset=4; a record of shape (28, 28) and dtype uint8 has 784, "),
        (16 + 784 * 40, 4, "u1", (28, 28), "31,372 = 40 × 784 + 12."),
        (16 + 784 * 40, 4, "u1", (28, 28), "if it begins with a header of 12 bytes, give offset=16; "),
        (100 * 640 * 480, 0, "f4", (480, 640, 3), "What would fit: shape (500, 640, 3), shape (400, 640, 3), "),
        (
            6 * 8,
            0,
            "f8",
            (4,),
            "What would fit: shape (3,), shape (6,), shape (2,), this shape with dtype uint8 or int16 or float32. ",
        ),
        (1001, 0, "f4", (10,), "No shape like this one fits: 1,001 is no multiple of the 4 bytes of one number. What to do: "),
        (3, 0, "f8", (), "and 3 = 0 × 8 + 3. What would fit: this shape with dtype uint8. What to do: if it was cut off"),
    ],
)
def test_bytes_that_are_no_whole_records_are_refused_with_the_arithmetic(size: int, offset: int, dtype: str, shape: Any, words: str) -> None:
    said = records_of(size, offset, np.dtype(dtype), shape)
    assert isinstance(said, str)
    assert words in said


def test_what_is_said_to_fit_does() -> None:
    for size in range(1, 400):
        said = records_of(size, 0, np.dtype("u2"), (3, 4))
        if isinstance(said, int):
            assert said * 24 == size
            continue
        for shape in (eval(text.rpartition(")")[0] + ")") for text in said.split("shape ")[2:] if text.startswith("(")):
            assert records_of(size, 0, np.dtype("u2"), shape) == size // (2 * int(np.prod(shape)))


@pytest.mark.parametrize(
    ("nbytes", "shape", "expected"),
    [(100, (5, 5), (5, 5)), (100, (-1, 5), (5, 5)), (4, (), ()), (100, (5, -1), (5, 5))],
)
def test_the_shape_of_one_array_may_have_an_open_axis(nbytes: int, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert shape_of(nbytes, np.dtype("f4"), shape) == expected


@pytest.mark.parametrize(
    ("nbytes", "shape", "words"),
    [
        (0, (5,), "is empty"),
        (100, (5, 4), "has 100 bytes, but shape (5, 4) and dtype float32 mean 80; it has 20 more. What would fit: shape (5, 5)"),
        (77, (5, 4), "it has 3 fewer. No shape like this one fits: 77 is no multiple of the 4 bytes of one number"),
        (100, (-1, 3), "has 100 bytes, but shape (-1, 3) and dtype float32 mean a multiple of 12: 100 = 8 × 12 + 4"),
    ],
)
def test_bytes_that_are_not_one_array_are_refused_with_the_arithmetic(nbytes: int, shape: tuple[int, ...], words: str) -> None:
    said = shape_of(nbytes, np.dtype("f4"), shape)
    assert isinstance(said, str)
    assert words in said


@pytest.mark.parametrize("shape", [(0,), (3, -1), "ab", None, 2.0, (2.0,), (True,), {3}, -1])
def test_a_shape_that_can_not_be_is_refused(shape: Any) -> None:
    with pytest.raises(ConfigError, match="sample_shape="):
        checked_shape(shape, "sample_shape")


def test_shapes_and_dtypes_are_taken_as_numpy_takes_them() -> None:
    assert (checked_shape(3, "s"), checked_shape([2, np.int64(3)], "s"), checked_shape((), "s")) == ((3,), (2, 3), ())
    assert checked_shape((-1, 3), "s", open_axis=True) == (-1, 3)
    with pytest.raises(ConfigError, match="one of them may be -1"):
        checked_shape((-1, -1), "s", open_axis=True)
    assert checked_dtype(">f4", "d") == np.dtype(">f4")
    for dtype in (None, "nonsense", "O", "U3", "M8[s]", [("a", "f4")]):
        with pytest.raises(ConfigError, match="d: "):
            checked_dtype(dtype, "d")
