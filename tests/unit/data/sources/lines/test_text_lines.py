"""Lines and rows as samples: which they are, what is in them, and what is said of those that are wrong."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import ConfigError, DecodeError, LabelError, Loader, PipelineError, SampleError, TextLines, decode
from loader.data.rows import BadSample
from loader.data.sources.lines import mapped_files

WIDTH = 6
AS_BYTES = decode.text(None, WIDTH)
CODES = decode.text(lambda text: [ord(sign) for sign in text], WIDTH)

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to(name: str, content: str | bytes) -> str:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return to


def text_of(row: Any) -> str:
    return bytes(row.astype(np.uint8)).rstrip(b"\0").decode()


def texts(source: TextLines) -> list[str]:
    return [text_of(source[index][0]) for index in range(len(source))]


def read(source: TextLines, indices: Any, places: Any = None) -> list[Any]:
    count = len(indices) if places is None else max(places) + 1
    out = [np.full((count, *leaf.shape), 1, leaf.dtype) for leaf in source.spec.leaves]
    if places is None:
        source.read(np.asarray(indices), out)
    else:
        source.read_at(np.asarray(indices), out, np.asarray(places))
    return out


@pytest.mark.parametrize("decoder", [AS_BYTES, CODES], ids=["bytes", "tokens"])
def test_a_line_is_a_sample(write: Write, decoder: Any) -> None:
    source = TextLines(write("a.txt", "\ufefffirst\r\n\r\nsecond\nlast one"), decode=decoder)
    assert texts(source) == ["first", "second", "last o"]
    assert [text_of(row) for row in read(source, [2, 0, 2])[0]] == ["last o", "first", "last o"]
    assert [text_of(row) for row in read(source, [1, 2], [3, 0])[0][[0, 3]]] == ["last o", "second"]
    assert [source.name_of(index).rpartition("a.txt")[2] for index in range(3)] == [", line 1", ", line 3", ", line 4"]
    assert source.ids() is None
    assert source.labels() is None


@pytest.mark.parametrize("decoder", [AS_BYTES, CODES], ids=["bytes", "tokens"])
def test_files_are_joined_in_their_order(write: Write, decoder: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mapped_files, "MAX_MAPPED", 1)
    for number, content in enumerate(["a\nb\n", "", "c", "d\ne\nf\n"]):
        write(f"{number}.txt", content)
    source = TextLines(str(tmp_path / "*.txt"), decode=decoder)
    assert texts(source) == list("abcdef")
    assert [text_of(row) for row in read(source, [5, 0, 3, 2, 2, 1, 4])[0]] == list("fadccbe")
    assert texts(TextLines([tmp_path / "3.txt", tmp_path / "0.txt"], decode=decoder)) == list("defab")
    assert texts(TextLines(tmp_path, decode=decoder)) == list("abcdef")
    assert repr(source).endswith("0.txt and 3 more)")


def test_a_function_gets_the_bytes_of_a_line(write: Write) -> None:
    source = TextLines(write("a.txt", "1 2\n3 4\n"), decode=lambda line: np.array(line.split(), np.float32))
    assert source[1][0].tolist() == [3, 4]
    assert str(source.spec) == "(x: (2,) float32)"
    assert source.header_spec() is None
    assert read(source, [1, 0])[0].tolist() == [[3, 4], [1, 2]]


def test_a_column_of_a_csv_file_is_the_text_and_another_the_label(write: Write) -> None:
    path = write("a.csv", 'id,text,stars\r\n7,"a,\n""b""",2\r\n\r\n8,c,1\r\n')
    source = TextLines(path, decode=CODES, text_column="text", label_columns="stars")
    assert texts(source) == ['a,\n"b"', "c"]
    assert source.labels() is not None
    assert [int(source[index][1]) for index in range(2)] == [2, 1]
    assert source.name_of(1) == f"{path}, line 5"
    assert [array.tolist() for array in read(source, [1])][1] == [1]
    assert str(source.header_spec()) == "(x: (6,) int32, y: () int32)"


def test_names_of_classes_become_numbers(write: Write) -> None:
    path = write("a.csv", "text,label\na,dog\nb,cat\nc,dog\n")
    source = TextLines(path, decode=CODES, label_columns="label")
    assert source.classes == ("cat", "dog")
    assert source.labels().tolist() == [1, 0, 1]  # type: ignore[union-attr]
    given = TextLines(path, decode=CODES, label_columns="label", classes=["dog", "cow", "cat"])
    assert given.labels().tolist() == [0, 2, 0]  # type: ignore[union-attr]
    assert repr(source).endswith("a.csv, 2 classes)")
    training, validation = source.split(0.34, stratify=False)
    assert len(training) + len(validation) == 3


def test_several_columns_of_numbers_are_a_vector(write: Write) -> None:
    path = write("a.csv", "text,low,high\na,1,2.5\nb,3,4\n")
    source = TextLines(path, decode=CODES, label_columns=["low", "high"])
    assert str(source.spec) == "(x: (6,) int32, y: (2,) float32)"
    assert read(source, [1, 0])[1].tolist() == [[3, 4], [1, 2.5]]
    write("a.csv", "text,low,high\na,1,\nb,x,4\n")
    with pytest.raises(LabelError) as caught:
        TextLines(path, decode=CODES, label_columns=["low", "high"])
    assert f"2 of 2 rows can't be used:\n  {path}, line 2: has no 'high'\n  {path}, line 3: 'low' is 'x', not a number" in str(caught.value)


def test_the_only_other_column_is_the_text(write: Write) -> None:
    assert texts(TextLines(write("a.csv", "label,review\n1,abc\n"), decode=CODES, label_columns="label")) == ["abc"]
    assert texts(TextLines(write("b.csv", "review\nabc\n"), decode=CODES)) == ["abc"]


def test_columns_have_numbers_where_they_have_no_names(write: Write) -> None:
    source = TextLines(write("a.csv", "0,abc\n1,de\n"), decode=CODES, header=False, text_column=1, label_columns=0)
    assert texts(source) == ["abc", "de"]
    assert source.labels().tolist() == [0, 1]  # type: ignore[union-attr]


def test_columns_may_be_anywhere_in_each_file(write: Write, tmp_path: Path) -> None:
    write("0.csv", "text,label\na,1\n")
    write("1.csv", "")
    write("2.csv", "label,more,text\n2,x,b\n")
    source = TextLines(tmp_path, decode=CODES, text_column="text", label_columns="label")
    assert texts(source) == ["a", "b"]
    assert source.labels().tolist() == [1, 2]  # type: ignore[union-attr]


def test_other_delimiters_are_told_or_follow_from_the_extension(write: Write) -> None:
    assert texts(TextLines(write("a.tsv", "x\ttext\n1\ta,b\n"), decode=CODES, text_column="text")) == ["a,b"]
    assert texts(TextLines(write("a.csv", "x;text\n1;a,b\n"), decode=CODES, text_column="text", delimiter=";")) == ["a,b"]
    assert texts(TextLines(write("a.txt", "x,text\n1,ab\n"), decode=CODES, text_column="text", format="csv")) == ["ab"]


def test_a_key_of_json_lines_is_the_text(write: Write) -> None:
    path = write("a.jsonl", '{"text": "ab", "y": 3, "k": "n"}\n\n{"y": 4, "k": "m", "text": "é"}\n')
    source = TextLines(path, decode=CODES, text_column="text", label_columns="y")
    assert [source[index][0][:2].tolist() for index in range(2)] == [[97, 98], [0xE9, 0]]
    assert source.labels().tolist() == [3, 4]  # type: ignore[union-attr]
    assert TextLines(path, decode=CODES, text_column="text", label_columns="k").classes == ("m", "n")
    whole = TextLines(path, decode=lambda line: np.frombuffer(line[:6], np.uint8))
    assert text_of(whole[1][0]) == '{"y": '


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_line_is_named_and_can_be_substituted(write: Write, workers: int) -> None:
    path = write("a.txt", b"a\n\nb\nx\xff\nc\n")
    source = TextLines(path, decode=CODES)
    problem = r"a\.txt: line 4, which begins at byte 5: is not UTF-8 text: byte 1 is 0xff \(invalid start byte\)"
    with pytest.raises(DecodeError, match=problem):
        source[2]
    with Loader(source, 4, workers=workers) as loader, pytest.raises(SampleError, match=rf"sample 2 \(.*a\.txt, line 4\): DecodeError: .*{problem}"):
        list(loader)
    with Loader(source, 4, workers=workers, on_error="substitute") as loader:
        with pytest.warns(RuntimeWarning, match="another one takes its place"):
            ((x,),) = loader
        assert [text_of(row) for row in x[[0, 1, 3]]] == ["a", "b", "c"]
        del x


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("9,too,long,1", "has 4 columns, more than the 3 of the first row. A field that holds a ',' must be in quotes"),
        ("9,1", "has 2 columns, of 3 of the first row"),
        ('9,"a"b,1', "column 2 has an unmatched quote"),
    ],
)
def test_a_row_that_does_not_fit_is_named(write: Write, row: str, problem: str) -> None:
    path = write("a.csv", f"id,text,label\n1,a,0\n{row}\n")
    source = TextLines(path, decode=CODES, text_column="text")
    with pytest.raises(DecodeError) as caught:
        source[1]
    assert "line 3, which begins at byte 20: " in str(caught.value)
    assert problem in str(caught.value)
    with pytest.raises(LabelError) as told:
        TextLines(path, decode=CODES, text_column="text", label_columns="label")
    assert f"labels of 1 of 2 rows can't be used:\n  {path}, line 3: " in str(told.value)


STRAY = {
    "before a text": ('a,0\n"b,1\nc,0\n', 4),
    "in a text": ('a,0\n5" disk,1\nb,"c"\nd,0\n', 5),
    "in a text with quotes": ('a,0\n"a "b c",1\n"d",0\n', 4),
    "after a text": ('a,0\nb",1\n"c\nd",0\n', 4),
    "twice": ('a,0\n5" disk,1\nc,0\nd,0\n3" tape,1\ne,0\n', 6),
    "behind a good row of two lines": ('"a\n",0\nb,"1\nc,0\n', 5),
}


@pytest.mark.parametrize("kind", STRAY)
@pytest.mark.parametrize("decoder", [CODES, len], ids=["a column", "whole rows"])
def test_a_stray_quote_is_an_error_that_names_its_line_and_how_far_it_would_reach(write: Write, kind: str, decoder: Any) -> None:
    rows, last = STRAY[kind]
    path = write("a.csv", "text,label\n" + rows)
    first = 4 if "good" in kind else 3
    words = rf"a\.csv: line {first}: .* has an unmatched quote.*So all lines up to line {last} would belong to this row"
    with pytest.raises(DecodeError, match=words):
        TextLines(path, decode=decoder, text_column=None if decoder is len else "text")


def test_quotes_within_a_text_without_quotes_are_part_of_it_if_its_line_has_an_even_number(write: Write) -> None:
    source = TextLines(write("a.csv", 'text,label\n5"x3",0\n"a\n""b""",1\n'), decode=CODES, text_column="text", label_columns="label")
    assert [text_of(source[place][0]) for place in range(2)] == ['5"x3"', 'a\n"b"']


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("text,label\na,1\nb,2\nc,three\n", "line 4: the label 'three' is not a number, but most are; if all are names, give classes="),
        ("text,label\na,1\nb,\nc,\n", "labels of 2 of 3 rows can't be used:"),
        ("text,label\na,1\nb,\n", "line 3: has no label"),
        ("text,label\na,1\nb,NA\nc,2\n", "line 3: the label 'NA' is not a number"),
    ],
)
def test_labels_that_are_wrong_are_told_with_their_lines(write: Write, content: str, problem: str) -> None:
    with pytest.raises(LabelError) as caught:
        TextLines(write("a.csv", content), decode=CODES, label_columns="label")
    assert problem in str(caught.value)


def test_labels_that_are_in_no_class_are_told_with_their_lines(write: Write) -> None:
    path = write("a.csv", "text,label\na,cat\nb,dg\n" + "c,cow\n" * 20)
    with pytest.raises(LabelError) as caught:
        TextLines(path, decode=CODES, label_columns="label", classes=["cat", "dog"])
    assert "labels of 21 of 22 rows can't be used:\n" in str(caught.value)
    assert "line 3: the label 'dg' is not in classes" in str(caught.value)
    assert "and 11 more" in str(caught.value)


@pytest.mark.parametrize("line", ['{"text": "b"', "[1]", '{"y": 1}', '{"text": null, "y": 1}'])
def test_a_line_that_is_no_such_json_is_named(write: Write, line: str) -> None:
    path = write("a.jsonl", f'{{"text": "a", "y": 0}}\n{line}\n')
    with pytest.raises(DecodeError, match=r"a\.jsonl: line 2, which begins at byte 22: (is not (a )?JSON|has no )"):
        TextLines(path, decode=CODES, text_column="text")[1]
    if '"y": 1' not in line:
        with pytest.raises(LabelError, match=r"line 2: (is not (a )?JSON|has no )"):
            TextLines(path, decode=CODES, text_column="text", label_columns="y")


@pytest.mark.parametrize(
    ("name", "content", "arguments", "message"),
    [
        ("a.txt", "", {}, r"a\.txt: there are no lines, or only empty ones; it has 0 bytes"),
        ("a.txt", "\n\n", {}, "it has 2 bytes"),
        ("a.csv", "text\n", {}, "a row that names the columns, and no other"),
        ("a.csv", "a,b\n1,2\n", {}, r"which column of .*a\.csv has the text\? It has 'a', 'b'"),
        ("a.csv", "a,b\n1,2\n", {"text_column": "text"}, r"no column 'text'; its first row names 'a', 'b'"),
        ("a.csv", "a,a\n1,2\n", {"text_column": "a"}, "more than one column 'a'"),
        ("a.csv", "a,b\n1,2\n", {"text_column": 2}, "has no column 2: its first row has 2, 0 to 1"),
        ("a.csv", "a,b\n1,2\n", {"text_column": -1}, "has no column -1"),
        ("a.csv", "a,b\n1,2\n", {"text_column": "a", "header": False}, "with header=False columns have none"),
        ("a.csv", "a,b\n1,2\n", {"text_column": ["a"]}, "is not a column: it must be a name, or a number"),
        ("a.csv", "a,b\n1,2\n", {"text_column": "a", "header": "b"}, "must be True or False"),
        ("a.csv", "a,b\n1,2\n", {"text_column": "a", "label_columns": "c"}, "no column 'c'"),
        ("a.csv", "a,b\n1,2\n", {"text_column": "a", "delimiter": ";;"}, "must be one ASCII character"),
        ("a.jsonl", '{"a": 1}\n', {}, "which key of each line of .* The first line has 'a'"),
        ("a.jsonl", '{"a": 1}\n', {"text_column": 1}, "1 is not a column: it must be a name"),
        ("a.txt", "a\n", {"text_column": "a"}, "is read as lines"),
        ("a.txt", "a\n", {"delimiter": ","}, "is for CSV files"),
        ("a.txt", "a\n", {"format": "xml"}, "must be one of 'lines', 'csv', 'jsonl'"),
    ],
)
def test_what_does_not_fit_the_file_is_told_when_the_source_is_made(write: Write, name: str, content: str, arguments: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TextLines(write(name, content), decode=CODES, **arguments)


@pytest.mark.parametrize("paths", [None, 3, {}, [], ["gone"], "gone", [None], {"a"}, np.zeros(3)], ids=repr)
def test_what_is_no_path_is_refused(paths: Any) -> None:
    with pytest.raises(ConfigError):
        TextLines(paths, decode=CODES)


def test_an_empty_file_before_the_others_does_not_matter(write: Write) -> None:
    paths = [write("0.jsonl", "\n"), write("1.jsonl", '{"a": "b"}\n')]
    assert texts(TextLines(paths, decode=CODES, text_column="a")) == ["b"]
    with pytest.raises(ConfigError, match=r"key of each line of .*1\.jsonl has the text\? The first line has 'a'"):
        TextLines(paths, decode=CODES)


def test_files_of_several_formats_are_refused(write: Write) -> None:
    with pytest.raises(ConfigError, match=r"end with '\.csv', '\.txt', which are not of one format"):
        TextLines([write("a.csv", "a\n1\n"), write("a.txt", "a\n")], decode=CODES)


def test_labels_beside_those_of_the_function_are_refused(write: Write) -> None:
    source = TextLines(write("a.csv", "a,b\n1,2\n"), decode=lambda row: (np.zeros(2), 1), label_columns="b")
    with pytest.raises(PipelineError, match="returns 2 parts, so label_columns= can't be given as well"):
        _ = source.spec


def test_a_function_that_returns_nothing_is_told_so(write: Write) -> None:
    with pytest.raises(PipelineError, match="returns something that is not a sample"):
        _ = TextLines(write("a.txt", "a\n"), decode=lambda line: None).spec


def test_what_the_users_code_raises_stays_as_it_is(write: Write) -> None:
    def fails(text: Any) -> Any:
        raise ValueError("the user's")

    for decoder in (fails, decode.text(fails, 3)):
        source = TextLines(write("a.txt", "a\nb\n"), decode=decoder)
        with pytest.raises(ValueError, match=r"^the user's$"):
            source[0]
        source.__dict__["spec"] = TextLines(write("a.txt", "a\nb\n"), decode=AS_BYTES).spec
        with pytest.raises(BadSample) as caught:
            source.read(np.array([1]), [np.zeros((1, WIDTH), np.uint8)])
        assert repr(caught.value.__cause__) == 'ValueError("the user\'s")'


@pytest.mark.parametrize("decoder", [AS_BYTES, CODES], ids=["bytes", "tokens"])
@pytest.mark.parametrize("content", ["a\n", "a\nb\nc\nd\n"], ids=["shorter", "longer"])
def test_a_file_of_another_size_is_an_error(write: Write, decoder: Any, content: str) -> None:
    path = write("a.txt", "a\nb\nc\n")
    source = TextLines(path, decode=decoder)
    write("a.txt", content)
    problem = f"a.txt: had 6 bytes when its lines were found, now it has {len(content)}. Make the source again"
    with pytest.raises(DecodeError, match=problem):
        source[0]
    with pytest.raises(BadSample) as caught:
        source.read(np.array([1]), [np.zeros((1, *leaf.shape), leaf.dtype) for leaf in source.spec.leaves])
    assert problem in str(caught.value.__cause__)


def test_rows_before_a_file_that_is_gone_are_read(write: Write, tmp_path: Path) -> None:
    source = TextLines([write("a.txt", "a\nb\n"), write("b.txt", "c\n")], decode=AS_BYTES)
    os.unlink(tmp_path / "b.txt")
    out = [np.full((3, WIDTH), 1, np.uint8)]
    with pytest.raises(BadSample) as caught:
        source.read(np.array([1, 2, 0]), out)
    assert (caught.value.index, text_of(out[0][0])) == (2, "b")
    assert "b.txt" in str(caught.value.__cause__)
    assert source.name_of(2) == f"{tmp_path}/b.txt, sample 2"


def test_a_source_is_small_where_it_travels(write: Write) -> None:
    source = TextLines(write("a.csv", "text,label\n" + "a,1\n" * 5000), decode=AS_BYTES, label_columns="label")
    source.open()
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(source, protocol=5, buffer_callback=buffers.append)
    assert len(pickled) < 3000
    assert texts(pickle.loads(pickled, buffers=buffers).subset([3, 4999])) == ["a", "a"]
