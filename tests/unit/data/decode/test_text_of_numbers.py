"""Numbers of tokens become text again, to be shown: by whatever made them, if it can."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from loader import ByteFiles, MapSource, TextLines, decode
from tests.lazily import lazily

tokenizers = lazily("tokenizers")
LINES = ["the cat sat", "a long dog sat on the mat", ""]
WORDS = ["", "[UNK]", "the", "cat", "sat", "dog", "mat"]


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    (tmp_path / "lines.txt").write_text("\n".join(LINES[:2]))
    return tmp_path / "lines.txt"


def texts(lines: Path, tokenizer: object, length: int = 8) -> list[str | None]:
    source = TextLines(lines, decode=decode.text(tokenizer, length))
    return [source.text_of(source[number][0]) for number in range(len(source))]


def test_bytes(lines: Path) -> None:
    assert texts(lines, None, 12) == ["the cat sat", "a long dog s"]


def test_words_of_a_vocabulary(lines: Path) -> None:
    assert texts(lines, decode.vocabulary(WORDS)) == ["the cat sat", "[UNK] [UNK] dog sat [UNK] the mat"]
    assert texts(lines, decode.vocabulary(["", "[UNK]", *"thea cs"], split="character"), 5) == ["the c", "a [UNK][UNK][UNK]"]


def test_tokens_of_a_library(lines: Path) -> None:
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel({word: number for number, word in enumerate(WORDS)}, "[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    assert texts(lines, tokenizer)[0] == "the cat sat"


def test_a_function_does_not_tell(lines: Path) -> None:
    assert texts(lines, lambda text: [len(word) for word in text.split()]) == [None, None]


def test_other_arrays_are_no_text(lines: Path) -> None:
    source = TextLines(lines, decode=decode.text(decode.vocabulary(WORDS), 8))
    assert source.text_of(np.zeros(7, np.int32)) is None
    assert source.text_of(np.zeros(8, np.int64)) is None
    assert MapSource([np.zeros(3)]).text_of(np.zeros(8, np.int32)) is None


def test_the_parts_of_a_source_are_asked(lines: Path) -> None:
    files = ByteFiles([str(lines)], decode=decode.text(None, 11))
    both = (files + files).subset([1])
    assert both.text_of(both[0][0]) == "the cat sat"
