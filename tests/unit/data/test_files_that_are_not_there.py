"""What is told who names files in a way that means none."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader.data.sources.arrays.npy_arrays import NpyArrays
from loader.data.sources.files.npy_files import NpyFiles
from loader.data.sources.zip_source import Zip
from loader.errors import ConfigError, DataNotFoundError, LabelError, LoaderError, NpyError

Folder = Callable[..., Path]


@pytest.fixture
def folder(npy_folder: Folder, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of six files, which is the working directory."""
    made = npy_folder(6)
    monkeypatch.chdir(made)
    return made


def test_ids_without_root_are_told_of_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataNotFoundError, match=r"000000 does not exist; 000000\.npy does\. IDs need root=, .*then \.npy is appended"):
        NpyFiles(["000000", "000001"])
    monkeypatch.chdir(folder.parent)
    with pytest.raises(DataNotFoundError, match=r"the working directory is .*IDs need root="):
        NpyFiles(["000000", "000001"])
    assert len(NpyFiles(["000000", "000001"], root=folder)) == 2


def test_a_list_of_folders_or_patterns_is_told_what_a_list_is(folder: Path) -> None:
    with pytest.raises(DataNotFoundError, match=r"is a folder, but the list must contain files\. For one folder: NpyFiles\("):
        NpyFiles([folder, folder])
    with pytest.raises(DataNotFoundError, match=r"\*\.npy is a pattern, but the list must contain files"):
        NpyFiles(["*.npy"])


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        ({"image": "a", "mask": "b"}, r"paths is of type dict, a mapping\. .*Zip\(x="),
        ({"b.npy", "a.npy"}, r"is a set, whose order differs from run to run; give sorted\(paths\)"),
        (np.zeros((3, 2)), "paths is of type ndarray, not a list of paths; .*NpyArrays"),
        ([1, 2], "a path must be a str or a pathlib.Path, not 1"),
        (3, "paths must be a folder, a glob or a list of paths, not 3"),
    ],
)
@pytest.mark.parametrize("root", [None, "/data"])
def test_what_is_no_list_of_paths_is_refused(paths: Any, words: str, root: str | None) -> None:
    with pytest.raises(ConfigError, match=words):
        NpyFiles(paths, root=root)


@pytest.mark.parametrize("make", [NpyFiles.from_folder, NpyFiles.from_manifest, NpyFiles])
def test_no_path_at_all_is_a_wrong_argument(make: Any) -> None:
    with pytest.raises(ConfigError, match="path"):
        make(3)
    with pytest.raises(ConfigError):
        NpyFiles(["a"], root=3)  # type: ignore[arg-type]


@pytest.mark.parametrize("option", ["labels", "root"])
def test_a_folder_of_classes_takes_no_labels(npy_folder: Folder, option: str) -> None:
    with pytest.raises(ConfigError, match=f"from_folder takes no {option}=, because the sub-folders are its labels"):
        NpyFiles.from_folder(npy_folder(4, classes=2), **{option: "labels.csv"})


def test_files_of_a_list_that_are_missing_are_named_at_once(folder: Path) -> None:
    there = [f"{number:06d}" for number in range(6)]
    with pytest.raises(
        DataNotFoundError, match=rf"2 of the 8 files do not exist: {folder}/a\.npy, {folder}/b\.npy\. .*exists as far as {folder}\..*leave"
    ):
        NpyFiles([*there, "a", "b"], root=folder)
    with pytest.raises(DataNotFoundError, match=rf"6 of the 6 files do not exist: .*/000004\.npy, \.\.\.\. .*exists as far as {folder}\."):
        NpyFiles(there, root=folder / "not/there")
    with pytest.raises(DataNotFoundError, match=r"250 of 500 files, spread over the 1,000,000 of the list, do not exist"):
        NpyFiles([f"{folder}/000001.npy"] * 500_000 + [f"{folder}/x.npy"] * 500_000)
    (folder / "link.npy").symlink_to(folder / "nothing")  # found in a folder as well, and a bad sample when it is read
    assert len(NpyFiles([*there, "link"], root=folder)) == 7


def test_a_first_file_that_is_gone_is_ours_and_says_how_far_its_path_exists(folder: Path) -> None:
    np.save("gone.npy", np.zeros(3))
    sources = NpyFiles(["gone.npy"]), NpyFiles(["gone"], root=folder)
    os.unlink("gone.npy")
    for source in sources:
        for ask in (lambda source: source.spec, lambda source: source[0], lambda source: Zip(source, y=source).spec):
            with pytest.raises(DataNotFoundError, match=rf"gone\.npy: No such file\. .*exists as far as {folder}\..*root=") as caught:
                ask(source)
            assert isinstance(caught.value, FileNotFoundError)


def test_a_file_that_turns_out_to_be_a_folder_is_ours(folder: Path) -> None:
    source = NpyFiles("*.npy")
    (folder / "000000.npy").unlink()
    (folder / "000000.npy").mkdir()
    with pytest.raises(NpyError, match="is a folder, not a file"):
        _ = source.spec
    with pytest.raises(NpyError, match="is a folder, not a file"):
        NpyArrays("*.npy")


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (["a"] * 6, "sample_weight is text, such as 'a'; give numbers"),
        ({0: 1.0, 1: 5.0}, "no sample_weight for 6 of 6 files.*class_weight"),
        ([1.0], "sample_weight: 1 values for 6 samples"),
        ("gone.csv", "sample_weight='gone.csv'"),
    ],
)
def test_wrong_weights_are_called_weights(folder: Path, weights: Any, words: str) -> None:
    with pytest.raises((LabelError, DataNotFoundError), match=words):
        NpyFiles(folder, labels=[0] * 6, sample_weight=weights)


def test_a_line_without_label_in_a_manifest_is_named(folder: Path) -> None:
    (folder / "m.csv").write_text("path,label\n000000.npy,1\n000001.npy,\n")
    with pytest.raises(LabelError, match=r"line 3: '000001\.npy' has no label"):
        NpyFiles.from_manifest("m.csv")


def test_parts_of_a_data_set_are_no_classes(tmp_path: Path) -> None:
    for part in ("train/cat", "train/dog", "Val/cat"):
        (tmp_path / part).mkdir(parents=True)
        np.save(tmp_path / part / "0.npy", X)
    with pytest.raises(ConfigError, match=r"are Val, train, which are parts of a data set, not classes: NpyFiles\.from_folder\('.*/Val'\)"):
        NpyFiles.from_folder(tmp_path)
    assert len(NpyFiles.from_folder(tmp_path, classes=["train", "Val"])) == 3


def test_two_files_of_rows_are_told_of_npy_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", X[:, 0])
    with pytest.raises(LabelError, match=r"For samples that are the rows of one file: NpyArrays\(x, y\)"):
        NpyFiles(tmp_path / "x.npy", tmp_path / "y.npy")


X = np.zeros((4, 3), np.float32)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((np.array(["a b", "c"]),), "x holds text, such as 'a b'; .*number of tokens"),
        ((np.array(["a.npy", "b.npy"]),), r"for paths give a list: x\.tolist\(\), or NpyFiles\(x\.tolist\(\)\)"),
        (
            (["hello", "world"],),
            "hello does not exist(?s:.*)x is a list of strings, which are taken as paths; if they are not paths: .*number of tokens",
        ),
        ((X, ["cat"] * 4), "y is a list of strings, which are taken as paths; if they are not paths: .*np.unique"),
        ((X, np.array(["cat"] * 4)), "y holds text, such as 'cat'; .*np.unique"),
        (((X, X[:, 0]),), r"x and y are two arguments, \(x, y\); for several inputs give a dict"),
        ((X, X, {0: 1.0}), "keys of sample_weight must be strings, not 0; .*class_weight"),
        (({"a": {"b": X}},), "a dict inside a dict"),
        (({1, 2},), "x is a set"),
        ((np.ma.masked_array([1, 2], [True, False]),), "x is a masked array with 1 values masked"),
        ((3,), "x must be an array, a list or a path; not 3"),
        ((NpyFiles([__file__]),), r"x is a source, NpyFiles\(.*Zip"),
        ((b"a.npy",), "x is bytes; .*for a path a str"),
    ],
)
def test_what_holds_no_rows_is_refused_with_what_to_give(given: tuple[Any, ...], words: str) -> None:
    with pytest.raises(LoaderError, match=words):
        NpyArrays(*given)


def test_an_open_archive_is_refused_with_its_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=X, y=X)
    with np.load(tmp_path / "a.npz") as archive, pytest.raises(ConfigError, match=r"entries x, y; .*NpyArrays\(data\['x'\], y=data\['y'\]\)"):
        NpyArrays(archive)


class Frame:
    """Looks like a data frame of pandas: an array by columns, one of which is text."""

    class Kind:
        def __init__(self, kind: str) -> None:
            self.kind = kind

    def __init__(self) -> None:
        self.dtypes = {"age": self.Kind("f"), "city": self.Kind("O")}

    def __array__(self, *_: Any, **__: Any) -> Any:
        return np.array([[1.0, "Bonn"], [2.0, "Ulm"]], object)


def test_a_data_frame_with_text_names_its_columns() -> None:
    with pytest.raises(LabelError, match=r"types float, str; .*Columns that are not numbers: city"):
        NpyArrays(Frame())
