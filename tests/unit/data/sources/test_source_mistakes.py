"""What is mistaken for a source is answered with the call that was meant."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import ConfigError, Loader, MapSource, NpyArrays

SOURCE = NpyArrays(np.zeros((4, 2), np.float32))


def walk() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([SOURCE, SOURCE], r"of type list.* join several sources with \+"),
        ((SOURCE, SOURCE), r"join several sources with \+.* Zip\(x=source_a, y=source_b\)"),
        ([SOURCE, np.zeros(3)], r"MapSource\(obj\)"),
        (walk, r"IterSource\(function\)"),
        (["a.jpg"], r"ByteFiles\(paths, labels=\.\.\., decode=\.\.\.\)"),
        ("gone.h5", r"MapSource\(h5py\.File\('gone\.h5'\)\['name of the dataset'\]\)"),
        ("reviews.csv", r"TextLines\('reviews\.csv', decode=\.\.\.\)"),
        (os.curdir, r"ByteFiles\('\.', decode=\.\.\.\)"),
    ],
)
def test_what_is_no_source_is_answered_with_the_one_that_was_meant(given: Any, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=words):
        Loader(given, 2)


def test_a_dataset_whose_file_is_closed_is_told_so(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("x", data=np.zeros((3, 2)))
    for closed in (dataset, file):
        with pytest.raises(ConfigError, match="its HDF5 file has been closed; keep it open until the Loader is made"):
            MapSource(closed)
