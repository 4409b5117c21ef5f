"""Fields of CSV, compared with Python's own module, and keys of JSON."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from loader.data.decode.decoder import Undecodable
from loader.data.sources.lines.row_formats import CsvRows, JsonRows, split_csv


@pytest.mark.parametrize("delimiter", [",", "\t", "|"])
def test_fields_are_those_that_python_finds(delimiter: str) -> None:
    rng = np.random.default_rng(8)
    for _ in range(300):
        row = ["".join(rng.choice(list('ab",\t|\n é'), rng.integers(0, 6))) for _ in range(rng.integers(2, 5))]
        file = io.StringIO()
        csv.writer(file, delimiter=delimiter, quoting=int(rng.integers(0, 2))).writerow(row)
        assert [field.decode() for field in split_csv(file.getvalue().removesuffix("\r\n").encode(), delimiter.encode())] == row


def test_a_field_may_be_of_any_length() -> None:
    assert split_csv(b'"' + b"a" * 200_000 + b'",1', b",") == [b"a" * 200_000, b"1"]


@pytest.mark.parametrize("row", [b'"a', b'"a"b,c', b'5" disk,1\n6" disk,2', b'a,"b""', b'""a'], ids=repr)
def test_quotes_that_do_not_fit_are_an_error(row: bytes) -> None:
    with pytest.raises(Undecodable, match="has an unmatched quote"):
        split_csv(row, b",")


def test_a_quote_within_a_field_without_quotes_is_part_of_it() -> None:
    assert split_csv(b'5" disk,1', b",") == [b'5" disk', b"1"]


def test_a_row_has_as_many_columns_as_the_first() -> None:
    rows = CsvRows(",", 3, text=1, labels=[2])
    assert bytes(rows.text(memoryview(b'1,"a,b",x'))) == b"a,b"
    assert rows.labels(memoryview(b"1,a, x ")) == ["x"]
    with pytest.raises(Undecodable, match=r"has 4 columns, more than the 3 of the first row\. A field that holds a ','"):
        rows.text(memoryview(b"1,a,b,x"))
    with pytest.raises(Undecodable, match="has 2 columns, of 3 of the first row"):
        rows.text(memoryview(b"1,a"))


def test_a_key_of_json_is_the_text() -> None:
    rows = JsonRows("text", ["label"])
    assert bytes(rows.text(memoryview(b'{"text": "\\u00e9\\n", "label": 3}'))) == "é\n".encode()
    assert rows.labels(memoryview(b'{"text": "a", "label": 3}')) == [3]
    assert rows.labels(memoryview(b'{"text": "a", "label": " cat "}')) == ["cat"]
    assert bytes(JsonRows(None, []).text(memoryview(b"[1]"))) == b"[1]"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b'{"text": "a"', "is not JSON: "),
        (b"[1]", r"is not a JSON object but \[1\]\. One object per line is read; .* pandas\.read_json"),
        (b"[", r"is not JSON: .*\. One object per line is read"),
        (b'{"body": "a"}', "has no 'text'; it has 'body'"),
        (b'{"text": 3}', "has no text at 'text', but 3"),
        (b'{"text": "\\ud800"}', "surrogates not allowed"),
        (b'{"text": "\xff"}', "byte 10 is 0xff"),
        (b"[" * 100_000, "is not JSON: "),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_no_text_in_json_is_an_error(row: bytes, message: str) -> None:
    with pytest.raises(Undecodable, match=message):
        JsonRows("text", []).text(memoryview(row))
