"""What is read from a `.npy` file, and what is said of files that are something else."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from loader.data.npy import header as header_module
from loader.data.npy.header import MAX_HEADER_BYTES, NpyHeader, inspect_file, parse_header, read_array
from loader.errors import NpyError


def header_bytes(text: str, version: int = 1) -> bytes:
    raw = text.encode("utf-8" if version == 3 else "latin-1")
    return b"\x93NUMPY" + bytes([version, 0]) + len(raw).to_bytes(2 if version == 1 else 4, "little") + raw


def parse(text: str, version: int = 1) -> NpyHeader:
    return parse_header(header_bytes(text, version), "a.npy")


def problem_of(raw: bytes) -> str:
    with pytest.raises(NpyError) as caught:
        parse_header(raw, "a.npy")
    assert caught.value.path == "a.npy"
    return caught.value.problem


@pytest.mark.parametrize("shape", [(), (1,), (7,), (0,), (3, 0, 2), (3, 4), (2, 3, 4, 5)])
@pytest.mark.parametrize("dtype", ["?", "i1", "u1", "<i2", ">u4", "<f2", ">f4", "f8", "g", ">c8", "c16"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_what_np_save_writes_reads_back_identical(tmp_path: Path, shape: tuple[int, ...], dtype: str, order: str) -> None:
    array = np.asarray(np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype), order=order)
    np.save(tmp_path / "a.npy", array)
    found = read_array(str(tmp_path / "a.npy"))
    assert found.shape == array.shape
    assert found.dtype == array.dtype.newbyteorder("=")
    assert found.flags.c_contiguous
    assert found.flags.writeable
    np.testing.assert_array_equal(found, array)


def test_the_header_says_where_the_data_begin_and_how_long_they_are(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 4), ">f4"))
    header, size = inspect_file(str(tmp_path / "a.npy"))
    assert header == NpyHeader(np.dtype(">f4"), (3, 4), False, 128)
    assert (header.nbytes, header.itemsize, header.native, size) == (48, 4, np.dtype("f4"), 176)


def test_only_c_order_in_native_byte_order_is_direct() -> None:
    little = np.dtype("<f4") if np.dtype("<f4").isnative else np.dtype(">f4")
    assert NpyHeader(little, (3, 4), False, 0).direct
    assert not NpyHeader(little, (3, 4), True, 0).direct
    assert not NpyHeader(little.newbyteorder(), (3, 4), False, 0).direct
    assert NpyHeader(little, (1, 4, 1), True, 0).direct  # one axis only: both orders are the same


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }",
        "{'shape': (3, 4), 'fortran_order': False, 'descr': '<f4'}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3L, 4L), }",
        '{"descr": "<f4", "fortran_order": False, "shape": (3, 4)}',
        "{u'descr': u'<f4', 'fortran_order':False,'shape':(3,4)}" + " " * 500 + "\n",
        " {'descr' : '<f4' , 'fortran_order' : False , 'shape' : ( 3 , 4 , ) , }\n",
    ],
)
def test_headers_of_all_writers_are_understood(text: str) -> None:
    header = parse(text)
    assert (header.dtype, header.shape, header.fortran_order) == (np.dtype("<f4"), (3, 4), False)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), 'more': 1}",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (3,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 3}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,,4)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-3,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3 4,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 2)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1," * 33 + ")}",
        "{'descr': '<f4' 'fortran_order': False, 'shape': (3,)}",
        "{'descr': (3,), 'fortran_order': False, 'shape': (3,)}",
        "{'descr': 'float32', 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '<f3', 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '<f4,<f4', 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '', 'fortran_order': False, 'shape': (3,)}",
        "__import__('os').system('true')",
    ],
)
def test_a_header_that_is_anything_else_is_refused(text: str) -> None:
    assert "header" in problem_of(header_bytes(text))


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3, ３), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (٣,), }",
        "{'descr': '<f４', 'fortran_order': False, 'shape': (3,), }",
        "{'descr':\xa0'<f4', 'fortran_order': False, 'shape': (3,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }\x85",
        "\x1c{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }",
    ],
)
def test_digits_and_spaces_of_other_scripts_are_refused_as_numpy_refuses_them(text: str) -> None:
    assert "header" in problem_of(header_bytes(text, version=3))


@pytest.mark.parametrize("count", [4_000, 60_000])
@pytest.mark.parametrize("piece", ["{", " ", "(", "'", "'a", "{'descr':", "[", ",", "\n", "{'shape':(", "1,"])
def test_a_long_senseless_header_is_refused_at_once(piece: str, count: int) -> None:
    problem_of(header_bytes((piece * count)[:count]))
    problem_of(header_bytes("{'shape': (" + (piece * count)[: count - 20] + "}"))


def test_a_header_longer_than_the_limit_is_refused_without_reading_it() -> None:
    assert f"{MAX_HEADER_BYTES:,}" in problem_of(b"\x93NUMPY\x02\x00" + (2**32 - 1).to_bytes(4, "little"))


def test_a_format_of_the_future_is_refused_by_its_number() -> None:
    assert "4.0" in problem_of(b"\x93NUMPY\x04\x00\x10\x00\x00\x00" + b" " * 16)


def test_an_utf8_header_that_is_not_utf8_is_refused() -> None:
    assert "UTF-8" in problem_of(b"\x93NUMPY\x03\x00\x02\x00\x00\x00\xff\xfe")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 20, "PNG"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 20, "JPEG"),
        (b"PK\x03\x04" + b"\0" * 20, "npz"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\x80\x04\x95rest", "pickle"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"1.0, 2.0, 3.0\n", "text"),
        (bytes(200), "zeros"),
        (bytes(range(100, 200)), "begins"),
        (b"", "0 bytes"),
    ],
)
def test_a_file_of_another_kind_is_told_what_it_is(raw: bytes, words: str) -> None:
    assert words in problem_of(raw)


def test_a_file_that_ends_inside_its_header_says_so(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3))
    raw = (tmp_path / "a.npy").read_bytes()
    for length in range(1, 128):
        assert "header" in problem_of(raw[:length])


@pytest.mark.parametrize(("change", "word"), [(-5, "truncated"), (-24, "truncated"), (1, "over-long"), (1000, "over-long")])
def test_a_file_of_the_wrong_size_names_both_sizes(tmp_path: Path, change: int, word: str) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.zeros(3))
    raw = path.read_bytes()
    path.write_bytes((raw + bytes(1000))[: len(raw) + change])
    with pytest.raises(NpyError, match=rf"{word}.* 24 bytes.*holds {24 + change:,}"):
        read_array(str(path))


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array([{}, None]), "allow_pickle=True"),
        (np.array(["a", "bc"]), "return_inverse"),
        (np.array([b"a"]), "return_inverse"),
        (np.array(["2020-01-01"], "M8[s]"), "astype(np.int64)"),
        (np.array([1], "m8[ns]"), "astype(np.int64)"),
        (np.zeros(2, [("a", "f4"), ("b", "i4")]), "dtype.names"),
        (np.zeros(2, "V2"), "bfloat16"),
    ],
)
def test_arrays_that_batches_cannot_hold_are_refused_with_what_to_do(tmp_path: Path, array: np.ndarray, words: str) -> None:
    path = tmp_path / "a.npy"
    np.save(path, array, allow_pickle=True)
    with pytest.raises(NpyError) as caught:
        read_array(str(path))
    assert words in caught.value.problem


def test_the_lines_that_convert_an_object_array_work(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    rows = np.empty(3, object)
    rows[:] = [np.arange(4.0) + row for row in range(3)]
    np.save(path, rows, allow_pickle=True)
    with pytest.raises(NpyError) as caught:
        read_array(str(path))
    lines = [line.strip() for line in caught.value.problem.splitlines()[1:]]
    exec("\n".join(lines), {"np": np})
    np.testing.assert_array_equal(read_array(str(path)), np.stack(list(rows)))


def test_a_header_is_parsed_once_and_the_size_of_each_file_compared_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[bytes, NpyHeader] = {}
    for number in range(3):
        np.save(tmp_path / f"{number}.npy", np.full((2, 3), number, ">i2"))
    first = read_array(str(tmp_path / "0.npy"), known)
    monkeypatch.setattr(header_module, "parse_header", None)
    second = read_array(str(tmp_path / "1.npy"), known)
    assert (first.tolist(), second.tolist()) == ([[0] * 3] * 2, [[1] * 3] * 2)
    assert second.dtype.isnative
    (tmp_path / "2.npy").write_bytes((tmp_path / "2.npy").read_bytes()[:-1])
    with pytest.raises(NpyError, match="truncated"):
        read_array(str(tmp_path / "2.npy"), known)


def test_so_many_headers_are_remembered_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header_module, "_MAX_KNOWN", 3)
    known: dict[bytes, NpyHeader] = {}
    for length in range(8):
        np.save(tmp_path / "a.npy", np.arange(length))
        assert read_array(str(tmp_path / "a.npy"), known).tolist() == list(range(length))
        assert 0 < len(known) <= 3


def test_a_missing_file_and_a_folder_are_errors_that_name_the_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.npy"):
        read_array(str(tmp_path / "gone.npy"))
    with pytest.raises(IsADirectoryError, match=tmp_path.name):
        read_array(str(tmp_path))


def test_a_huge_shape_over_a_small_file_allocates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(header_bytes(f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({2**40},)}}"))
    with pytest.raises(NpyError, match="truncated"):
        read_array(str(path))


def test_nothing_stays_open(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3))
    (tmp_path / "b.npy").write_bytes(b"x")
    before = len(os.listdir("/proc/self/fd"))
    read_array(str(tmp_path / "a.npy"))
    with pytest.raises(NpyError):
        read_array(str(tmp_path / "b.npy"))
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("shape", ["(1111111111111111111, 3, 0)", "(0, 9223372036854775807)", "(1, 0, 4611686018427387904)"])
def test_an_empty_array_whose_batch_numpy_could_not_hold_is_refused(tmp_path: Path, shape: str) -> None:
    path = tmp_path / "x.npy"
    text = f"{{'descr': '<f2', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode())
    with pytest.raises(NpyError, match="its header is damaged: its shape is"):
        inspect_file(str(path))
