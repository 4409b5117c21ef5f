"""Parts from different sources, matched by ID or by position."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import ConfigError, LabelError, MapSource, NpyArrays, NpyFiles, Source, Zip
from loader.data.rows import BadSample, Indices
from loader.data.spec import Array

Write = Callable[..., Path]


def read(source: Source, indices: list[int]) -> list[Array]:
    out = [np.full((len(indices), *leaf.shape), 99, leaf.dtype) for leaf in source.spec.leaves]
    source.read(np.array(indices), out)
    return out


def first_numbers(array: Array) -> list[int]:
    return [int(row.reshape(-1)[0]) for row in array]


class Counting(MapSource):
    """A source that says how often it was asked."""

    reads = 0

    def read(self, indices: Indices, out: Any) -> None:
        self.reads += 1
        super().read(indices, out)


class Bad:
    """Numbers, of which some can't be read."""

    def __init__(self, *bad: int) -> None:
        self.bad = bad

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> int:
        if index in self.bad:
            raise KeyError(index)
        return index


# --- matching -------------------------------------------------------------------------------------------------------------------------


def test_files_are_matched_by_id_in_the_order_of_the_first_source(npy_folder: Write) -> None:
    images = NpyFiles(npy_folder(6)).subset([4, 1, 3])
    masks = NpyFiles(npy_folder(8, (2,), "uint8"))
    source = Zip(images, y=masks)
    assert len(source) == 3
    assert source.ids() == ["000004", "000001", "000003"]
    assert str(source.spec) == "(x: (4, 3) float32, y: (2,) uint8)"
    x, y = read(source, [2, 0, 1])
    assert first_numbers(x) == first_numbers(y) == [3, 4, 1]
    assert [int(part.reshape(-1)[0]) for part in source[0]] == [4, 4]
    assert str(source.name_of(0)).endswith("000004.npy")


def test_ids_survive_a_subset_a_split_and_a_sum(npy_folder: Write) -> None:
    files = NpyFiles(npy_folder(6))
    assert (files.subset([2, 0]) + files.subset([5])).ids() == ["000002", "000000", "000005"]
    assert (files + MapSource([1])).ids() is None
    assert MapSource([1]).subset([0]).ids() is None
    train, val = Zip(files, y=files.subset([5, 4, 3, 2, 1, 0])).split(0.5)
    assert sorted([*train.ids(), *val.ids()]) == files.ids()  # type: ignore[misc]
    assert first_numbers(read(train, [0])[1]) == [int(train.ids()[0])]  # type: ignore[index]


def test_an_id_that_is_missing_is_named(npy_folder: Write) -> None:
    images, masks = NpyFiles(npy_folder(9)), NpyFiles(npy_folder(4))
    with pytest.raises(
        LabelError, match=r"y lacks 5 of the 9 IDs of the first source: '000004', '000005', '000006', \.\.\.; IDs that are there: '000000'"
    ):
        Zip(images, y=masks)
    with pytest.raises(LabelError, match="it is empty"):
        Zip(images, y=masks.subset([]))


def test_an_id_that_is_there_twice_is_refused_unless_all_have_it_so(npy_folder: Write) -> None:
    files = NpyFiles(npy_folder(4))
    twice = files.subset([0, 1, 1, 2])
    with pytest.raises(LabelError, match="more than once, such as '000001'"):
        Zip(files.subset([0, 1]), y=twice)
    assert len(Zip(files.subset([0, 2]), y=twice)) == 2
    assert first_numbers(read(Zip(twice, y=twice), [0, 1, 2, 3])[1]) == [0, 1, 1, 2]
    assert first_numbers(read(Zip(twice, y=files), [0, 1, 2, 3])[1]) == [0, 1, 1, 2]


def test_sources_of_which_one_has_no_ids_go_together_by_position(npy_folder: Write) -> None:
    source = Zip(NpyFiles(npy_folder(5)), y=NpyArrays(np.arange(5) * 10))
    x, y = read(source, [3, 1])
    assert (first_numbers(x), y.tolist()) == ([3, 1], [30, 10])
    with pytest.raises(ConfigError, match=r"x has 5 .*; y has 4 .*position, because y has no IDs"):
        Zip(NpyFiles(npy_folder(5)), y=NpyArrays(np.arange(4)))


# --- structure ------------------------------------------------------------------------------------------------------------------------


def test_a_dict_of_sources_is_a_dict_in_the_sample() -> None:
    left, right = NpyArrays(np.arange(4)), NpyArrays(np.arange(8).reshape(4, 2))
    source = Zip({"left": left, "right": right}, y=MapSource([5, 6, 7, 8]), sample_weight=NpyArrays(np.ones(4, np.float32)))
    assert str(source.spec) == "(x['left']: () int64, x['right']: (2,) int64, y: () int32, sample_weight: () float32)"
    assert [array.tolist() for array in read(source, [3, 0])] == [[3, 0], [[6, 7], [0, 1]], [8, 5], [1, 1]]
    x, y, weight = source[2]
    assert (int(x["left"]), x["right"].tolist(), y, float(weight)) == (2, [4, 5], 7, 1.0)
    assert repr(source).startswith("Zip(x['left']=NpyArrays(4 rows")


def test_a_source_whose_samples_are_dicts_keeps_its_keys() -> None:
    source = Zip(MapSource([{"a": 1, "b": 2}, {"a": 3, "b": 4}]), y=NpyArrays(np.arange(2)))
    assert str(source.spec) == "(x['a']: () int32, x['b']: () int32, y: () int64)"
    assert [array.tolist() for array in read(source, [1, 0])] == [[3, 1], [4, 2], [1, 0]]
    assert source[1][0] == {"a": 3, "b": 4}
    with pytest.raises(ConfigError, match=r"x\['c'\].*dicts as samples"):
        _ = Zip({"c": MapSource([{"a": 1}])}).spec


def test_a_source_with_labels_of_its_own_is_refused() -> None:
    labelled = NpyArrays(np.arange(3), y=np.arange(3))
    for look in (lambda source: source.spec, lambda source: source[0]):
        with pytest.raises(ConfigError, match=r"x: the samples of .* have 2 parts, x, y; Zip takes one"):
            look(Zip(labelled, y=NpyArrays(np.arange(3))))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"x": np.arange(3)}, r"x is ndarray, not a source; for arrays: NpyArrays\(x\)"),
        ({"x": {"a": "folder"}}, r"x\['a'\] is str"),
        ({"x": {}}, "x is an empty dict"),
        ({"x": {1: MapSource([1])}}, "must be strings, not 1"),
        ({"x": MapSource([1]), "sample_weight": MapSource([1])}, "sample_weight needs y"),
    ],
)
def test_what_is_no_source_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Zip(**arguments)


def test_only_the_first_sample_has_to_be_of_the_shape_of_the_spec() -> None:
    source = Zip(MapSource([np.zeros(2), np.zeros(3)]), y=NpyArrays(np.arange(2)))
    assert [source[i][0].shape for i in range(2)] == [(2,), (3,)]  # a crop may come next
    assert source.spec.leaves[0].shape == (2,)


# --- reading --------------------------------------------------------------------------------------------------------------------------


def test_each_source_is_asked_once_for_all_rows() -> None:
    x, y = Counting([1, 2, 3]), Counting([4, 5, 6])
    source = Zip(x, y=y)
    assert [array.tolist() for array in read(source, [2, 0, 1])] == [[3, 1, 2], [6, 4, 5]]
    assert (x.reads, y.reads) == (1, 1)


def test_a_bad_sample_is_named_by_the_outer_index_and_rows_before_it_are_whole() -> None:
    source = Zip(MapSource(Bad(7)), y=NpyArrays(np.arange(10))).subset([2, 9, 7, 1])
    out = [np.full(4, 99, np.int32), np.full(4, 99)]
    with pytest.raises(BadSample) as caught:
        source.read(np.array([1, 0, 2, 3]), out)
    assert caught.value.index == 2
    assert isinstance(caught.value.__cause__, KeyError)
    assert [array[:2].tolist() for array in out] == [[9, 2], [9, 2]]


def test_the_first_of_several_bad_samples_is_named() -> None:
    with pytest.raises(BadSample) as caught:
        read(Zip(MapSource(Bad(7)), y=MapSource(Bad(3))), [1, 3, 7])
    assert caught.value.index == 3


def test_a_bad_file_is_named_by_the_index_in_the_zip(npy_folder: Write) -> None:
    folder, others = npy_folder(5), npy_folder(5)
    (others / "000003.npy").write_bytes(b"")
    with pytest.raises(BadSample) as caught:
        read(Zip(NpyFiles(folder).subset([4, 3, 1]), y=NpyFiles(others)), [0, 1, 2])
    assert caught.value.index == 1


def test_labels_are_known_where_they_are_numbers_in_an_array(npy_folder: Write) -> None:
    files = NpyFiles(npy_folder(6))
    labels = NpyArrays(np.arange(6) % 2)
    assert Zip(files, y=labels).labels().tolist() == [0, 1, 0, 1, 0, 1]  # type: ignore[union-attr]
    assert [len(part) for part in Zip(files, y=labels).split(0.34, stratify=True)] == [4, 2]
    for unknown in (None, files, NpyArrays(np.zeros((6, 2))), MapSource([0] * 6), {"a": labels, "b": labels}):
        assert Zip(files, y=unknown).labels() is None
