"""What `keras.layers.TextVectorization` makes of a text, without TensorFlow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from loader.errors import ConfigError

_PUNCTUATION = rb"""!"#$%&()*+,-./:;<=>?@[\]^_`{|}~'"""  # as the layer has it
_STANDARDIZE = ("lower_and_strip_punctuation", "lower", "strip_punctuation", None)
_SPLIT = ("whitespace", "character", None)
_UNKNOWN = 1
_FIRST = ["", "[UNK]"]


class Vocabulary:
    """A function from a text to the numbers of its words. Works on bytes, as the layer does: only ASCII letters become lower case.

    Args:
        words: word k has the number k; the first two stand for the padding and for all other words.
        standardize, split: as in the layer.
    """

    def __init__(self, words: Sequence[str], standardize: str | None, split: str | None) -> None:
        self._numbers = {word.encode(): number for number, word in enumerate(words)}
        self._lower = standardize in ("lower", "lower_and_strip_punctuation")
        self._dropped = _PUNCTUATION if standardize in ("strip_punctuation", "lower_and_strip_punctuation") else b""
        self._split = split

    def __call__(self, text: str) -> list[int]:
        """Return the number of each word."""
        content = text.encode()
        if self._lower:
            content = content.lower()
        if self._dropped:
            content = content.translate(None, self._dropped)
        if self._split == "whitespace":
            words = content.split()
        elif self._split == "character":
            words = [sign.encode() for sign in content.decode()]
        else:
            words = [content]
        find = self._numbers.get
        return [find(word, _UNKNOWN) for word in words]

    def text_of(self, numbers: Sequence[int]) -> str:
        """Return the words of these numbers, with spaces between them, or nothing where each sign is a word."""
        words = list(self._numbers)
        named = [words[number].decode("utf-8", "replace") if 0 <= number < len(words) else f"<{number}>" for number in numbers]
        return ("" if self._split == "character" else " ").join(named)

    def __repr__(self) -> str:
        return f"vocabulary({len(self._numbers):,} words)"


def vocabulary(words: Any, standardize: str | None = "lower_and_strip_punctuation", split: str | None = "whitespace") -> Vocabulary:
    """Return a tokenizer for `decode.text` that does what a `keras.layers.TextVectorization` does, without TensorFlow in the workers.

    Args:
        words: the layer, whose own settings count, or a list: what its `get_vocabulary()` returns, `""` and `"[UNK]"` first.
        standardize: `"lower_and_strip_punctuation"`, `"lower"`, `"strip_punctuation"` or None.
        split: `"whitespace"`, `"character"` or None.

    Raises:
        ConfigError: the layer does something else: it has functions of its own, n-grams, or another output than numbers.

    Example:
        >>> vocabulary(["", "[UNK]", "the", "cat"])("The cat sat.")
        [2, 3, 1]
    """
    if is_layer(words):
        words, standardize, split = _settings_of(words)
    if isinstance(words, str) or not isinstance(words, Sequence) or not all(isinstance(word, str) for word in words):
        raise ConfigError(f"words={_shown(words)}: give a TextVectorization layer, or the list that its get_vocabulary() returns")
    if list(words[:2]) != _FIRST:
        raise ConfigError(
            f"words begin with {list(words[:2])}; the first two stand for padding and for unknown words. What to do: give layer.get_vocabulary(), "
            'or ["", "[UNK]", *words]'
        )
    if len(set(words)) < len(words):
        twice, _ = Counter(words).most_common(1)[0]
        raise ConfigError(f"words has {twice!r} twice")
    for name, given, known in (("standardize", standardize, _STANDARDIZE), ("split", split, _SPLIT)):
        if not isinstance(given, str | None) or given not in known:
            raise ConfigError(f"{name}={given!r}: must be one of {', '.join(map(repr, known))}; for anything else write a function: str -> numbers")
    return Vocabulary(list(words), standardize, split)


def is_layer(thing: Any) -> bool:
    """Whether this is a `TextVectorization` layer, of any version of Keras; none is imported."""
    return any(kind.__name__ == "TextVectorization" and "keras" in kind.__module__ for kind in type(thing).__mro__)


def _settings_of(layer: Any) -> tuple[list[str], Any, Any]:
    """Return the words and settings of a layer. Raises ConfigError if it does something that a `Vocabulary` can't."""
    config = layer.get_config()
    for name, wanted in (("output_mode", "int"), ("ngrams", None)):
        if config.get(name) != wanted:
            raise ConfigError(
                f"the TextVectorization layer has {name}={config[name]!r}; without TensorFlow, only {name}={wanted!r} can be done. What to do: "
                "leave this layer in the model, or write a function: str -> numbers"
            )
    return list(layer.get_vocabulary()), config["standardize"], config["split"]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
