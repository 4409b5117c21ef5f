"""Which parts of which files the kernel is asked to fetch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader import NpyArrays, NpyFiles, Zip
from loader.data.npy import file_io
from loader.data.npy.file_io import will_read
from loader.data.sources.arrays import array_column
from loader.data.sources.arrays.stored_array import StoredArray
from tests.examples import examples

ROW = 65_536

Asked = list[tuple[str, int, int]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Path, beginning and end of each part that is asked for."""
    found: Asked = []

    def note(fd: int, start: int, length: int, advice: int) -> None:
        assert advice == os.POSIX_FADV_WILLNEED
        found.append((os.readlink(f"/proc/self/fd/{fd}"), start, start + length))

    monkeypatch.setattr(os, "posix_fadvise", note)
    return found


def rows_file(folder: Path, name: str, rows: int, width: int = ROW) -> Path:
    np.save(folder / name, np.zeros((rows, width), np.uint8))
    return folder / name


def rows_asked(asked: Asked, path: Path, width: int = ROW, offset: int = 128) -> list[tuple[int, int]]:
    return [((start - offset) // width, (end - offset - 1) // width + 1) for file, start, end in asked if file == str(path)]


def test_what_is_asked_for_is_split_into_pieces_that_the_kernel_heeds(asked: Asked, tmp_path: Path) -> None:
    path = rows_file(tmp_path, "x.npy", 1)
    will_read(str(path), [(5, 6), (100, 100 + 2 * file_io._ADVISED_BYTES + 1)])
    assert [(start, end - start) for _, start, end in asked] == [
        (5, 1),
        (100, file_io._ADVISED_BYTES),
        (100 + file_io._ADVISED_BYTES, file_io._ADVISED_BYTES),
        (100 + 2 * file_io._ADVISED_BYTES, 1),
    ]


@pytest.mark.parametrize("kind", ["missing", "fifo", "folder"])
def test_what_is_no_file_is_left_to_whoever_reads_it(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    before = len(os.listdir("/proc/self/fd"))
    will_read(str(path), [(0, 10)])
    assert len(os.listdir("/proc/self/fd")) == before


def test_files_are_asked_for_whole_by_every_source_that_has_them(asked: Asked, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.npy" for number in range(6)]
    for path in paths:
        np.save(path, np.zeros(1000, np.float32))
    first, second = NpyFiles(paths[:3]), NpyFiles(paths[3:])
    joined = (first + second).subset([5, 4, 3, 2, 1, 0])
    Zip(joined, y=NpyArrays(np.arange(6))).will_read(np.array([0, 3]))
    assert sorted(path for path, _, _ in asked) == [str(paths[2]), str(paths[5])]
    assert all(start == 0 and end >= path.stat().st_size for (_, start, end), path in zip(asked, paths, strict=False))


def test_rows_of_several_files_are_asked_for_where_they_are(asked: Asked, tmp_path: Path) -> None:
    one, other = rows_file(tmp_path, "a.npy", 5), rows_file(tmp_path, "b.npy", 4)
    NpyArrays([one, other]).will_read(np.array([8, 0, 2, 6]))
    assert sorted(rows_asked(asked, one)) == [(0, 1), (2, 3)]
    assert sorted(rows_asked(asked, other)) == [(1, 2), (3, 4)]


def test_neighbours_are_asked_for_at_once(asked: Asked, tmp_path: Path) -> None:
    path = rows_file(tmp_path, "x.npy", 20)
    NpyArrays(path).will_read(np.array([3, 4, 5, 9, 11, 12]))
    assert rows_asked(asked, path) == [(3, 6), (9, 10), (11, 13)]


def test_small_rows_here_and_there_are_not_asked_for_unless_memory_cannot_hold_them(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = rows_file(tmp_path, "x.npy", 1000, 64)
    scattered, together = np.array([5, 500, 50]), np.arange(200, 300)
    NpyArrays(path).will_read(scattered)
    assert asked == []
    NpyArrays(path).will_read(together)
    assert rows_asked(asked, path, 64) == [(200, 300)]
    asked.clear()
    monkeypatch.setattr(array_column, "page_cache_bytes", lambda: 60_000)
    NpyArrays(path).will_read(scattered)
    assert rows_asked(asked, path, 64) == [(5, 6), (500, 501), (50, 51)]


def test_the_kernel_reads_nothing_around_rows_of_a_file_that_memory_cannot_hold(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = rows_file(tmp_path, "x.npy", 10)
    flags = {}
    for limit in (10**12, 60_000):
        monkeypatch.setattr(array_column, "page_cache_bytes", lambda limit=limit: limit)
        source = NpyArrays(path)
        source.open()
        source.will_read(np.array([3, 7]))
        regions = Path("/proc/self/smaps").read_text().split(str(path))[1:]
        flags[limit] = any(" rr" in region.partition("VmFlags:")[2].partition("\n")[0] for region in regions)
        del source
    assert flags == {10**12: False, 60_000: True}


def test_arrays_in_memory_and_files_whose_rows_are_scattered_are_not_asked_for(asked: Asked, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.asfortranarray(np.zeros((300, 70_000), np.uint8)))
    NpyArrays(tmp_path / "x.npy", y=np.zeros((300, 70_000), np.uint8)).will_read(np.array([1, 2]))
    assert asked == []


VIEWS: dict[str, Any] = {
    "whole": lambda x: x,
    "every other row": lambda x: x[::2],
    "the other way round": lambda x: x[::-1],
    "some columns": lambda x: x[:, 3:20],
    "rows the other way round": lambda x: x[:, ::-1],
    "windows": lambda x: np.lib.stride_tricks.sliding_window_view(x, 3, axis=0),
}


@pytest.mark.parametrize("view", VIEWS)
@examples(25)
@given(rows=st.lists(st.integers(0, 17), min_size=1, max_size=12))
def test_all_bytes_of_the_rows_are_asked_for_and_little_else(view: str, rows: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "views.npy"
    if not path.exists():
        np.save(path, np.zeros((40, 24), np.int16))
    mapped = VIEWS[view](np.load(path, mmap_mode="r"))
    stored = StoredArray.of_view(mapped)
    assert stored is not None
    touched = {
        stored.offset + int(np.dot(place, stored.strides)) + byte
        for row in rows
        for place in ((row, *rest) for rest in np.ndindex(*stored.shape[1:]))
        for byte in range(2)
    }
    asked = {byte for start, end in stored.spans(np.array(rows)) for byte in range(start, end)}
    assert touched <= asked
    assert len(asked) <= 2 * len(touched)
