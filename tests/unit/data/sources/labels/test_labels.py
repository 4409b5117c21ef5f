"""From every form of `labels=` to one array."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader.data.sources.arrays.npy_arrays import NpyArrays
from loader.data.sources.files.path_index import PathIndex
from loader.data.sources.labels.labels import check_classes, read_labels
from loader.errors import ConfigError, DataNotFoundError, LabelError

INDEX = PathIndex(["a/1.npy", "a/2.npy", "b/3.npy"], "/data")


def same(found: np.ndarray, expected: Any, dtype: Any) -> None:
    assert found.dtype == np.dtype(dtype)
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("labels", "dtype"),
    [
        ([0, 1, 2], np.int32),
        ([0.5, 1, 2], np.float32),
        ([True, False, True], np.bool_),
        ((0, 1, 2), np.int32),
        ([[1, 0], [0, 1], [1, 1]], np.int32),
        ([[1.0, 0], [0, 1], [1, 1]], np.float32),
        (np.array([0, 1, 2]), np.int64),
        (np.array([0, 1, 2], ">i2"), np.int16),
        ([np.int64(1), np.int64(2), np.int64(3)], np.int64),
        ([np.ones(2), np.zeros(2), np.ones(2)], np.float64),
        (np.array([0, 1, 2], object), np.int32),
        (np.arange(6.0).reshape(2, 3).T, np.float64),
    ],
)
def test_python_numbers_become_32_bits_wide_and_arrays_keep_their_dtype(labels: Any, dtype: Any) -> None:
    found, classes = read_labels(labels, INDEX)
    same(found, np.array([*labels]), dtype)
    assert classes == ()


def test_a_dict_goes_by_id_and_its_other_keys_are_ignored() -> None:
    found, _ = read_labels({"b/3": 3, "else": 9, "a/2": 2, "a/1": 1}, INDEX)
    same(found, [1, 2, 3], np.int32)


def test_names_become_their_place_among_the_classes() -> None:
    found, classes = read_labels(["dog", "cat", "dog"], INDEX)
    same(found, [1, 0, 1], np.int32)
    assert classes == ("cat", "dog")
    found, classes = read_labels({"a/1": "dog", "a/2": "cat", "b/3": "dog"}, INDEX, classes=["ape", "cat", "dog"])
    same(found, [2, 1, 2], np.int32)
    assert classes == ("ape", "cat", "dog")
    same(read_labels(np.array([b"b", b"a", b"b"]), INDEX)[0], [1, 0, 1], np.int32)


@pytest.mark.skipif(not hasattr(np.dtypes, "StringDType"), reason="numpy 2 brought it")
def test_strings_of_numpy_2_are_names() -> None:
    same(read_labels(np.array(["b", "a", "b"], np.dtypes.StringDType()), INDEX)[0], [1, 0, 1], np.int32)


def test_a_name_that_is_no_class_is_named() -> None:
    with pytest.raises(LabelError, match=r"'cow' is not in classes \(cat, dog\)"):
        read_labels(["dog", "cow", "cat"], INDEX, classes=["cat", "dog"])


def test_numbers_are_checked_against_the_classes() -> None:
    with pytest.raises(LabelError, match="0 to 2, but 2 classes"):
        read_labels([0, 1, 2], INDEX, classes=["cat", "dog"])


def test_another_number_of_labels_names_both_numbers() -> None:
    with pytest.raises(LabelError, match="labels: 2 values for 3 samples"):
        read_labels([0, 1], INDEX)


def test_a_missing_label_is_named_and_counted() -> None:
    with pytest.raises(LabelError, match="no label for 2 of 3 files, the first is 'a/2'"):
        read_labels({"a/1": 0}, INDEX)
    with pytest.raises(LabelError, match="no label for 3"):
        read_labels(defaultdict(int), INDEX)


@pytest.mark.parametrize(
    ("labels", "hint"),
    [
        ({"a/1.npy": 0, "a/2.npy": 0, "b/3.npy": 0}, "with extension"),
        ({"1": 0, "2": 0, "3": 0}, "without the folder"),
        ({"/data/a/1": 0}, "with more folders"),
        ({"data/a/1.npy": 0}, "with more folders"),
        ({}, "empty"),
        ({7: 0}, "a key that is there: 7"),
    ],
)
def test_keys_that_resemble_the_ids_are_pointed_out(labels: dict[Any, int], hint: str) -> None:
    with pytest.raises(LabelError, match=hint):
        read_labels(labels, INDEX)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([0, None, 2], r"labels\[1\] is None"),
        ([[1], [1, 2], [3]], "differ in shape"),
        ([0, "cat", 2], "types"),
        ([0, {}, 2], "types"),
        ([0, 1, 2**40], "int32 can't hold"),
        (np.array(["2020"] * 3, "M8[s]"), "datetime64"),
        (7, "must be a dict"),
        (np.float32(1), "single value"),
        (np.array([b"\xff", b"a", b"b"]), "UTF-8"),
    ],
)
def test_what_cannot_be_a_label_is_refused(labels: Any, words: str) -> None:
    with pytest.raises(LabelError, match=words):
        read_labels(labels, INDEX)


def test_classes_must_be_distinct_names() -> None:
    for classes in ("cat", [], [1, 2]):
        with pytest.raises(ConfigError, match="classes must be"):
            read_labels([0, 0, 0], INDEX, classes=classes)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="'a' twice"):
        read_labels([0, 0, 0], INDEX, classes=["a", "b", "a"])


def test_labels_come_from_a_npy_file(tmp_path: Path) -> None:
    np.save(tmp_path / "y.npy", np.array([3, 4, 5], np.uint8))
    same(read_labels(tmp_path / "y.npy", INDEX)[0], [3, 4, 5], np.uint8)


@pytest.mark.parametrize(
    "text",
    [
        "path,label\na/1.npy,1\na/2.npy,2\nb/3.npy,3\n",
        "id,label\nb/3,3\na/1,1\nx/9,9\n\na/2,2\n",
        "a/1,1\na/2,2\nb/3,3\n",
        "label,more,path\n1,?,/data/a/1.npy\n2,?,./a/2.npy\n3,?,b/3.npy\n",
        '\ufeffPath,Label\r\n"a/1.npy","1"\r\na/2.npy, 2\r\nb/3.npy,3',
    ],
)
def test_labels_come_from_a_csv_file_by_path_or_id(tmp_path: Path, text: str) -> None:
    (tmp_path / "y.csv").write_text(text, encoding="utf-8", newline="")
    same(read_labels(str(tmp_path / "y.csv"), INDEX)[0], [1, 2, 3], np.int32)


def test_texts_are_whole_numbers_or_numbers_or_names(tmp_path: Path) -> None:
    path = tmp_path / "y.csv"
    path.write_text("a/1,1.5\na/2,2\nb/3,3\n")
    same(read_labels(path, INDEX)[0], [1.5, 2, 3], np.float32)
    path.write_text("a/1,y\na/2,2\nb/3,x\n")
    assert read_labels(path, INDEX)[1] == ("2", "x", "y")
    path.write_text("a/1,10\na/2,2\nb/3,x\n")
    with pytest.raises(LabelError, match=r"labels are numbers, but for 1 of 3, such as 'x'\. .*if all are names, give classes="):
        read_labels(path, INDEX)
    assert read_labels(path, INDEX, classes=["10", "2", "x"])[0].tolist() == [0, 1, 2]
    path.write_text("a/1,1.5\na/2,NA\nb/3,3\n")
    with pytest.raises(LabelError, match=r"labels are numbers, but for 1 of 3, such as 'NA'\. Leave these out"):
        read_labels(path, INDEX)
    path.write_text("a/1,10\na/2,2\nb/3,2\n")
    same(read_labels(path, INDEX, classes=["2", "10"])[0], [1, 0, 0], np.int32)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a/1,1\na/2,2\n", "no label for 1 of 3 files, the first is 'b/3'"),
        ("path,label\na/1\n", "line 2"),
        ("a,b,c\n", "3 columns, 'a', 'b', 'c'; .*names the columns path"),
        ("path;label\na/1;1\n", "1 column, .*separated by commas here, not by semicolons"),
        ("path,label\na/1,1\na/2,\n", "no label for 2 of 3 files, the first is 'a/2'; the label in its line is empty"),
        ("a/1,1\na/1,2\n", "line 2: 'a/1' has the label '2', and '1'"),
    ],
)
def test_a_csv_file_that_does_not_fit_says_where(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "y.csv").write_text(text)
    with pytest.raises(LabelError, match=words):
        read_labels(tmp_path / "y.csv", INDEX)


def test_a_missing_file_of_labels_and_one_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match=r"y\.npy"):
        read_labels(tmp_path / "y.npy", INDEX)
    (tmp_path / "y.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"give a \.csv"):
        read_labels(tmp_path / "y.json", INDEX)


def test_an_empty_label_of_another_file_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "y.csv").write_text("path,label\na/1,1\na/2,2\nb/3,3\nelsewhere,\n")
    assert read_labels(tmp_path / "y.csv", INDEX)[0].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({1, 2, 3}, "labels is a set, which has no order"),
        (["m/1.npy", "m/2.npy", "m/3.npy"], r"labels are paths, such as 'm/1\.npy'; .*Zip"),
        (NpyArrays(np.arange(3)), "labels is a source, NpyArrays.*Zip"),
        (np.ma.masked_array([1, 2, 3], [False, True, False]), "1 values masked.*filled"),
        ([[0], [1, 2], []], "differ in shape.*a vector of 0 and 1"),
        ([1, "b", 2], "values of the types int, str"),
        ({0: 1.0, 1: 2.0}, "a key that is there: 0, a number .*class_weight"),
        ({Path("a/1"): 1}, "of type PosixPath"),
        ("inferred", "from_folder"),
        ("/tmp", "is a folder; .*Zip"),
    ],
)
def test_what_is_mistaken_for_labels_is_refused_with_what_to_give(labels: Any, words: str) -> None:
    with pytest.raises((LabelError, DataNotFoundError), match=words):
        read_labels(labels, INDEX)


class Series(list[int]):
    """Looks like one of pandas: values, and an index."""

    def __init__(self, values: Any, index: Any) -> None:
        super().__init__(values)
        self.index = np.array(index)


def test_a_series_with_names_as_index_is_by_id_or_by_order_but_not_by_chance() -> None:
    with pytest.raises(LabelError, match=r"by ID give labels\.to_dict\(\), in the order of the files labels\.to_numpy\(\)"):
        read_labels(Series([3, 1, 2], ["b/3", "a/1", "a/2"]), INDEX)
    assert read_labels(Series([3, 1, 2], [7, 8, 9]), INDEX)[0].tolist() == [3, 1, 2]


def test_a_tensor_that_can_be_no_array_is_refused_in_the_words_of_its_framework() -> None:
    class Tensor:
        def __array__(self, *_: Any, **__: Any) -> Any:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")

    with pytest.raises(LabelError, match=r"labels is a Tensor that can't be made an array: .*detach"):
        read_labels(Tensor(), INDEX)


@pytest.mark.parametrize("classes", [{"a", "b"}, {"a": 0, "b": 1}, 2, "ab", []])
def test_names_of_classes_have_an_order(classes: Any) -> None:
    with pytest.raises(ConfigError, match="classes must be a list of names, whose order gives their numbers"):
        check_classes(classes)
