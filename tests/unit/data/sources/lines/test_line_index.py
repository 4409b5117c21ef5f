"""Where lines begin, compared with what Python finds."""

from __future__ import annotations

import csv
import logging
import pickle
from pathlib import Path

import numpy as np
import pytest

from loader.data.decode.decoder import Undecodable
from loader.data.sources.lines import line_index
from loader.data.sources.lines.line_index import LineIndex, find_lines
from loader.data.sources.lines.mapped_files import MappedFiles
from loader.data.sources.lines.row_formats import split_csv
from loader.errors import DataNotFoundError, DecodeError, LoaderError


@pytest.fixture(params=[3, 4, 7, 256 * 1024], ids=lambda size: f"chunk{size}")
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_index, "_CHUNK_BYTES", request.param)


def lines_in(index: LineIndex) -> list[bytes]:
    contents = [Path(path).read_bytes() for path in index.paths]
    found = []
    for line in range(len(index)):
        start = int(index.starts[line])
        found.append(contents[index.file_of(line)][start : start + int(index.lengths[line])])
    return found


def files_of(index: LineIndex) -> MappedFiles:
    return MappedFiles(index.paths, index.sizes.tolist())


def find(folder: Path, *contents: bytes, delimiter: str | None = None) -> LineIndex:
    paths = [folder / f"{number}.txt" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return find_lines([str(path) for path in paths], delimiter=delimiter)


@pytest.mark.usefixtures("chunk")
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a\nbc\n", [b"a", b"bc"]),
        (b"a\nbc", [b"a", b"bc"]),
        (b"a\r\nbc\r\n", [b"a", b"bc"]),
        (b"a\r\nbc\r", [b"a", b"bc"]),
        (b"\n\na\n\n\r\n\nb\n\n", [b"a", b"b"]),
        (b"\xef\xbb\xbfa\nb", [b"a", b"b"]),
        (b"\xef\xbb\xbf\na", [b"a"]),
        (b"\xef\xbb\xbf", []),
        (b"", []),
        (b"\n\r\n", []),
        (b"a", [b"a"]),
        (b"a\rb\n", [b"a\rb"]),
    ],
    ids=repr,
)
def test_lines_are_found_whatever_ends_them(tmp_path: Path, content: bytes, expected: list[bytes]) -> None:
    assert lines_in(find(tmp_path, content)) == expected


@pytest.mark.usefixtures("chunk")
def test_lines_of_random_texts_are_those_that_python_finds(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    for _ in range(50):
        content = rng.choice(np.frombuffer(b"ab\n\n\r", np.uint8), 40).tobytes()
        lines = [line.removesuffix(b"\r") for line in content.split(b"\n")]
        assert lines_in(find(tmp_path, content)) == [line for line in lines if line]


@pytest.mark.usefixtures("chunk")
def test_a_line_end_in_quotes_ends_no_row(tmp_path: Path) -> None:
    content = b'a,"b\n\nc"\n"d ""e""\n",f\n'
    assert lines_in(find(tmp_path, content, delimiter=",")) == [b'a,"b\n\nc"', b'"d ""e""\n",f']


@pytest.mark.usefixtures("chunk")
def test_rows_of_random_csv_files_are_those_that_python_finds(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    for _ in range(30):
        rows = [["".join(rng.choice(list('ab,"\n\r'), rng.integers(0, 6))) for _ in range(3)] for _ in range(6)]
        with (tmp_path / "a.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)
        index = find_lines([str(tmp_path / "a.csv")], delimiter=",")
        assert [next(csv.reader([line.decode()])) for line in lines_in(index)] == rows


def rows_of(content: bytes) -> list[bytes]:
    """Return the rows of a CSV file: a line goes on in the next one if it has an odd number of quotes."""
    rows: list[bytes] = []
    for line in content.split(b"\n"):
        if rows and rows[-1].count(b'"') % 2:
            rows[-1] += b"\n" + line
        else:
            rows.append(line)
    return rows


def is_row(row: bytes) -> bool:
    try:
        split_csv(row, b",")
    except Undecodable:
        return False
    return True


@pytest.mark.usefixtures("chunk")
def test_rows_of_several_lines_that_no_quotes_hold_together_are_an_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    refused = 0
    for number in range(300):
        start = b"\xef\xbb\xbf" if number % 3 == 0 else b""
        text = rng.choice(np.frombuffer(b'aa,,""""\n\n', np.uint8), rng.integers(1, 16)).tobytes()
        bad = [row for row in rows_of(text) if b"\n" in row and not is_row(row)]
        if bad:
            refused += 1
            before = rows_of(text)[: rows_of(text).index(bad[0])]
            with pytest.raises(DecodeError, match=rf": line {1 + sum(1 + row.count(10) for row in before)}: .*unmatched quote"):
                find(tmp_path, start + text, delimiter=",")
        else:
            assert lines_in(find(tmp_path, start + text, delimiter=",")) == [row for row in rows_of(text) if row]
    assert 50 < refused < 250


@pytest.mark.usefixtures("chunk")
def test_files_follow_one_another_and_empty_ones_count_for_nothing(tmp_path: Path) -> None:
    index = find(tmp_path, b"a\nb\n", b"", b"c", b"\n")
    assert lines_in(index) == [b"a", b"b", b"c"]
    assert index.ends.tolist() == [2, 2, 3, 3]
    assert [index.file_of(line) for line in range(3)] == [0, 0, 2]
    assert lines_in(index.without_first()) == [b"b"]
    assert index.without_first().ends.tolist() == [1, 1, 1, 1]


@pytest.mark.usefixtures("chunk")
def test_lines_are_numbered_as_editors_number_them(tmp_path: Path) -> None:
    index = find(tmp_path, b"a\n\nb\r\n\r\n\nc", b"\n\n\nd\ne\n")
    assert [index.line_number(line, files_of(index)) for line in range(len(index))] == [1, 3, 6, 4, 5]
    quoted = find(tmp_path, b'a,"b\n\n"\nc\n', delimiter=",")
    assert [quoted.line_number(line, files_of(quoted)) for line in range(2)] == [1, 4]


def test_the_arrays_of_an_index_travel_beside_the_pickle(tmp_path: Path) -> None:
    index = find(tmp_path, b"a\n" * 5000)
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(index, protocol=5, buffer_callback=buffers.append)
    assert len(pickled) < 2000
    assert lines_in(pickle.loads(pickled, buffers=buffers)) == [b"a"] * 5000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text".encode("utf-16"), "is UTF-16 text"),
        (b"\x1f\x8b\x08\x00abc", "gzip-compressed"),
        (b"\x89PNG\r\n\x1a\n\0", "is not a text file but a PNG image"),
        (b"ab\0", "is not a text file"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        find(tmp_path, content)


def test_a_file_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match="gone"):
        find_lines([str(tmp_path / "gone")])
    with pytest.raises(LoaderError, match="is a folder"):
        find_lines([str(tmp_path)])


def test_a_long_search_says_how_far_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_index, "_TOLD_EVERY_S", -1.0)
    with caplog.at_level(logging.INFO, "loader"):
        find(tmp_path, b"a\nb\n")
    assert "looking for the lines of text files" in caplog.text
    assert "found 2 lines in 0.0 GB of text" in caplog.text
