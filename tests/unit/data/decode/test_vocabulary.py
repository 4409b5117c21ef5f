"""The words of a TextVectorization layer. That they get the same numbers as in the layer itself: tests/frameworks/test_text.py."""

from __future__ import annotations

from typing import Any

import pytest

from loader import ConfigError, decode

WORDS = ["", "[UNK]", "the", "cat", "don't", "dont", "É"]


@pytest.mark.parametrize(
    ("standardize", "text", "numbers"),
    [
        ("lower_and_strip_punctuation", "The  cat, don't!\n", [2, 3, 5]),
        ("lower", "THE don't cat.", [2, 4, 1]),
        ("strip_punctuation", "the The. don't", [2, 1, 5]),
        (None, "the don't É é", [2, 4, 6, 1]),
    ],
)
def test_a_text_is_standardized_and_split_into_words(standardize: Any, text: str, numbers: list[int]) -> None:
    assert decode.vocabulary(WORDS, standardize)(text) == numbers


def test_characters_and_whole_texts_can_be_words() -> None:
    assert decode.vocabulary(["", "[UNK]", "a", "é"], split="character")("Aéb") == [2, 3, 1]
    assert decode.vocabulary(["", "[UNK]", "a b"], split=None)("a b") == [2]


def test_a_vocabulary_is_a_tokenizer() -> None:
    decoder = decode.text(decode.vocabulary(WORDS), 4)
    assert decoder.decode(memoryview(b"the cat sat")).tolist() == [2, 3, 1, 0]
    assert repr(decoder) == "decode.text(vocabulary(7 words), 4)"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (None, "give a TextVectorization layer, or the list"),
        ("the", "give a TextVectorization layer, or the list"),
        ([1, 2], "give a TextVectorization layer, or the list"),
        (["the", "cat"], r"or \[\"\", \"\[UNK\]\", \*words\]"),
        ([*WORDS, "cat"], "has 'cat' twice"),
    ],
)
def test_what_is_no_vocabulary_is_refused(words: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        decode.vocabulary(words)


@pytest.mark.parametrize("settings", [{"standardize": "upper"}, {"split": ","}, {"standardize": str.lower}])
def test_other_settings_than_those_of_the_layer_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="must be one of"):
        decode.vocabulary(WORDS, **settings)
