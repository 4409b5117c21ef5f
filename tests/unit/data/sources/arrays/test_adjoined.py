"""Files that are mapped behind one another: where, which rows are seen, and what is given back."""

from __future__ import annotations

import gc
import mmap
import os
import sys
from math import gcd, lcm
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader import NpyArrays
from loader.data.sources.arrays.adjoined import adjoin, choose_begins
from loader.data.sources.arrays.stored_array import StoredArray

PAGE = mmap.PAGESIZE
linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each file is mapped by itself")


def stored(folder: Path, arrays: list[np.ndarray]) -> list[StoredArray]:
    paths = [str(folder / f"{number}.npy") for number in range(len(arrays))]
    for path, array in zip(paths, arrays, strict=True):
        np.save(path, array)
    return [StoredArray.of_file(path) for path in paths]


def mapped(folder: Path) -> int:
    return Path("/proc/self/maps").read_text().count(str(folder))


@given(
    files=st.lists(st.tuples(st.integers(0, 3 * PAGE), st.integers(1, 10 * PAGE)), min_size=1, max_size=6),
    row_bytes=st.integers(1, 3 * PAGE),
    page=st.sampled_from([PAGE, 512 * PAGE]),
    alike=st.booleans(),
)
def test_first_rows_are_whole_rows_apart_and_no_file_lies_over_another(files: list[tuple[int, int]], row_bytes: int, page: int, alike: bool) -> None:
    offsets = [files[0][0] if alike else offset for offset, _ in files]
    ends = [offset + length for offset, (_, length) in zip(offsets, files, strict=True)]
    begins = choose_begins(offsets, ends, row_bytes, page)
    if begins is None:
        assert lcm(row_bytes, page) > 1 << 30 or any((offset - offsets[0]) % gcd(row_bytes, page) for offset in offsets)
        return
    assert all(begin % page == 0 for begin in begins)
    rows = [begin + offset % page for begin, offset in zip(begins, offsets, strict=False)]
    assert all((first - rows[0]) % row_bytes == 0 for first in rows)
    stops = [first + end - offset for first, offset, end in zip(rows, offsets, ends, strict=True)]
    gaps = [after - stop for stop, after in zip(stops, begins[1:], strict=True)]
    assert all(0 <= gap < page + lcm(row_bytes, page) for gap in gaps)


@linux
@pytest.mark.parametrize("shape", [(28, 28), (), (4096,), (3, 5, 7), (12_289,)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64, np.bool_])
def test_one_array_shows_the_rows_of_all_files(tmp_path: Path, shape: tuple[int, ...], dtype: Any) -> None:
    arrays = [np.random.default_rng(n).integers(0, 2, (n + 3, *shape)).astype(dtype) for n in range(4)]
    found = adjoin(stored(tmp_path, arrays))
    assert found is not None
    for start, array in zip(found.starts.tolist(), arrays, strict=True):
        np.testing.assert_array_equal(found.array[start : start + len(array)], array)
    assert not found.array.flags.writeable


@linux
def test_addresses_agree_with_offsets_up_to_a_large_page(tmp_path: Path) -> None:
    found = adjoin(stored(tmp_path, [np.ones((9, 784)), np.ones((9, 784))]))
    lines = [line.split() for line in Path("/proc/self/maps").read_text().splitlines() if str(tmp_path) in line]
    assert len(lines) == 2
    assert found is not None
    for addresses, _, offset, *_ in lines:
        assert (int(addresses.split("-")[0], 16) - int(offset, 16)) % (2 << 20) == 0


@linux
def test_addresses_are_given_back_after_the_last_view(tmp_path: Path) -> None:
    found = adjoin(stored(tmp_path, [np.ones((9, 784)), np.ones((9, 784))]))
    assert found is not None
    view = found.array[2:3].reshape(-1)
    del found
    gc.collect()
    assert mapped(tmp_path) == 2
    assert view.sum() == 784
    del view
    gc.collect()
    assert mapped(tmp_path) == 0


@linux
def test_a_part_of_a_file_deep_in_it_is_mapped_from_its_page(tmp_path: Path) -> None:
    array = np.arange(100_000, dtype=np.int32).reshape(-1, 50)
    np.save(tmp_path / "x.npy", array)
    whole = np.load(tmp_path / "x.npy", mmap_mode="r")
    parts = [StoredArray.of_view(whole[1000:1500]), StoredArray.of_view(whole[200:300])]
    found = adjoin([part for part in parts if part is not None])
    assert found is not None
    np.testing.assert_array_equal(found.array[:500], array[1000:1500])
    np.testing.assert_array_equal(found.array[found.starts[1] :], array[200:300])


@linux
@pytest.mark.parametrize(
    "other",
    [np.zeros((4, 2), ">f4"), np.asfortranarray(np.zeros((4, 2), np.float32)), np.zeros((0, 2), np.float32)],
    ids=["byte order", "axis order", "no rows"],
)
def test_what_is_not_plain_rows_is_left_to_each_file(tmp_path: Path, other: np.ndarray) -> None:
    plain = np.ones((4, 2), np.float32)
    assert adjoin(stored(tmp_path, [plain, other])) is None


@linux
@pytest.mark.parametrize("harm", [os.unlink, lambda path: os.truncate(path, 200)], ids=["gone", "short"])
def test_a_file_that_is_gone_or_short_leaves_nothing_mapped_behind(tmp_path: Path, harm: Any) -> None:
    parts = stored(tmp_path, [np.ones((9, 8))] * 3)
    harm(parts[2].path)
    assert adjoin(parts) is None
    gc.collect()
    assert mapped(tmp_path) == 0


def test_headers_that_no_pages_fit_are_read_all_the_same(tmp_path: Path) -> None:
    arrays = [np.random.default_rng(n).integers(0, 256, (20, PAGE), np.uint8) for n in range(2)]
    parts = stored(tmp_path, arrays)
    text = (tmp_path / "1.npy").read_bytes()
    longer = text[:8] + (118 + 64).to_bytes(2, "little") + text[10:127] + b" " * 64 + text[127:]
    (tmp_path / "1.npy").write_bytes(longer)
    assert adjoin([parts[0], StoredArray.of_file(parts[1].path)]) is None
    source = NpyArrays(f"{tmp_path}/*.npy")
    rows = np.random.default_rng(3).permutation(40)
    out = np.empty((40, PAGE), np.uint8)
    source.read(rows, [out])
    np.testing.assert_array_equal(out, np.concatenate(arrays)[rows])
