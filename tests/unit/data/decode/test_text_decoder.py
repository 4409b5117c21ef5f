"""Text as numbers: functions, tokenizers, bytes."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import ByteFiles, ConfigError, DecodeError, Loader, PipelineError, SampleError, decode
from loader.data.decode.decoder import Undecodable


def letters(text: str) -> list[int]:
    return [ord(sign) for sign in text]


def decoded(tokenizer: Any, content: bytes, length: int = 4, pad: int = 0) -> list[int]:
    return decode.text(tokenizer, length, pad).decode(memoryview(content)).tolist()


def test_a_text_is_cut_or_padded_to_one_length() -> None:
    assert decoded(letters, b"abcdef") == [97, 98, 99, 100]
    assert decoded(letters, b"ab", pad=-1) == [97, 98, -1, -1]
    assert decoded(letters, b"") == [0, 0, 0, 0]


def test_without_a_tokenizer_a_text_is_its_bytes() -> None:
    decoder = decode.text(None, 4, pad=255)
    row = decoder.decode(memoryview("aé".encode()))
    assert row.dtype == np.uint8
    assert row.tolist() == [97, 0xC3, 0xA9, 255]
    assert decoder.decode(memoryview(b"abcdef")).tolist() == [97, 98, 99, 100]


def test_characters_are_not_bytes_where_there_is_a_tokenizer() -> None:
    assert decoded(letters, "aé€".encode()) == [97, 0xE9, 0x20AC, 0]


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert decoded(letters, b"\xef\xbb\xbfab") == [97, 98, 0, 0]


@pytest.mark.parametrize("kind", [tuple, np.array, lambda ids: np.array(ids, np.uint16), iter], ids=["tuple", "int64", "uint16", "iterator"])
def test_a_tokenizer_may_return_any_flat_sequence_of_whole_numbers(kind: Any) -> None:
    assert decoded(lambda text: kind(letters(text)), b"ab") == [97, 98, 0, 0]


def test_bytes_of_a_tokenizer_are_numbers() -> None:
    assert decoded(lambda text: text.encode(), b"ab") == [97, 98, 0, 0]


@pytest.mark.parametrize(
    "returned",
    [1.5, [1, 2.5], [[1, 2]], ["a"], {"input_ids": [1]}, None, "ab", np.zeros((1, 2), int), np.zeros(2)],
    ids=repr,
)
def test_a_tokenizer_that_returns_something_else_is_told_so(returned: Any) -> None:
    with pytest.raises(PipelineError, match="must return a flat list of whole numbers"):
        decoded(lambda text: returned, b"ab")


@pytest.mark.parametrize("returned", [[2**40], np.array([0, 2**40])], ids=["list", "array"])
def test_a_number_that_int32_can_not_hold_is_an_error(returned: Any) -> None:
    with pytest.raises(Undecodable, match="int32 can't hold"):
        decoded(lambda text: returned, b"ab")


def test_bytes_that_are_no_utf8_are_named_by_line_and_offset(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"good\nb\xff")
    with pytest.raises(DecodeError, match=r"a\.txt: is not UTF-8 text: in line 2, byte 6 is 0xff \(invalid start byte\)"):
        ByteFiles(tmp_path, decode=decode.text(letters, 4))[0]


def test_the_spec_is_known_before_a_text_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff")
    source = ByteFiles(tmp_path, decode=decode.text(letters, 4))
    assert str(source.header_spec()) == "(x: (4,) int32)"
    assert str(ByteFiles(tmp_path, decode=decode.text(None, 3)).spec) == "(x: (3,) uint8)"


def test_what_the_users_tokenizer_raises_stays_as_it_is(tmp_path: Path) -> None:
    def fails(text: str) -> list[int]:
        raise ValueError("the user's")

    (tmp_path / "a.txt").write_text("a")
    source = ByteFiles(tmp_path, decode=decode.text(fails, 4))
    with pytest.raises(ValueError, match=r"^the user's$"):
        source[0]
    with Loader(source, 1, workers=0) as loader, pytest.raises(SampleError, match=r"a\.txt\): ValueError: the user's"):
        list(loader)


def trained_tokenizer() -> Any:
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0, "a": 1, "cat": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    return tokenizer


def test_a_tokenizer_of_tokenizers_is_taken_as_it_is_and_starts_no_threads() -> None:
    decoder = pickle.loads(pickle.dumps(decode.text(trained_tokenizer(), 4, pad=9)))
    before = len(os.listdir("/proc/self/task"))
    for _ in range(50):
        assert decoder.decode(memoryview(b"a cat sat")).tolist() == [1, 2, 0, 9]
    assert len(os.listdir("/proc/self/task")) == before


@pytest.mark.parametrize("workers", [0, 2])
def test_texts_in_files_become_batches(tmp_path: Path, workers: int) -> None:
    for number in range(4):
        (tmp_path / f"{number}.txt").write_text("a cat " * number)
    source = ByteFiles(tmp_path, labels=[0, 1, 0, 1], decode=decode.text(trained_tokenizer(), 3))
    with Loader(source, 4, workers=workers) as loader:
        ((x, y),) = loader
        assert x.tolist() == [[0, 0, 0], [1, 2, 0], [1, 2, 1], [1, 2, 1]]
        assert y.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("tokenizer", [3, "words", str, {"a": 1}, ["a"]], ids=repr)
def test_what_is_no_tokenizer_is_refused(tokenizer: Any) -> None:
    with pytest.raises(ConfigError, match="give a function that takes a str"):
        decode.text(tokenizer, 4)


@pytest.mark.parametrize("length", [0, -1, 2.0, "4", None, True])
def test_a_length_is_a_whole_number(length: Any) -> None:
    with pytest.raises(ConfigError, match="length="):
        decode.text(letters, length)


@pytest.mark.parametrize(("tokenizer", "pad"), [(letters, 2**31), (None, 256), (None, -1), (letters, 0.0), (letters, True)])
def test_padding_fits_its_dtype(tokenizer: Any, pad: Any) -> None:
    with pytest.raises(ConfigError, match="pad="):
        decode.text(tokenizer, 4, pad)
