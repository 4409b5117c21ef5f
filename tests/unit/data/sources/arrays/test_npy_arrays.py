"""Rows of large arrays: in files, in memory, mapped by others."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from loader.data.copy_rows import gather, is_direct
from loader.data.rows import BadSample
from loader.data.sources.arrays import array_column, array_parts
from loader.data.sources.arrays.npy_arrays import NpyArrays
from loader.data.sources.arrays.stored_array import StoredArray
from loader.data.sources.source import Source
from loader.errors import ConfigError, DataNotFoundError, LabelError, NpyError
from tests.examples import examples

X = np.arange(60, dtype=np.float32).reshape(10, 3, 2)


def read(source: Source, indices: Any) -> list[np.ndarray]:
    out = [np.full((len(indices), *leaf.shape), 99, leaf.dtype) for leaf in source.spec.leaves]
    source.read(np.array(indices, np.int64), out)
    return out


def travelled(source: NpyArrays) -> NpyArrays:
    """Return the source as a worker gets it: arrays in read-only memory that others own."""
    buffers: list[pickle.PickleBuffer] = []
    payload = pickle.dumps(source, protocol=5, buffer_callback=buffers.append)
    again = pickle.loads(payload, buffers=[bytes(buffer.raw()) for buffer in buffers])
    assert isinstance(again, NpyArrays)
    return again


def save(path: Path, array: np.ndarray) -> str:
    np.save(path, array)
    return str(path)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["?", "u1", "<i2", ">i2", "<f4", ">f8", "f2", "c8", "g"])
@pytest.mark.parametrize("shape", [(10,), (10, 3), (10, 3, 2), (10, 0)])
def test_rows_of_a_file_are_what_was_saved(tmp_path: Path, shape: tuple[int, ...], dtype: str, order: str) -> None:
    array = np.asarray(np.arange(np.prod(shape)).reshape(shape).astype(dtype), order=order)
    source = NpyArrays(save(tmp_path / "x.npy", array))
    for one in (source, travelled(source)):
        (rows,) = read(one, [7, 0, 7, 9])
        np.testing.assert_array_equal(rows, array[[7, 0, 7, 9]])
        assert rows.dtype == one.spec.leaves[0].dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(one[3][0], array[3])
    assert (len(source), source.spec.leaves[0].shape) == (10, shape[1:])
    assert source.name_of(3) == f"{tmp_path}/x.npy, row 3"


def test_files_are_joined_in_the_order_of_the_list_or_of_their_names(tmp_path: Path) -> None:
    parts = [X[:3], X[3:3], X[3:4], X[4:]]
    paths = [save(tmp_path / f"{name}.npy", part) for name, part in zip("cbda", parts, strict=True)]
    listed, globbed = NpyArrays(paths), NpyArrays(f"{tmp_path}/*.npy")
    np.testing.assert_array_equal(read(listed, range(10))[0], X)
    np.testing.assert_array_equal(read(listed, [9, 0, 3, 3, 4, 2])[0], X[[9, 0, 3, 3, 4, 2]])
    np.testing.assert_array_equal(read(globbed, range(10))[0], np.concatenate([X[4:], X[:3], X[3:4]]))
    np.testing.assert_array_equal(listed[3][0], X[3])
    assert (listed.name_of(3), listed.name_of(9)) == (f"{tmp_path}/d.npy, row 0", f"{tmp_path}/a.npy, row 5")


@examples(60)
@given(
    cuts=st.lists(st.integers(0, 40), max_size=5).map(sorted),
    indices=st.lists(st.integers(0, 39), max_size=60),
    width=st.sampled_from([1, 1000]),
    fortran=st.booleans(),
)
def test_rows_of_several_files_arrive_at_their_places(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], indices: list[int], width: int, fortran: bool
) -> None:
    folder = tmp_path_factory.mktemp("parts")
    array = np.arange(40 * width, dtype=np.float32).reshape(40, width)
    for number, part in enumerate(np.split(array, cuts)):
        np.save(folder / f"{number}.npy", np.asarray(part, order="F" if fortran else "C"))
    source = NpyArrays(f"{folder}/*.npy")
    np.testing.assert_array_equal(read(source, indices)[0], array[indices])


def test_arrays_in_memory_travel_out_of_band_and_stay_what_they_are() -> None:
    source = NpyArrays(X, y=np.arange(10))
    buffers: list[pickle.PickleBuffer] = []
    payload = pickle.dumps(source, protocol=5, buffer_callback=buffers.append)
    assert len(payload) < 2000
    assert {buffer.raw().nbytes for buffer in buffers} >= {X.nbytes, 80}
    again = pickle.loads(payload, buffers=buffers)
    assert np.shares_memory(again._columns[0].whole(), X)
    x, y = read(travelled(source), [4, 1])
    np.testing.assert_array_equal(x, X[[4, 1]])
    assert y.tolist() == [4, 1]
    assert source.name_of(0) is None


def test_arrays_of_any_memory_layout_are_made_plain_at_construction() -> None:
    raw = np.zeros(X.nbytes + 1, np.uint8)
    unaligned = raw[1:].view(np.float32).reshape(X.shape)
    unaligned[...] = X
    for array in (np.asfortranarray(X), X.astype(">f4"), np.repeat(X, 2, axis=0)[::2], X[::-1][::-1], unaligned, X.tolist()):
        source = NpyArrays(array)
        assert source._columns[0].whole() is not None
        np.testing.assert_array_equal(read(source, [5, 2])[0], X[[5, 2]])


@pytest.mark.parametrize(
    "part",
    [
        slice(None),
        slice(2, 7),
        (slice(None), slice(1, 3)),
        slice(None, None, 2),
        slice(None, None, -1),
    ],
)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("offset", [0, 4, 5000])
def test_a_memmap_travels_by_its_path(tmp_path: Path, part: Any, order: str, offset: int) -> None:
    whole = np.memmap(tmp_path / "raw.bin", X.dtype, "w+", offset, X.shape, order)  # type: ignore[call-overload]
    whole[...] = X
    whole.flush()
    mapped = np.memmap(tmp_path / "raw.bin", X.dtype, "r", offset, X.shape, order)[part]  # type: ignore[call-overload]
    source = NpyArrays(mapped)
    assert len(pickle.dumps(source, protocol=5)) < 2000
    np.testing.assert_array_equal(read(travelled(source), [1, 0, 2])[0], X[part][[1, 0, 2]])


def test_a_memmap_of_np_load_travels_by_its_path_and_one_with_private_changes_by_its_content(tmp_path: Path) -> None:
    path = save(tmp_path / "x.npy", X)
    assert NpyArrays(np.load(path, mmap_mode="r")).name_of(2) == f"{path}, row 2"
    private = np.load(path, mmap_mode="c")
    private[0] = -1
    source = NpyArrays(private)
    assert source.name_of(2) is None
    assert read(travelled(source), [0])[0].max() == -1
    with pytest.raises(LabelError, match="dtype"):
        NpyArrays(np.memmap(path, "M8[s]", "r", shape=(3,)))


@pytest.mark.parametrize("mapped", [True, False])
def test_windows_are_rows_and_never_written_out(tmp_path: Path, mapped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_parts, "_LARGE_BYTES", 100)
    series = np.load(save(tmp_path / "x.npy", X), mmap_mode="r") if mapped else X
    windows = sliding_window_view(series, 4, axis=0)
    source = NpyArrays(windows, y=np.arange(7))
    (part,) = source._columns[0].parts
    assert isinstance(part, StoredArray) if mapped else np.shares_memory(part, X)
    np.testing.assert_array_equal(read(source, [6, 0, 3])[0], windows[[6, 0, 3]])
    np.testing.assert_array_equal(source[2][0], windows[2])
    with pytest.raises(LabelError, match="dtype"):
        NpyArrays(sliding_window_view(X.view("M8[s]"), 4, axis=0))


class Later:
    """What looks like an array and has its data in a file."""

    __module__ = "h5py._hl.dataset"
    shape = (10**9, 28, 28)
    dtype = np.dtype("f4")

    def __len__(self) -> int:
        return 10**9

    def __getitem__(self, index: Any) -> Any:
        raise AssertionError("read")

    def __array__(self, *arguments: Any) -> Any:
        raise AssertionError("read whole")


def test_what_reads_its_data_when_asked_is_refused_and_not_read() -> None:
    for make in (lambda: NpyArrays(Later()), lambda: NpyArrays(X, y=Later()), lambda: NpyArrays({"a": X, "b": Later()})):
        with pytest.raises(
            ConfigError, match=r"is a h5py\.Later of shape \(1000000000, 28, 28\) and dtype float32, .* What to do: MapSource\(dataset\)"
        ):
            make()


class Series:
    """A pandas Series has shape, dtype and items as well, and its data in memory."""

    shape = (10,)
    dtype = np.dtype("i8")

    def __getitem__(self, index: Any) -> Any:
        return np.arange(10)[index]

    def to_numpy(self) -> Any:
        return np.arange(10)

    def __array__(self, *arguments: Any, **more: Any) -> Any:
        return np.arange(10)


def test_what_is_in_memory_by_another_name_is_taken() -> None:
    for y in (Series(), memoryview(np.arange(10)), list(range(10))):
        assert read(NpyArrays(X, y=y), [4])[1].tolist() == [4]


def test_parts_may_be_dicts_and_weights_follow(tmp_path: Path) -> None:
    source = NpyArrays({"a": X, "b": save(tmp_path / "b.npy", np.arange(10))}, y={"c": list(range(10))}, sample_weight=np.ones(10))
    assert [leaf.name for leaf in source.spec.leaves] == ["x['a']", "x['b']", "y['c']", "sample_weight"]
    x, y, w = source[4]
    assert (x["b"], y["c"], w) == (4, 4, 1)
    assert read(source, [6])[2].dtype == np.int32


def test_leaves_that_are_not_wanted_are_left_out() -> None:
    source = NpyArrays(X, y=np.arange(10))
    y = np.empty(2, np.int64)
    source.read(np.array([3, 4]), [None, y])
    assert y.tolist() == [3, 4]


def test_only_plain_arrays_are_direct() -> None:
    raw = np.zeros(41, np.uint8)
    assert is_direct(X)
    assert not is_direct(X.astype(">f4"))
    assert not is_direct(np.asfortranarray(X))
    assert not is_direct(raw[1:].view(np.float32))
    out = np.empty((2, 3, 2), np.float32)
    gather(X.astype(">f4"), None, np.array([3, 1]), out)
    np.testing.assert_array_equal(out, X[[3, 1]])


def test_labels_are_y_where_it_is_one_array(tmp_path: Path) -> None:
    y = np.arange(10)
    assert NpyArrays(X).labels() is None
    for form in (y, save(tmp_path / "y.npy", y)):
        found = NpyArrays(X, form).labels()
        assert found is not None
        assert found.tolist() == y.tolist()
    assert NpyArrays(X, {"a": y, "b": y}).labels() is None


def test_another_number_of_labels_names_both_numbers() -> None:
    with pytest.raises(LabelError, match=r"x has 10 .*; y has 9 "):
        NpyArrays(X, y=np.zeros(9))
    with pytest.raises(LabelError, match=r"x\['b'\] has 3"):
        NpyArrays({"a": X, "b": np.zeros(3)})


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda here: NpyArrays(here / "none.npy"), DataNotFoundError, "does not exist"),
        (lambda here: NpyArrays(f"{here}/q*.npy"), DataNotFoundError, "matches no file"),
        (lambda here: NpyArrays(here), DataNotFoundError, "NpyFiles"),
        (lambda here: NpyArrays([]), DataNotFoundError, "empty"),
        (lambda here: NpyArrays(None), ConfigError, "x is None"),
        (lambda here: NpyArrays({}), ConfigError, "empty dict"),
        (lambda here: NpyArrays({1: X}), ConfigError, "must be strings"),
        (lambda here: NpyArrays(X, sample_weight=np.ones(10)), ConfigError, "needs y"),
        (lambda here: NpyArrays(X, np.array(["a"] * 10)), LabelError, "return_inverse"),
        (lambda here: NpyArrays(np.array([{}] * 3)), LabelError, "types"),
        (lambda here: NpyArrays(np.zeros(3, "M8[s]")), LabelError, "datetime64"),
        (lambda here: NpyArrays(save(here / "s.npy", np.float32(3))), NpyError, "no rows"),
        (lambda here: NpyArrays(np.float32(3)), LabelError, "single value"),
    ],
)
def test_what_cannot_be_rows_is_refused_at_construction(tmp_path: Path, make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make(tmp_path)


@pytest.mark.parametrize("other", [np.zeros((4, 2, 3), np.float32), np.zeros((4, 3, 2)), np.zeros(4, np.float32)])
def test_files_of_different_rows_are_refused_by_both_names(tmp_path: Path, other: np.ndarray) -> None:
    with pytest.raises(NpyError) as caught:
        NpyArrays([save(tmp_path / "a.npy", X), save(tmp_path / "b.npy", other)])
    for part in ("a.npy", "b.npy", "(3, 2)", "float32", str(other.shape[1:]), other.dtype.name):
        assert part in str(caught.value)


@pytest.mark.parametrize(("change", "word"), [(-1, "truncated"), (3, "over-long")])
def test_a_file_of_the_wrong_size_is_refused_at_construction(tmp_path: Path, change: int, word: str) -> None:
    path = save(tmp_path / "x.npy", X)
    os.truncate(path, os.path.getsize(path) + change)
    with pytest.raises(NpyError, match=word):
        NpyArrays(path)


def test_a_file_that_shrinks_or_goes_before_it_is_mapped_is_a_bad_sample_and_the_rows_before_are_whole(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{n}.npy", X[n * 2 : n * 2 + 2]) for n in range(5)]
    source = NpyArrays(np.arange(10), y=paths)
    os.truncate(paths[3], 150)
    os.unlink(paths[4])
    for bad, kind in ((6, NpyError), (9, FileNotFoundError)):
        out = [np.full(4, 99), np.full((4, 3, 2), 99, np.float32)]
        with pytest.raises(BadSample) as caught:
            source.read(np.array([1, 5, bad, 0]), out)
        assert caught.value.index == bad
        assert isinstance(caught.value.__cause__, kind)
        assert str(tmp_path) in str(caught.value.__cause__)
        assert out[0][:2].tolist() == [1, 5]
        np.testing.assert_array_equal(out[1][:2], X[[1, 5]])


def test_a_bad_file_among_gathered_ones_leaves_the_rows_before_it_whole(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{n}.npy", np.arange(100) + 100 * n) for n in range(2)]
    source = NpyArrays(paths)
    os.unlink(paths[0])
    indices = np.concatenate([np.arange(100, 130), np.arange(30), np.arange(100, 130)])
    out = [np.full(90, -1)]
    with pytest.raises(BadSample) as caught:
        source.read(indices, out)
    assert caught.value.index == 0
    assert out[0][:30].tolist() == list(range(100, 130))


def test_many_files_are_mapped_no_more_than_a_process_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_column, "MAX_MAPPED", 3)
    monkeypatch.setattr(array_column, "_MAX_MAPPED_AHEAD", 9)
    for number in range(10):
        np.save(tmp_path / f"{number}.npy", X[number : number + 1])
    source = NpyArrays(f"{tmp_path}/*.npy")
    np.testing.assert_array_equal(read(source, list(range(10)) * 2)[0], X[list(range(10)) * 2])
    assert len(source._columns[0]._known) == 3


def test_nothing_mapped_travels(tmp_path: Path) -> None:
    source = NpyArrays(save(tmp_path / "x.npy", np.zeros((1000, 100))))
    source.open()
    read(source, [1])
    assert len(pickle.dumps(source, protocol=5)) < 2000


def test_no_mapping_of_several_files_travels_either(tmp_path: Path) -> None:
    source = NpyArrays([save(tmp_path / f"{number}.npy", np.zeros((1000, 100))) for number in range(2)])
    source.open()
    read(source, [1])
    assert len(pickle.dumps(source, protocol=5)) < 2000


def test_a_single_sample_is_the_callers_to_change(tmp_path: Path) -> None:
    source = NpyArrays(save(tmp_path / "x.npy", X), y=np.zeros((10, 2)))
    x, y = source[1]
    x[:], y[:] = -7, -7
    np.testing.assert_array_equal(source[1][0], X[1])
    assert not source[1][1].any()


def test_its_words_say_rows_and_shapes() -> None:
    assert repr(NpyArrays(X, y=list(range(10)))) == "NpyArrays(10 rows, x: (3, 2) float32, y: () int32)"


def test_files_that_must_have_so_many_rows_are_checked_by_name(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{number}.npy", np.zeros((rows, 3))) for number, rows in enumerate([4, 4, 3, 4, 5])]
    assert len(NpyArrays(paths[:2], np.zeros(8), rows_per_file=4)) == 8
    with pytest.raises(NpyError) as caught:
        NpyArrays(paths, rows_per_file=4)
    assert str(caught.value).startswith(f"{paths[2]}: has 3 rows, but rows_per_file=4; ")
    assert "Of the 5 files, these differ too: 4.npy (5)" in str(caught.value)
    with pytest.raises(NpyError, match=r"2\.npy: has 3 rows, but rows_per_file=4; perhaps its writing was cut off$"):
        NpyArrays({"a": np.zeros((8, 1)), "b": paths[:2]}, y=[paths[1], paths[2]], rows_per_file=4)
    with pytest.raises(ConfigError, match="no array is in a file"):
        NpyArrays(X, rows_per_file=4)
    for rows in (0, True, 2.0, "4"):
        with pytest.raises(ConfigError, match="rows_per_file="):
            NpyArrays(paths, rows_per_file=rows)


def test_rows_that_lie_apart_or_overlap_are_copied_like_others(tmp_path: Path) -> None:
    array = np.arange(6000, dtype=np.int32).reshape(1000, 6)
    mapped = np.load(save(tmp_path / "x.npy", array), mmap_mode="r")
    order = np.random.default_rng(0).permutation(250)
    for view in (mapped[::2], mapped[::-1], mapped[::4], array[1::3], mapped[:, 2:], mapped[:, ::2], mapped[10:20].reshape(10, 3, 2)):
        source, chosen = NpyArrays(view), order[order < len(view)]
        for one in (source, travelled(source)):
            np.testing.assert_array_equal(read(one, chosen)[0], view[chosen])
            out = np.zeros((2 * len(chosen), *view.shape[1:]), np.int32)
            one.read_at(chosen, [out], 2 * np.arange(len(chosen)))
            np.testing.assert_array_equal(out[::2], view[chosen])
            assert not out[1::2].any()
