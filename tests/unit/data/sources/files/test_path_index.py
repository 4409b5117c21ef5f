"""Paths in, the same paths out, from two arrays."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.data.sources.files.path_index import PathIndex
from loader.errors import ConfigError
from tests.examples import examples

NAMES = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=("Cs",)), min_size=1, max_size=12).filter(
    lambda name: name not in (".", "..")
)


@examples(200)
@given(st.lists(st.lists(NAMES, min_size=1, max_size=4).map("/".join), min_size=1, max_size=20))
def test_paths_come_out_as_they_went_in(names: list[str]) -> None:
    index = PathIndex(names, "/data/set")
    expected = [f"/data/set/{name}" for name in names]
    assert [index.path(i) for i in range(len(index))] == expected
    assert index.raw_paths(np.arange(len(names))[::-1]) == [os.fsencode(path) for path in expected[::-1]]
    assert index.relative_paths() == names
    assert index.ids() == [os.path.splitext(name)[0] for name in names]


def test_paths_of_one_length_and_of_several_are_taken_out_alike() -> None:
    for names in (["a1", "b2", "c3"], ["a", "b22", "c"]):
        index = PathIndex(names, "/")
        assert index.raw_paths(np.array([2, 0, 0])) == [f"/{names[2]}".encode(), f"/{names[0]}".encode(), f"/{names[0]}".encode()]


def test_the_root_is_the_common_folder_of_absolute_paths() -> None:
    index = PathIndex(["/data/ab/1.npy", "/data/ac/2.npy"])
    assert (index.root, index.ids()) == ("/data", ["ab/1", "ac/2"])
    assert PathIndex(["/data/ab/1.npy"]).ids() == ["1"]


def test_relative_paths_count_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    index = PathIndex([Path("a/1.npy"), "/other/2.npy"])
    assert index.path(0) == str(tmp_path / "a/1.npy")
    assert index.ids() == ["a/1", "/other/2"]


def test_dots_and_double_slashes_are_taken_out_but_hidden_names_stay() -> None:
    index = PathIndex(["./a.npy", "b/../c.npy", "d//e.npy", "..f/.g.npy", "h/.."], "/data")
    assert index.relative_paths()[:4] == ["a.npy", "c.npy", "d/e.npy", "..f/.g.npy"]
    assert index.path(4) == "/data"


def test_names_that_are_not_utf8_survive() -> None:
    name = os.fsdecode(b"/data/\xff\xfe.npy")
    index = PathIndex([name])
    assert index.raw(0) == b"/data/\xff\xfe.npy"
    assert index.path(0) == name


def test_a_zero_byte_and_things_that_are_no_paths_are_refused() -> None:
    with pytest.raises(ConfigError, match="zero byte"):
        PathIndex(["/a", "/b\0c"])
    with pytest.raises(ConfigError, match="not 3"):
        PathIndex(["/a", 3])  # type: ignore[list-item]


def test_a_pickled_index_leaves_its_arrays_out_of_band_and_works_on_read_only_memory() -> None:
    index = PathIndex([f"/data/{i}.npy" for i in range(5000)])
    buffers: list[pickle.PickleBuffer] = []
    small = pickle.dumps(index, protocol=5, buffer_callback=buffers.append)
    assert len(small) < 1000
    assert len(buffers) == 2
    again = pickle.loads(small, buffers=[bytes(buffer.raw()) for buffer in buffers])
    assert again.raw_paths(np.array([7, 4999])) == [b"/data/7.npy", b"/data/4999.npy"]
    assert (again.root, len(again)) == ("/data", 5000)
    assert np.shares_memory(again._blob, np.frombuffer(again._view, np.uint8))
