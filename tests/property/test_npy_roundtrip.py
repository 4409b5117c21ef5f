"""The reader of `.npy` files against numpy's writer, and against bytes that nobody wrote."""

from __future__ import annotations

import io
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from loader.data.npy.header import parse_header, read_array
from loader.data.npy.reader import NpyReader
from loader.data.rows import BadSample
from loader.errors import NpyError
from tests.examples import examples

ENDIANNESS = st.sampled_from("<>")
DTYPES = st.one_of(
    hnp.boolean_dtypes(),
    ENDIANNESS.flatmap(lambda order: hnp.integer_dtypes(endianness=order)),
    ENDIANNESS.flatmap(lambda order: hnp.unsigned_integer_dtypes(endianness=order)),
    ENDIANNESS.flatmap(lambda order: hnp.floating_dtypes(endianness=order, sizes=(16, 32, 64))),
    ENDIANNESS.flatmap(lambda order: hnp.complex_number_dtypes(endianness=order, sizes=(64, 128))),
    st.sampled_from([np.dtype(np.longdouble), np.dtype(np.clongdouble)]),
)
ARRAYS = DTYPES.flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=5)))
VERSIONS = st.sampled_from([(1, 0), (2, 0), (3, 0)])


@pytest.fixture(scope="module")
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "a.npy"


def written(array: np.ndarray, version: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy warns of versions that old readers do not know
        np.lib.format.write_array(file, array, version=version)
    return file.getvalue()


def npy_error_of(function: Callable[..., object], *args: object) -> NpyError | None:
    """Return the NpyError that a call raises, if any; other exceptions fail the test."""
    try:
        function(*args)
    except NpyError as error:
        return error
    return None


def bits(array: np.ndarray) -> bytes:
    """Return the values as native bytes in C order, so that NaNs compare by their bits; of long doubles, the ten bytes that count."""
    native = np.array(array, array.dtype.newbyteorder("="), order="C")
    if native.dtype.char in "gG" and native.dtype.itemsize >= 16:
        return np.atleast_1d(native).reshape(-1).view(np.uint8).reshape(-1, 16)[:, :10].tobytes()
    return native.tobytes()


@examples(250)
@given(array=ARRAYS, version=VERSIONS, fortran=st.booleans())
def test_every_supported_array_reads_back_identical(path: Path, array: np.ndarray, version: tuple[int, int], fortran: bool) -> None:
    array = np.asarray(array, order="F" if fortran else "C")
    path.write_bytes(written(array, version))
    found = read_array(str(path))
    assert (found.shape, found.dtype) == (array.shape, array.dtype.newbyteorder("="))
    assert bits(found) == bits(array)

    rows = np.empty((2, *array.shape), found.dtype)
    NpyReader(array.shape, found.dtype, "first").read(np.arange(2), [os.fsencode(path)] * 2, rows)
    assert bits(rows[0]) == bits(rows[1]) == bits(array)


@examples(400)
@given(
    array=ARRAYS,
    version=VERSIONS,
    changes=st.lists(st.tuples(st.integers(0, 150), st.integers(0, 255)), max_size=6),
    length=st.integers(0, 400),
)
def test_a_changed_header_raises_nothing_but_npy_error(
    path: Path, array: np.ndarray, version: tuple[int, int], changes: list[tuple[int, int]], length: int
) -> None:
    raw = bytearray(written(array, version))
    for place, value in changes:
        raw[place % len(raw)] = value
    path.write_bytes(raw[:length] if length < 200 else raw)
    error = npy_error_of(read_array, str(path))
    assert error is None or error.path == str(path)


@examples(400)
@given(st.one_of(st.binary(max_size=200), st.binary(max_size=200).map(lambda rest: b"\x93NUMPY\x01\x00" + rest)))
def test_any_bytes_are_a_header_or_an_npy_error(raw: bytes) -> None:
    error = npy_error_of(parse_header, raw, "a.npy")
    assert error is None or error.path == "a.npy"


@examples(400)
@given(
    st.lists(st.sampled_from(["{", "}", "'descr'", "'shape'", "'fortran_order'", ":", ",", "(", ")", "3", "L", "'<f4'", "True", " "]), max_size=24)
)
def test_any_words_of_a_header_in_any_order_are_a_header_or_an_npy_error(words: list[str]) -> None:
    text = "".join(words).encode()
    error = npy_error_of(parse_header, b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text, "a.npy")
    assert error is None or "header" in error.problem


@examples(100)
@given(
    order=st.lists(st.integers(0, 4), min_size=1, max_size=12),
    bad=st.sampled_from([None, "short", "long", "other"]),
)
def test_files_of_mixed_headers_arrive_whole_up_to_the_first_bad_one(path: Path, order: list[int], bad: str | None) -> None:
    values = np.arange(12, dtype="<f4").reshape(3, 4)
    kinds = [
        written(values, (1, 0)),
        written(values, (2, 0)),
        written(np.asfortranarray(values), (1, 0)),
        written(values.astype(">f4"), (1, 0)),
        written(values, (3, 0)),
    ]
    broken = {"short": kinds[0][:-3], "long": kinds[0] + b"x", "other": written(values.astype("<f8"), (1, 0))}
    files = []
    for number, raw in enumerate([*kinds, broken.get(bad or "", b"")]):
        file = path.with_name(f"{number}.npy")
        file.write_bytes(raw)
        files.append(os.fsencode(file))
    paths = [files[number] for number in order] + ([files[5]] if bad else [])
    rows = np.zeros((len(paths), 3, 4), np.float32)
    indices = np.arange(100, 100 + len(paths))
    reader = NpyReader((3, 4), np.dtype(np.float32), "first.npy")
    if bad:
        with pytest.raises(BadSample) as caught:
            reader.read(indices, paths, rows)
        assert caught.value.index == indices[-1]
        assert isinstance(caught.value.__cause__, NpyError)
    else:
        reader.read(indices, paths, rows)
    for row in rows[: len(order)]:
        np.testing.assert_array_equal(row, values)
