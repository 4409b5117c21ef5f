"""Sums of sources: read in bulk, whatever they add; refused where the samples are of different kinds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import Loader
from loader.data.rows import BadSample
from loader.data.sources.arrays.npy_arrays import NpyArrays
from loader.data.sources.files.npy_files import NpyFiles
from loader.data.sources.joined import Joined, check_sums
from loader.data.sources.objects.map_source import MapSource
from loader.data.sources.source import Source
from loader.data.sources.zip_source import Zip
from loader.data.spec import Sample
from loader.data.transforms import Rescale
from loader.errors import ConfigError

X = np.arange(40 * 6, dtype=np.float32).reshape(40, 2, 3)
Y = np.arange(40, dtype=np.int32) % 7


def numbers(start: int, stop: int, classes: int = 0) -> NpyArrays:
    values = np.arange(start, stop)
    return NpyArrays(values, values % classes) if classes else NpyArrays(values)


def read(source: Source, indices: Sequence[int]) -> list[np.ndarray]:
    out = [np.zeros((len(indices), *leaf.shape), leaf.dtype) for leaf in source.spec.leaves]
    source.read(np.array(indices, np.int64), out)
    return out


def values(source: Source) -> list[int]:
    (x,) = read(source, range(len(source)))
    assert [int(source[i][0]) for i in range(len(source))] == x.tolist()
    return x.tolist()


def files(folder: Path) -> NpyFiles:
    for number, x in enumerate(X):
        np.save(folder / f"{number:02d}.npy", x if number % 3 else np.asfortranarray(x.astype(">f4")))
    return NpyFiles(folder, labels=Y)


class Bulk(Source):
    """A source of the user's that reads many samples at once."""

    def __init__(self, bad: int = -1) -> None:
        self.calls = 0
        self.bad = bad

    def __len__(self) -> int:
        return len(X)

    def sample(self, index: int) -> Sample:
        return X[index], Y[index]

    def read(self, indices: Any, out: Any) -> None:
        self.calls += 1
        if self.bad in indices:
            raise BadSample(self.bad) from OSError("unreadable")
        out[0][:], out[1][:] = X[indices], Y[indices]


class BulkOverFiles(NpyFiles):
    """Files of the user's, read in a way of its own."""

    def read(self, indices: Any, out: Any) -> None:
        super().read(indices, out)
        out[0][:] += 1000


def test_a_sum_has_the_samples_of_all_one_source_after_the_other() -> None:
    source = numbers(0, 3) + numbers(10, 11) + numbers(20, 22)
    assert values(source) == [0, 1, 2, 10, 20, 21]
    assert values(source.subset([5, 3])) == [21, 10]
    assert (numbers(0, 3, 2) + numbers(3, 5, 2)).labels().tolist() == [0, 1, 0, 1, 0]  # type: ignore[union-attr]
    with pytest.raises(TypeError):
        source + np.arange(2).tolist()


def test_a_sum_of_every_kind_of_source_reads_what_each_of_them_reads(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", X)
    (tmp_path / "files").mkdir()
    in_files = files(tmp_path / "files")
    parts = [
        in_files,
        NpyArrays(X, Y),
        NpyArrays(str(tmp_path / "rows.npy"), Y),
        in_files.subset([7, 3, 3, 39, 0]),
        MapSource([(x, y) for x, y in zip(X, Y, strict=True)]),
        Zip(NpyArrays(X), y=NpyArrays(Y)),
        Bulk(),
        (Bulk() + in_files).subset(np.arange(79, -1, -1)),
        NpyArrays(np.asfortranarray(X), Y.astype(">i4")),
        BulkOverFiles([f"{tmp_path}/files/{number:02d}.npy" for number in range(40)], labels=Y),
    ]
    source = sum(parts[1:], parts[0])
    single = [read(part, [row]) for part in parts for row in range(len(part))]
    for count in (1, 3, 200, 2 * len(source)):
        indices = np.random.default_rng(count).permutation(2 * len(source))[:count] % len(source)
        x, y = read(source, indices.tolist())
        np.testing.assert_array_equal(x, np.concatenate([single[index][0] for index in indices]))
        np.testing.assert_array_equal(y, np.concatenate([single[index][1] for index in indices]))


@pytest.mark.parametrize("row", [(), (3,), (100, 100), (0,)])
def test_rows_of_any_size_come_to_their_places(row: tuple[int, ...]) -> None:
    first, second = (np.random.default_rng(seed).integers(0, 255, (50, *row), np.uint8) for seed in (1, 2))
    source = Joined([NpyArrays(first), NpyArrays(second)])
    indices = np.random.default_rng(3).permutation(100)
    np.testing.assert_array_equal(read(source, indices.tolist())[0], np.concatenate([first, second])[indices])


def test_each_source_is_asked_once_for_all_of_its_rows() -> None:
    first, second = Bulk(), Bulk()
    read(first + second, np.random.default_rng(0).permutation(80).tolist())
    assert (first.calls, second.calls) == (1, 1)


def test_the_first_bad_sample_of_a_sum_is_named_and_the_rows_before_it_are_whole() -> None:
    source = Bulk(bad=5) + Bulk(bad=2)
    for indices, bad in (([41, 0, 42, 5, 1], 42), ([41, 0, 5, 42, 1], 5)):
        out = [np.zeros((5, 2, 3), np.float32), np.zeros(5, np.int32)]
        with pytest.raises(BadSample) as caught:
            source.read(np.array(indices), out)
        assert caught.value.index == bad
        assert isinstance(caught.value.__cause__, OSError)
        np.testing.assert_array_equal(out[0][:2], X[[1, 0]])


def test_arrays_that_are_added_are_one_source_of_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    source = NpyArrays(X, Y) + NpyArrays(X + 1, Y) + NpyArrays(str(tmp_path / "x.npy"), Y)
    assert isinstance(source, NpyArrays)
    assert repr(source) == "NpyArrays(120 rows, x: (2, 3) float32, y: () int32)"
    assert source.name_of(81) == f"{tmp_path}/x.npy, row 1"
    assert source.name_of(79) is None
    np.testing.assert_array_equal(source.labels(), np.tile(Y, 3))  # type: ignore[arg-type]


KINDS = {
    "shapes": (numbers(0, 3), NpyArrays(np.zeros((2, 5), np.int64))),
    "parts": (numbers(0, 3), numbers(0, 3, 2)),
    "dtypes": (numbers(0, 3), NpyArrays(np.zeros(2))),
    "inside a subset": (numbers(0, 3).subset([1]), NpyArrays(np.zeros(2)).subset([0])),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("transforms", [[], [Rescale(2.0)]])
def test_a_sum_of_different_kinds_of_samples_is_refused_when_the_loader_is_made(kind: str, transforms: list[Any]) -> None:
    first, second = KINDS[kind]
    for source in (first + second, (first + second).subset([0]), first + (first + second)):
        with pytest.raises(ConfigError, match="one kind") as caught:
            Loader(source, 2, transforms=transforms, workers=0)
        assert str(first.spec) in str(caught.value)
        assert str(second.spec) in str(caught.value)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_sum_of_functions_of_different_kinds_is_refused_before_the_first_batch(workers: int) -> None:
    with Loader(MapSource([1, 2]) + MapSource([1.5, 2.5]), 2, workers=workers) as loader, pytest.raises(ConfigError, match="one kind"):
        next(iter(loader))


def test_a_first_function_may_make_samples_of_different_kinds_alike() -> None:
    source = NpyArrays(np.ones((2, 3))) + NpyArrays(np.ones((2, 5)))
    with Loader(source, 2, transforms=[lambda sample, rng: (sample[0].sum(),)], workers=0) as loader:
        assert [x.tolist() for (x,) in loader] == [[3, 3], [5, 5]]


def test_what_can_not_be_read_yet_is_no_error_of_a_sum(tmp_path: Path) -> None:
    (tmp_path / "empty.npy").touch()
    check_sums(NpyFiles([tmp_path / "empty.npy"]) + numbers(0, 3), reading=False)


def test_a_first_sample_that_is_bad_is_no_error_of_a_sum() -> None:
    class Bad:
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> int:
            raise OSError("unreadable")

    check_sums(numbers(0, 3) + MapSource(Bad()), reading=True)
