"""Objects become files of the same names, whatever these are; and names that can't be those of files are refused before anything is fetched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from loader.data.remote.objects import Fetched, Objects
from loader.data.sources.files.far_index import FarIndex
from loader.errors import ConfigError
from loader.watch.fetch.into import IntoFiles


def index_of(*names: str) -> FarIndex:
    urls = [f"s3://bucket/{name}" for name in names]
    return FarIndex(Objects(urls, np.full(len(urls), 3), np.full(len(urls), 2**55)), "s3://bucket")


@pytest.mark.parametrize("name", ["x" * 255, "ä" * 127, "folder/" + "y" * 240, "two\nlines"])
def test_names_as_long_as_those_of_files_may_be(name: str, tmp_path: Path) -> None:
    into = IntoFiles(index_of(name), str(tmp_path))
    (span,) = into.missing()
    into.put(span, Fetched(b"abc", 3, span.version))
    assert (tmp_path / name).read_bytes() == b"abc"
    again = IntoFiles(index_of(name), str(tmp_path))
    assert list(again.missing()) == []
    assert again.there == 1


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["x" * 256], "longer than the 255 bytes"),
        (["a/b", "a//b"], "the same one as that of s3://bucket/a/b"),
        (["../x"], "leads elsewhere"),
    ],
)
def test_names_that_can_not_be_those_of_files_are_refused(names: list[str], words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        IntoFiles(index_of(*names), str(tmp_path))
    assert list(tmp_path.iterdir()) == []
