"""Labels that the names of files say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import ByteFiles, NpyFiles
from loader.errors import ConfigError, LabelError

NAMES = ("cat_01", "dog_02", "sub/cat_03")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    for name in NAMES:
        np.save(tmp_path / f"{name}.npy", np.zeros(2))
    return tmp_path


@pytest.mark.parametrize("label", [r"(\w+)_\d+$", re.compile(r"([a-z]+)_"), lambda name: name.split("/")[-1][:3]])
def test_names_become_classes(folder: Path, label: Any) -> None:
    source = NpyFiles(folder, label=label)
    assert source.classes == ("cat", "dog")
    assert source.labels().tolist() == [0, 1, 0]  # type: ignore[union-attr]
    assert NpyFiles(folder, label=label, classes=["dog", "cat"]).labels().tolist() == [1, 0, 1]  # type: ignore[union-attr]


def test_numbers_are_numbers(folder: Path) -> None:
    for label in (r"_(\d+)", lambda name: int(name[-2:])):
        labels = NpyFiles(folder, label=label).labels()
        assert labels is not None
        assert (labels.dtype, labels.tolist()) == (np.int32, [1, 2, 3])


def test_bytes_files_and_manifests_without_labels_have_them_too(folder: Path) -> None:
    (folder / "m.csv").write_text("path,label\ndog_02.npy,9\ncat_01.npy,9\n")
    for source in (ByteFiles(folder, decode=len, label=r"(\w+)_", exclude="m.csv"), NpyFiles.from_manifest(folder / "m.csv", label=r"(\w+)_")):
        assert source.classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("label", "error", "words"),
    [
        (r"(dog)", LabelError, r"label='\(dog\)' finds nothing in 2 of 3 IDs: 'cat_01', 'sub/cat_03'\. An ID is the path"),
        (lambda name: None, LabelError, "label= returns None in 3 of 3 IDs"),
        (lambda name: {}[name], LabelError, "label= fails for the ID 'cat_01': KeyError"),
        (lambda name: re.match("c", name) or 1, LabelError, "types Match, int"),
        (r"dog", ConfigError, "has no group"),
        (r"(dog", ConfigError, "is not a regular expression"),
        (re.compile(b"(a)"), ConfigError, "a pattern of bytes"),
        ({"cat_01": 1}, ConfigError, "give a regular expression .*did you mean labels="),
    ],
)
def test_a_name_without_label_is_named(folder: Path, label: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        NpyFiles(folder, label=label)


def test_only_one_of_label_and_labels_is_given(folder: Path) -> None:
    with pytest.raises(ConfigError, match="give one of them"):
        NpyFiles(folder, labels=[1, 2, 3], label="(a)")
    with pytest.raises(ConfigError, match="from_folder takes no label="):
        NpyFiles.from_folder(folder, label="(a)")
