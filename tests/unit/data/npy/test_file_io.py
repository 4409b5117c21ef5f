"""Reading at an offset is the same with and without the calls of POSIX."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from loader.data.npy.file_io import OPEN_FLAGS, map_file, pread, preadv, seek_and_read


@pytest.fixture
def ten_bytes(tmp_path: Path):
    (tmp_path / "ten").write_bytes(b"0123456789")
    fd = os.open(tmp_path / "ten", OPEN_FLAGS)
    yield fd
    os.close(fd)


@pytest.mark.parametrize("read", [preadv, seek_and_read])
@pytest.mark.parametrize(("sizes", "offset"), [((3, 4), 0), ((3, 4), 2), ((0, 5), 1), ((4, 4, 4), 0), ((2,), 10), ((2,), 99)])
def test_buffers_are_filled_in_turn_and_a_short_count_is_the_files_end(ten_bytes: int, read, sizes, offset) -> None:
    buffers = [bytearray(b"." * size) for size in sizes]
    expected = b"0123456789"[offset : offset + sum(sizes)]
    assert read(ten_bytes, buffers, offset) == len(expected)
    assert b"".join(buffers)[: len(expected)] == expected


def test_pread_and_a_mapping_give_the_same_bytes(ten_bytes: int) -> None:
    assert pread(ten_bytes, 4, 3) == b"3456"
    assert pread(ten_bytes, 40, 8) == b"89"
    assert bytes(map_file(ten_bytes, 10)) == b"0123456789"
