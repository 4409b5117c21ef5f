"""Records of a file without a header, by themselves and wherever an array is taken."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import ConfigError, DataNotFoundError, DecodeError, Loader, NpyArrays, RawArray, Zip
from loader.data.rows import BadSample
from tests.batches import take

X = np.arange(60, dtype=np.float32).reshape(10, 3, 2)


def write(path: Path, array: np.ndarray, header: bytes = b"") -> Path:
    path.write_bytes(header + array.tobytes())
    return path


def read(source: Any, indices: list[int]) -> list[np.ndarray]:
    out = [np.full((len(indices), *leaf.shape), 99, leaf.dtype) for leaf in source.spec.leaves]
    source.read(np.array(indices, np.int64), out)
    return out


@pytest.mark.parametrize("dtype", ["u1", "<i2", ">i2", ">f4", "f8", "c8", "?"])
@pytest.mark.parametrize("shape", [(), (3,), (3, 2)])
@pytest.mark.parametrize("offset", [0, 3, 16])
def test_a_record_is_what_was_written(tmp_path: Path, dtype: str, shape: tuple[int, ...], offset: int) -> None:
    array = np.arange(10 * int(np.prod(shape))).reshape(10, *shape).astype(dtype)
    source = RawArray(write(tmp_path / "x.bin", array, bytes(offset)), dtype, shape, offset)
    for one in (source, pickle.loads(pickle.dumps(source))):
        np.testing.assert_array_equal(read(one, [7, 0, 7, 9])[0], array[[7, 0, 7, 9]])
        np.testing.assert_array_equal(one[-1][0], array[-1])
    assert (len(source), source.spec.leaves[0].shape) == (10, shape)
    assert source.spec.leaves[0].dtype == array.dtype.newbyteorder("=")
    assert source.name_of(3) == f"{tmp_path}/x.bin, row 3"


def test_it_is_taken_wherever_an_array_is(tmp_path: Path) -> None:
    raw = RawArray(write(tmp_path / "x.bin", X), "f4", (3, 2))
    y = RawArray(write(tmp_path / "y.bin", np.arange(10, dtype=np.uint8), b"head"), "u1", (), offset=4)
    source = NpyArrays({"a": raw, "b": X}, y, y)
    x, labels, weights = source[4]
    np.testing.assert_array_equal(x["a"], X[4])
    assert (labels, weights, source.labels().tolist()) == (4, 4, list(range(10)))
    np.save(tmp_path / "x.npy", X[::-1])
    joined = NpyArrays([raw, str(tmp_path / "x.npy"), raw])
    np.testing.assert_array_equal(read(joined, [0, 10, 29])[0], [X[0], X[9], X[9]])
    np.testing.assert_array_equal(read(raw + raw, [0, 19])[0], X[[0, 9]])
    assert Zip(raw, y=y).labels().tolist() == list(range(10))


@pytest.mark.parametrize("workers", [0, 2])
def test_it_is_a_source_of_its_own(tmp_path: Path, workers: int) -> None:
    with Loader(RawArray(write(tmp_path / "x.bin", X), "f4", (3, 2)), 4, workers=workers) as loader:
        np.testing.assert_array_equal(np.concatenate([x.copy() for (x,) in take(loader)]), X)


def test_its_rows_cost_what_those_of_a_npy_file_cost(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    raw, npy = RawArray(write(tmp_path / "x.bin", X), "f4", (3, 2)), NpyArrays(tmp_path / "x.npy")
    raw.open()
    npy.open()
    for ours, theirs in zip(raw._columns[0]._known[0], npy._columns[0]._known[0], strict=True):
        assert (ours.strides, ours.shape, ours.flags.c_contiguous) == (theirs.strides, theirs.shape, theirs.flags.c_contiguous)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda here: RawArray(here / "x.bin", "f4", (3, 3)), DecodeError, "and 243 = 6 × 36 + 27. What would fit: this shape with dtype uint8. "),
        (lambda here: RawArray(here / "x.bin", "u1", (3, 2, 4)), DecodeError, "x.bin: has 243 bytes; a record of shape (3, 2, 4)"),
        (lambda here: RawArray(here / "x.npy", "f4", (3, 2)), DecodeError, "x.npy: is a .npy file, whose header says what is in it: NpyArrays('"),
        (lambda here: RawArray(here / "x.gz", "f4", (3, 2)), DecodeError, "It begins as a gzip file does"),
        (lambda here: RawArray(here / "empty", "f4", (3, 2)), DecodeError, "is empty (0 bytes)"),
        (lambda here: RawArray(here / "none", "f4", (3, 2)), DataNotFoundError, "Relative paths start at the working directory"),
        (lambda here: RawArray(here, "f4", (3, 2)), DecodeError, "is a folder, not a file; give the path of a file in it"),
        (lambda here: RawArray(here / "fifo", "f4", (3, 2)), DecodeError, "a FIFO"),
        (lambda here: RawArray([here / "x.bin"], "f4", (3, 2)), ConfigError, "NpyArrays([RawArray(path, "),
        (lambda here: RawArray(here / "*.bin", "f4", (3, 2)), ConfigError, "NpyArrays([RawArray(path, "),
        (lambda here: RawArray(3, "f4", (3, 2)), ConfigError, "a path must be"),
        (lambda here: RawArray(here / "x.bin", "nonsense", (3, 2)), ConfigError, "dtype='nonsense' is none ("),
        (lambda here: RawArray(here / "x.bin", (3, 2), "f4"), ConfigError, "dtype=(3, 2) is none ("),  # type: ignore[arg-type]
        (lambda here: RawArray(here / "x.bin", "O", (3, 2)), ConfigError, "object"),
        (lambda here: RawArray(here / "x.bin", "u1", (0,)), ConfigError, "sample_shape=(0,)"),
        (lambda here: RawArray(here / "x.bin", "u1", (3,), offset=-1), ConfigError, "offset=-1"),
        (lambda here: RawArray(here / "x.bin", "u1", (3,), offset=400), DecodeError, "nothing is left after offset=400"),
        (lambda here: RawArray(here / "x.bin", "u1", shape=(3,)), ConfigError, "sample_shape"),
    ],
)
def test_what_can_not_be_is_refused_when_the_source_is_made(tmp_path: Path, make: Any, error: type[Exception], words: str) -> None:
    write(tmp_path / "x.bin", X, b"abc")
    write(tmp_path / "x.gz", np.zeros(101, np.uint8), b"\x1f\x8b")
    np.save(tmp_path / "x.npy", X)
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(error) as caught:
        make(tmp_path)
    assert words in str(caught.value)


def test_a_file_that_shrinks_before_it_is_mapped_is_a_bad_sample(tmp_path: Path) -> None:
    source = RawArray(write(tmp_path / "x.bin", X), "f4", (3, 2))
    os.truncate(tmp_path / "x.bin", 100)
    with pytest.raises(BadSample) as caught:
        read(source, [3, 4])
    assert caught.value.index == 3
    assert "truncated" in str(caught.value.__cause__)


def test_a_source_of_several_arrays_is_not_one_array() -> None:
    with pytest.raises(ConfigError, match=r"which has several arrays; give a source of one array, or Zip"):
        NpyArrays(NpyArrays(X, y=X))
