"""Windows over a series: which there are, that nothing is copied, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import ConfigError, Loader, NpyArrays, RawArray, Windows, Zip
from loader.data.rows import BadSample
from loader.data.sources.arrays.stored_array import StoredArray
from tests.batches import take

SERIES = np.arange(60, dtype=np.float32).reshape(20, 3)


def read(source: Any, indices: Any) -> list[np.ndarray]:
    out = [np.full((len(indices), *leaf.shape), 99, leaf.dtype) for leaf in source.spec.leaves]
    source.read(np.array(indices, np.int64), out)
    return out


def expected(series: np.ndarray, length: int, stride: int, horizon: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The definition, step by step."""
    starts = [start for start in range(0, len(series), stride) if start + length + horizon <= len(series)]
    return [(series[start : start + length], series[start + length : start + length + horizon]) for start in starts]


def forms(folder: Path, series: np.ndarray) -> dict[str, Any]:
    """Return all that a series may be given as."""
    np.save(folder / "c.npy", series)
    np.save(folder / "f.npy", np.asfortranarray(series))
    np.save(folder / "big.npy", series.astype(">f4"))
    series.tofile(folder / "raw.bin")
    np.save(folder / "wide.npy", np.concatenate([series, series], axis=-1))
    return {
        "path": folder / "c.npy",
        "Fortran": folder / "f.npy",
        "other byte order": folder / "big.npy",
        "raw": RawArray(folder / "raw.bin", "f4", series.shape[1:]),
        "memmap": np.load(folder / "c.npy", mmap_mode="r"),
        "part of a memmap": np.load(folder / "wide.npy", mmap_mode="r")[..., : series.shape[-1]],
        "array": series,
        "reversed twice": series[::-1].copy()[::-1],
    }


@pytest.mark.parametrize("form", ["path", "Fortran", "other byte order", "raw", "memmap", "part of a memmap", "array", "reversed twice"])
@pytest.mark.parametrize(("length", "stride", "horizon"), [(1, 1, 0), (4, 1, 0), (4, 3, 2), (7, 5, 1), (20, 1, 0), (2, 40, 1), (3, 4, 3)])
def test_windows_are_those_of_the_definition(tmp_path: Path, form: str, length: int, stride: int, horizon: int) -> None:
    source = Windows(forms(tmp_path, SERIES)[form], length, stride, horizon)
    wanted = expected(SERIES, length, stride, horizon)
    assert len(source) == len(wanted)
    order = np.random.default_rng(0).permutation(len(source))
    for one in (source, pickle.loads(pickle.dumps(source))):
        found = read(one, order)
        np.testing.assert_array_equal(found[0], [wanted[index][0] for index in order])
        if horizon:
            np.testing.assert_array_equal(found[1], [wanted[index][1] for index in order])
        assert len(found) == (2 if horizon else 1)
        np.testing.assert_array_equal(one[len(one) - 1][0], wanted[-1][0])


def test_a_series_of_numbers_has_flat_windows() -> None:
    source = Windows(np.arange(10), length=4, horizon=1)
    assert str(source.spec) == "(x: (4,) int64, y: (1,) int64)"
    assert [value.tolist() for value in source[5]] == [[5, 6, 7, 8], [9]]
    assert repr(source) == "Windows(6 rows, x: (4,) int64, y: (1,) int64)"


def test_windows_of_several_files_do_not_reach_from_one_into_the_next(tmp_path: Path) -> None:
    for number in range(3):
        np.save(tmp_path / f"{number}.npy", np.arange(5 + number) + 100 * number)
    source = Windows(f"{tmp_path}/*.npy", 4)
    assert [source[index][0].tolist() for index in range(len(source))] == [
        expected_window.tolist() for number in range(3) for expected_window, _ in expected(np.arange(5 + number) + 100 * number, 4, 1, 0)
    ]
    assert source.name_of(3) == f"{tmp_path}/1.npy, steps 1 to 4"


def test_nothing_is_copied_beforehand(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", SERIES)
    for series in (tmp_path / "x.npy", np.load(tmp_path / "x.npy", mmap_mode="r")):
        for column in Windows(series, 4, horizon=2)._columns:
            assert isinstance(column.parts[0], StoredArray)
    (in_memory,) = Windows(SERIES, 4)._columns[0].parts
    assert np.shares_memory(in_memory, SERIES)


def test_it_is_taken_wherever_an_array_is() -> None:
    source = NpyArrays({"past": Windows(SERIES, 4)}, y=np.arange(17))
    np.testing.assert_array_equal(source[16][0]["past"], SERIES[16:])
    np.testing.assert_array_equal(Zip(Windows(SERIES, 4), y=NpyArrays(SERIES[3:, 0]))[2][1], SERIES[5, 0])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_makes_batches_of_them(tmp_path: Path, workers: int) -> None:
    np.save(tmp_path / "x.npy", SERIES)
    for series in (tmp_path / "x.npy", SERIES):
        with Loader(Windows(series, 4, horizon=2), 4, workers=workers) as loader:
            batches = [(x.copy(), y.copy()) for x, y in take(loader)]
        wanted = expected(SERIES, 4, 1, 2)
        np.testing.assert_array_equal(np.concatenate([x for x, _ in batches]), [x for x, _ in wanted])
        np.testing.assert_array_equal(np.concatenate([y for _, y in batches]), [y for _, y in wanted])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"length": 0}, "length=0; give a whole number of steps, 1 or more"),
        ({"length": 2.0}, "length=2.0"),
        ({"length": 2, "stride": 0}, "stride=0"),
        ({"length": 2, "horizon": -1}, "horizon=-1; give a whole number of steps, 0 or more"),
        ({"length": 2, "horizon": True}, "horizon=True"),
        ({"length": 21}, "the series has 20 steps, but length=21"),
        ({"length": 15, "horizon": 6}, "the series has 20 steps, but length=15 and horizon=6 need 21"),
        ({"length": 4, "sequence_length": 6}, "Windows has no argument 'sequence_length' (did you mean length?)"),
    ],
)
def test_what_can_not_be_is_refused(arguments: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Windows(SERIES, **arguments)
    assert words in str(caught.value)


def test_several_arrays_are_paired_by_zip() -> None:
    with pytest.raises(ConfigError, match=r"Windows takes one array, not a dict; for several: Zip"):
        Windows({"a": SERIES}, 4)


def test_a_series_that_is_too_short_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", SERIES)
    np.save(tmp_path / "b.npy", SERIES[:3])
    with pytest.raises(ConfigError, match=r"b\.npy has 3 steps, but length=4"):
        Windows([tmp_path / "a.npy", tmp_path / "b.npy"], 4)


def test_a_file_that_goes_before_it_is_mapped_is_a_bad_sample(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", SERIES)
    source = Windows(tmp_path / "x.npy", 4)
    (tmp_path / "x.npy").unlink()
    with pytest.raises(BadSample) as caught:
        read(source, [3])
    assert f"{tmp_path}/x.npy" in str(caught.value.__cause__)


def test_windows_are_those_of_timeseries_dataset_from_array() -> None:
    """By the definition in its documentation, which is what docs/my_data_is_a_time_series.md promises; without TensorFlow."""
    data = np.arange(100)
    for length, stride in ((10, 1), (10, 3), (7, 7)):
        starts = np.arange(0, len(data) - (length - 1), stride)
        source = Windows(data, length, stride)
        assert [int(source[index][0][0]) for index in range(len(source))] == starts.tolist()
        with_targets = Windows(data, length, stride, horizon=1)  # targets = data[length:], of which the last window has none
        assert [int(with_targets[index][1][0]) for index in range(len(with_targets))] == data[length:][starts[starts < len(data) - length]].tolist()


def test_a_split_of_windows_that_overlap_warns() -> None:
    for source in (Windows(SERIES, 4), Windows(SERIES, 2, stride=2, horizon=1), Zip(Windows(SERIES, 3), y=NpyArrays(np.arange(18)))):
        with pytest.warns(RuntimeWarning, match=r"overlap, and a split at random .*Windows\(series\[:border\], ") as caught:
            source.split(0.25)
        assert caught[0].filename == __file__


def test_a_split_of_windows_that_do_not_overlap_or_of_groups_is_silent(recwarn: pytest.WarningsRecorder) -> None:
    Windows(SERIES, 2, stride=2).split(0.25)
    Windows(SERIES, 4).split(0.5, groups=np.arange(17) // 4)
    assert not recwarn.list
