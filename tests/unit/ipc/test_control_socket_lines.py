"""Bytes from a socket become requests or refusals, whatever they are."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.ipc.control_socket import BadLine, Lines, decode, encode

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
MESSAGES = st.dictionaries(st.text(), JSON, max_size=4)


def all_of(lines: Lines) -> list[bytes]:
    found = []
    while (line := lines.take()) is not None:
        found.append(line)
    return found


def pieces(raw: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(raw)) for cut in cuts} | {0, len(raw)})
    return [raw[start:end] for start, end in itertools.pairwise(places)]


@given(messages=st.lists(MESSAGES, max_size=5), cuts=st.lists(st.integers(0, 500), max_size=10))
def test_messages_arrive_however_the_stream_is_cut(messages: list[dict[str, Any]], cuts: list[int]) -> None:
    lines = Lines()
    found = []
    for piece in pieces(b"".join(map(encode, messages)), cuts):
        lines.feed(piece)
        found += all_of(lines)
    assert [decode(line) for line in found] == messages
    assert not lines.waiting


@given(raw=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=10), limit=st.integers(1, 50))
def test_any_bytes_are_lines_within_the_limit_or_refused(raw: bytes, cuts: list[int], limit: int) -> None:
    lines = Lines(limit)
    found: list[bytes] = []
    try:
        for piece in pieces(raw, cuts):
            lines.feed(piece)
            while lines.waiting:
                line = lines.take()
                assert line is not None
                found.append(line)
            assert lines.take() is None
    except BadLine:
        assert max(map(len, raw.split(b"\n"))) > limit
        assert lines.waiting, "nothing follows a line that is too long"
    else:
        assert found == raw.split(b"\n")[:-1]
    assert all(len(line) <= limit for line in found)


@given(st.binary(max_size=200) | st.text().map(str.encode) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_line_is_an_object_or_refused_in_one_line_of_words(line: bytes) -> None:
    reason = "fine"
    try:
        assert isinstance(decode(line), dict)
    except BadLine as error:
        reason = str(error)
    assert reason
    assert "\n" not in reason


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "number"),
        (b"[" * 60_000, "nested too deeply"),
        (b'{"a":' * 10_000, "nested too deeply"),
        (b"\xff\xfe{}", "UTF-8"),
        (b'{"a": "\x80"}', "UTF-8"),
        (b"[1, 2]", "object"),
        (b"6", "object"),
        (b"", "not JSON"),
        (b"\x80\x04K\x01.", "UTF-8"),
        (b"{'a': 1}", "not JSON"),
    ],
)
def test_nonsense_is_refused_with_the_reason(line: bytes, why: str) -> None:
    with pytest.raises(BadLine, match=why):
        decode(line)


def test_a_line_without_an_end_is_refused_when_it_gets_too_long() -> None:
    lines = Lines()
    for _ in range(65):
        lines.feed(b"x" * 1000)
        assert lines.take() is None
    lines.feed(b"x" * 1000)
    with pytest.raises(BadLine, match="longer than 65,536 bytes"):
        lines.take()


def test_what_json_does_not_have_is_never_sent() -> None:
    with pytest.raises(ValueError):
        encode({"a": math.nan})
