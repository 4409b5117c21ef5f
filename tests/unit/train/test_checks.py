"""What is no source is refused with the source that it would make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import Loader, MapSource, NpyArrays, NpyFiles
from loader.errors import ConfigError
from loader.train.checks import checked_source

ARRAY = np.zeros((4, 3))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (ARRAY, r"NpyArrays\(x, y\)"),
        ((ARRAY, ARRAY), r"NpyArrays\(x, y\)"),
        ({"x": ARRAY}, "NpyArrays.*Zip"),
        (["a.npy", "b.npy"], r"NpyFiles\(paths, labels=\.\.\.\)"),
        ([ARRAY, ARRAY], r"MapSource\(obj\)"),
        ((x for x in ARRAY), r"MapSource\(list\(items\)\)"),
        (NpyFiles, r"NpyFiles\(\.\.\.\)"),
        (None, "source is None"),
        ("data/*.npy", r"NpyFiles\('data/\*\.npy'\).*NpyArrays"),
        ("gone.npy", "no such file"),
    ],
)
def test_what_is_no_source_is_refused_with_what_would_be_one(given: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        checked_source(given)


def test_a_folder_is_refused_by_what_is_in_it(npy_folder: Any) -> None:
    with pytest.raises(ConfigError, match=r"give NpyFiles\.from_folder\("):
        checked_source(npy_folder(4, classes=2))
    with pytest.raises(ConfigError, match=r"for the \.npy files in it NpyFiles\("):
        checked_source(str(npy_folder(4)))


def test_an_archive_is_refused_with_its_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=ARRAY, labels=ARRAY)
    with np.load(tmp_path / "a.npz") as archive:
        for take in (checked_source, MapSource):
            with pytest.raises(ConfigError, match=r"entries images, labels; .*NpyArrays\(data\['images'\], y=data\['labels'\]\)"):
                take(archive)


def test_a_loader_is_no_source() -> None:
    with Loader(NpyArrays(ARRAY), 2, workers=0) as loader, pytest.raises(ConfigError, match=r"give its source: loader\.source"):
        Loader(loader, 2)  # type: ignore[arg-type]


def test_a_source_without_samples_is_told_so() -> None:
    with pytest.raises(ConfigError, match="the source has no samples"):
        Loader(NpyArrays(ARRAY).subset([]), 2, workers=0)
