"""What every source can do: index, subset, sum, split."""

from __future__ import annotations

import numpy as np
import pytest

from loader.data.rows import BadSample
from loader.data.sources.arrays.npy_arrays import NpyArrays
from loader.data.sources.objects.map_source import MapSource
from loader.data.sources.source import Source
from loader.errors import ConfigError


def numbers(start: int, stop: int, classes: int = 0) -> NpyArrays:
    values = np.arange(start, stop)
    return NpyArrays(values, values % classes) if classes else NpyArrays(values)


def values(source: Source) -> list[int]:
    out = [np.empty((len(source), *leaf.shape), leaf.dtype) for leaf in source.spec.leaves]
    source.read(np.arange(len(source)), out)
    assert [int(source[i][0]) for i in range(len(source))] == out[0].tolist()
    return out[0].tolist()


def test_negative_indices_count_from_the_end() -> None:
    source = numbers(10, 15)
    assert [int(source[i][0]) for i in (0, -1, -5, np.int64(2))] == [10, 14, 10, 12]
    for index in (5, -6):
        with pytest.raises(IndexError, match="of 5"):
            source[index]
    with pytest.raises(TypeError):
        source[1.0]  # type: ignore[index]


def test_a_subset_has_the_given_samples_in_the_given_order() -> None:
    source = numbers(10, 20)
    assert values(source.subset([3, 0, -1, 3])) == [13, 10, 19, 13]
    assert values(source.subset(np.arange(10) % 4 == 0)) == [10, 14, 18]
    assert values(source.subset([3, 0, 5]).subset([2, 1])) == [15, 10]
    assert len(source.subset([])) == 0


@pytest.mark.parametrize("indices", [[10], [-11], [[1]], [0.5], [True, False]])
def test_a_subset_of_what_is_not_there_is_refused(indices: list[object]) -> None:
    with pytest.raises(ConfigError):
        numbers(0, 10).subset(indices)


def test_a_subset_names_a_bad_sample_by_its_own_index() -> None:
    class Bad:
        def __len__(self) -> int:
            return 10

        def __getitem__(self, index: int) -> int:
            return 1 // (index - 7) and index

    with pytest.raises(BadSample) as caught:
        MapSource(Bad()).subset([2, 9, 7]).read(np.array([0, 2]), [np.empty(2, np.int32)])
    assert caught.value.index == 2
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_split_shares_no_sample_leaves_none_out_and_follows_its_seed() -> None:
    source = numbers(0, 100)
    train, val = (values(part) for part in source.split(validation=0.2, seed=3))
    assert (len(train), len(val)) == (80, 20)
    assert sorted(train + val) == list(range(100))
    assert (train, val) == (sorted(train), sorted(val))
    assert values(source.split(validation=0.2, seed=3)[1]) == val != values(source.split(validation=0.2, seed=4)[1])


def test_a_stratified_split_gives_each_class_the_same_share() -> None:
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    train, val = NpyArrays(np.arange(100), labels).split(validation=0.2, stratify=True)
    assert np.bincount(val.labels()).tolist() == [12, 6, 2]  # type: ignore[arg-type]
    assert np.bincount(train.labels()).tolist() == [48, 24, 8]  # type: ignore[arg-type]


def test_a_split_that_leaves_a_side_empty_or_has_no_classes_is_refused() -> None:
    for share in (0.0, 1.0, 0.01):
        with pytest.raises(ConfigError, match="leaves nothing"):
            numbers(0, 10).split(validation=share)
    with pytest.raises(ConfigError, match="stratify"):
        numbers(0, 10).split(stratify=True)
