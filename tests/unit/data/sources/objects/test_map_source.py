"""Objects with `len()` and `[]` as sources."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from loader import Loader, SampleError
from loader.data.rows import BadSample
from loader.data.sources.objects.map_source import MapSource
from loader.errors import ConfigError, LabelError, PipelineError
from tests.batches import inline, take


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
        (iter([1, 2]), "from start to end.*list"),
        ({1, 2}, "a set has no order"),
        ({"x": 1}, "for a dict of arrays give NpyArrays"),
        ("data/train.csv", "NpyFiles.from_manifest"),
        (object(), "no __len__ and no __getitem__"),
        (Squares, r"it is a class; make an instance: Squares\(\.\.\.\)"),
        ([], "empty list"),
        (NoLength(), "endless"),
    ],
)
def test_an_object_that_is_no_sequence_is_refused(obj: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        MapSource(obj)


def made_by(package: str, name: str) -> Any:
    """Return an object of a class that derives from one of a framework, as its module and its name say."""
    framework = type(name, (Squares,), {"__module__": f"{package}.some.module"})
    return type("TheirOwn", (framework,), {"__module__": "__main__"})()


@pytest.mark.parametrize(
    ("package", "name", "words"),
    [
        ("keras", "PyDataset", "Keras PyDataset .*whose items are batches.*NpyArrays"),
        ("keras", "Sequence", "Keras PyDataset"),
        ("tf_keras", "Sequence", "Keras PyDataset"),
        ("tensorflow", "Sequence", "Keras PyDataset"),
        ("torch", "DataLoader", r"MapSource\(data_loader\.dataset\)"),
        ("torch", "IterableDataset", "can't be read in random order"),
        ("tensorflow", "DatasetV2", "tf.data.Dataset"),
        ("pandas", "DataFrame", "to_numpy"),
        ("loader", "Loader", r"loader\.source"),
    ],
)
def test_what_makes_batches_or_goes_by_keys_is_refused_with_what_to_give_instead(package: str, name: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        MapSource(made_by(package, name))


def test_a_class_of_the_same_name_from_elsewhere_is_taken() -> None:
    assert len(MapSource(made_by("own", "Sequence"))) == 5


class Batches:
    batch_size = 3

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return np.zeros((3, 8)), np.zeros(3)


def test_an_item_that_is_a_batch_is_refused() -> None:
    source = MapSource(Batches())
    for _ in range(2):
        with pytest.raises(PipelineError, match=r"MapSource\(Batches of 2\) returns batches, .*Batches\.batch_size=3"):
            _ = source.spec


def test_an_item_that_is_no_sample_is_the_sources_fault() -> None:
    for item in ("text", None, [np.zeros(2), 1], (1, 2, 3, 4)):
        with pytest.raises(PipelineError, match="returns something that is not a sample: "):
            _ = MapSource([item]).spec


def test_what_the_object_itself_raises_comes_as_it_is() -> None:
    with pytest.raises(KeyError, match="three"):
        MapSource(Squares())[3]


# IDs and labels that are given beside the object.


def test_ids_name_the_samples() -> None:
    names = [f"case {number}" for number in range(5)]
    for ids in (names, tuple(names), lambda index: f"case {index}"):
        source = MapSource(Squares(), ids=ids)
        assert source.name_of(2) == "case 2"
        assert source.ids() == names
        assert source.subset([4, 1]).ids() == ["case 4", "case 1"]
    assert MapSource(Squares()).ids() is None


def test_labels_are_known_without_reading_and_become_y_of_what_is_only_x() -> None:
    for labels in ([0, 1, 0, 1, 1], np.array([0, 1, 0, 1, 1], np.int32), lambda index: [0, 1, 0, 1, 1][index]):
        source = MapSource([np.zeros(2)] * 5, labels=labels)
        assert str(source.spec) == "(x: (2,) float64, y: () int32)"
        assert source[3][1] == 1
        assert source.labels().tolist() == [0, 1, 0, 1, 1]  # type: ignore[union-attr]
        assert source.split(validation=0.4, stratify=True)[1].labels() is not None
    assert MapSource([(np.zeros(2),)] * 2, labels=[[0.5, 1.0], [2.0, 3.0]])[1][1].tolist() == [2.0, 3.0]


def test_a_y_of_the_object_stays_beside_labels() -> None:
    source = MapSource(Squares(), labels=["a", "b", "a", "b", "b"], classes=["b", "a"])
    assert source[2][1] == 4
    assert source.labels().tolist() == [1, 0, 1, 0, 0]  # type: ignore[union-attr]
    assert source.classes == ("b", "a")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"ids": ["a"]}, "ids: 1 names for 5 samples"),
        ({"ids": "abcde"}, "must be a list of strings or a function"),
        ({"ids": 7}, "must be a list of strings or a function"),
        ({"ids": [1, 2, 3, 4, 5]}, r"ids\[0\] is 1, of type int; .*map\(str, ids\)"),
        ({"labels": [1, 2]}, "labels: 2 values for 5 samples"),
        ({"labels": [1, None, 2, 3, 4]}, r"labels\[1\] is None"),
        ({"labels": ["a", "b", "a", "b", "c"], "classes": ["a", "b"]}, "the label 'c' is not in classes"),
    ],
)
def test_ids_and_labels_that_do_not_fit_are_refused(given: Any, words: str) -> None:
    with pytest.raises(LabelError, match=words):
        MapSource(Squares(), **given)


class Shaped:
    """An array without `len()`, as one of Zarr."""

    shape = (3, 2)

    def __getitem__(self, index: int) -> Any:
        return np.full(2, index)


def test_the_length_of_an_array_without_len_is_its_first_axis() -> None:
    assert len(MapSource(Shaped())) == 3


class Endless(Squares):
    def __len__(self) -> int:
        return sys.maxsize


def test_an_object_without_end_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"Endless has no end\. Leave out what repeats it"):
        MapSource(Endless())


class Many(Squares):
    """Gives several items at once, and notes for how many it was asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __getitems__(self, indices: list[int]) -> list[tuple[Any, ...]]:
        self.asked.append(len(indices))
        return [self[index] for index in indices]


def test_several_items_are_asked_for_at_once_where_the_object_gives_them() -> None:
    source = MapSource(many := Many())
    out = [np.zeros((2, 2)), np.zeros(2, np.int32)]
    source.read(np.array([4, 1]), out)
    assert (out[0][:, 0].tolist(), out[1].tolist()) == ([4, 1], [16, 1])
    assert many.asked == [2]
    assert [y.tolist() for _, y in inline(source.subset([4, 1]) + source.subset([2, 0]), 4)] == [[16, 1, 4, 0]]
    labelled = MapSource(Rows(), labels=[7, 8, 9])
    assert inline(labelled, 3)[0][1].tolist() == [7, 8, 9]


class Rows:
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> int:
        return index

    def __getitems__(self, indices: list[int]) -> list[int]:
        return indices


def test_the_item_that_fails_among_several_is_named() -> None:
    with Loader(MapSource(Many()), 5, workers=0) as loader, pytest.raises(SampleError, match="three") as caught:
        take(loader)
    assert caught.value.index == 3


class Doubling(MapSource):
    def sample(self, index: int) -> Any:
        return (2 * index,)


def test_a_sample_of_a_class_that_derives_from_it_is_what_that_class_says() -> None:
    assert inline(Doubling(Rows()), 3)[0][0].tolist() == [0, 2, 4]
