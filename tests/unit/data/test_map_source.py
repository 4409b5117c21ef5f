"""Objects with `len()` and `[]` as sources."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from loader.data.map_source import MapSource
from loader.data.source import BadSample
from loader.errors import ConfigError


class Squares:
    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        if index == 3:
            raise KeyError("three")
        return np.full(2, index, np.float64), index * index


def test_samples_are_those_of_the_object() -> None:
    source = MapSource(Squares())
    assert len(source) == 5
    assert str(source.spec) == "(x: (2,) float64, y: () int32)"
    x, y = np.empty((2, 2)), np.empty(2, np.int32)
    source.read(np.array([4, 1]), [x, y])
    assert (x[:, 0].tolist(), y.tolist()) == ([4, 1], [16, 1])
    assert source.name_of(0) is None
    assert repr(source) == "MapSource(Squares of 5)"


def test_an_item_that_is_no_tuple_is_x_alone() -> None:
    assert MapSource([1.5, 2.5])[1] == (2.5,)
    np.testing.assert_array_equal(MapSource(np.eye(3))[2][0], [0, 0, 1])
    assert str(MapSource([{"a": 1, "b": 2.0}]).spec) == "(x['a']: () int32, x['b']: () float32)"


def test_an_error_of_the_object_names_the_sample() -> None:
    with pytest.raises(BadSample) as caught:
        MapSource(Squares()).read(np.array([0, 3]), [np.empty((2, 2)), np.empty(2, np.int32)])
    assert caught.value.index == 3
    assert isinstance(caught.value.__cause__, KeyError)


def test_an_item_of_another_shape_names_the_sample() -> None:
    with pytest.raises(BadSample) as caught:
        MapSource([np.zeros(2), np.zeros(3)]).read(np.array([0, 1]), [np.empty((2, 2))])
    assert caught.value.index == 1


class NoLength:
    def __getitem__(self, index: int) -> int:
        return index

    def __len__(self) -> int:
        raise NotImplementedError("endless")


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        (iter([1, 2]), "no __len__ and no __getitem__"),
        ({1, 2}, "no __getitem__"),
        ({"x": 1}, "goes by keys.*NpyArrays"),
        ([], "empty list"),
        (NoLength(), "endless"),
    ],
)
def test_an_object_that_is_no_sequence_is_refused(obj: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        MapSource(obj)
