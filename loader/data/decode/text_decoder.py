"""Text as numbers: those that a tokenizer makes of it, or its bytes. Every sample has the same length."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import numpy as np

from loader.data.decode.decoder import Decoder, Undecodable
from loader.data.decode.vocabularies import Vocabulary, is_layer, vocabulary
from loader.data.spec import Array, Leaf, SampleSpec
from loader.errors import ConfigError, PipelineError

_MARK = "\ufeff"  # the byte-order mark that Windows writes before a text
_INT32 = "i"  # the type code of `array`


def text(tokenizer: Any, length: int, pad: int = 0) -> Decoder:
    """Return a decoder of UTF-8 text: the numbers of its tokens, int32 of shape `(length,)`, cut or padded at the end.

    Args:
        tokenizer: one of
            - a function that takes a str and returns whole numbers;
            - an object whose method `encode` does that, such as a `tokenizers.Tokenizer`; it decides whether to add tokens for the ends of a text;
            - an adapted `keras.layers.TextVectorization`, or what `decode.vocabulary` returns; the layer does not run in the workers;
            - None: the bytes of the text instead, uint8. They are not checked to be UTF-8.
        length: of a sample.
        pad: what follows a shorter text.

    Raises:
        ConfigError: the tokenizer is none of these, or a number is out of range.

    Example:
        >>> text(None, 8).decode(memoryview(b"a line"))
        array([ 97,  32, 108, 105, 110, 101,   0,   0], dtype=uint8)
    """
    if isinstance(length, bool) or not isinstance(length, Integral) or length < 1:
        raise ConfigError(f"length={length!r}: must be a whole number from 1 up, the number of tokens in each sample")
    limits = np.iinfo(np.uint8 if tokenizer is None else np.int32)
    if isinstance(pad, bool) or not isinstance(pad, Integral) or not limits.min <= pad <= limits.max:
        kind = "a byte, 0 to 255, where there is no tokenizer" if tokenizer is None else "a whole number that int32 can hold"
        raise ConfigError(f"pad={pad!r}: must be {kind}")
    if tokenizer is None:
        return ByteDecoder(int(length), int(pad))
    return TokenDecoder(_as_function(tokenizer), int(length), int(pad))


class ByteDecoder(Decoder):
    """The bytes of a text, uint8, cut or padded to one length.

    Attributes:
        length: of a sample.
        pad: follows a shorter text.
    """

    suffixes = (".txt",)

    def __init__(self, length: int, pad: int) -> None:
        self.length = length
        self.pad = pad

    def known_spec(self) -> SampleSpec:
        return _spec(self.length, np.uint8)

    def decode(self, content: memoryview) -> Array:
        return _filled(self, content)

    def decode_into(self, content: memoryview, out: Sequence[Array], spec: SampleSpec) -> None:
        row = out[0]
        kept = min(len(content), self.length)
        row[:kept] = content[:kept]
        row[kept:] = self.pad

    def text_of(self, numbers: Array) -> str | None:
        if numbers.dtype != np.uint8 or numbers.shape != (self.length,):
            return None
        return numbers.tobytes().rstrip(bytes([self.pad])).decode("utf-8", "replace")

    def __repr__(self) -> str:
        return f"decode.text(None, {self.length})"


class TokenDecoder(Decoder):
    """What a tokenizer makes of a text, int32, cut or padded to one length."""

    suffixes = (".txt",)
    of_user = True

    def __init__(self, encode: Callable[[str], Any], length: int, pad: int) -> None:
        self._encode = encode
        self._length = length
        self._pad = pad

    def known_spec(self) -> SampleSpec:
        return _spec(self._length, np.int32)

    def decode(self, content: memoryview) -> Array:
        return _filled(self, content)

    def decode_into(self, content: memoryview, out: Sequence[Array], spec: SampleSpec) -> None:
        encoded = self._encode(decode_utf8(content))
        kept = _as_numbers(getattr(encoded, "ids", encoded))[: self._length]  # ids: of an Encoding of tokenizers
        row = out[0]
        row[: len(kept)] = kept
        row[len(kept) :] = self._pad

    def text_of(self, numbers: Array) -> str | None:
        if numbers.dtype != np.int32 or numbers.shape != (self._length,):
            return None
        kept = np.trim_zeros(numbers - self._pad, "b").size
        return _decoded(self._encode, numbers[:kept].tolist())

    def __repr__(self) -> str:
        return f"decode.text({getattr(self._encode, '__qualname__', None) or repr(self._encode)}, {self._length})"


def decode_utf8(content: memoryview) -> str:
    """Return a text, without a byte-order mark. Raises Undecodable, which says where the first byte is that is not UTF-8."""
    try:
        return str(content, "utf-8").removeprefix(_MARK)
    except UnicodeDecodeError as error:
        line = bytes(content[: error.start]).count(b"\n") + 1
        where = f"in line {line:,}, " if line > 1 else ""
        raise Undecodable(
            f"is not UTF-8 text: {where}byte {error.start:,} is 0x{content[error.start]:02x} ({error.reason}). Save it as UTF-8"
        ) from None


def _as_numbers(ids: Any) -> Array | array[int]:
    """Return the numbers of tokens, checked for int32. Raises Undecodable if one does not fit, PipelineError if they are not whole numbers."""
    if isinstance(ids, np.ndarray) and ids.ndim == 1 and ids.dtype.kind in "iu":
        limits = np.iinfo(np.int32)
        if not np.can_cast(ids.dtype, np.int32) and ids.size and not limits.min <= ids.min() <= ids.max() <= limits.max:
            raise Undecodable(f"the tokenizer returned numbers from {ids.min()} to {ids.max()}, which int32 can't hold")
        return ids
    try:
        return array(_INT32, list(ids))  # unlike NumPy, it refuses what is not a whole number, and takes half the time
    except OverflowError as error:
        raise Undecodable("the tokenizer returned a number that int32 can't hold") from error
    except TypeError as error:
        kind = f"an array of shape {ids.shape} and dtype {ids.dtype}" if isinstance(ids, np.ndarray) else f"a {type(ids).__name__}"
        raise PipelineError(
            f"the tokenizer of decode.text must return a flat list of whole numbers for a text; it returned {kind} ({error})"
        ) from None


def _as_function(tokenizer: Any) -> Callable[[str], Any]:
    """Return a tokenizer of any kind as a function. Raises ConfigError if it is not one."""
    if is_layer(tokenizer):
        return vocabulary(tokenizer)
    encode = getattr(tokenizer, "encode", None)
    if callable(encode) and not isinstance(tokenizer, str | type):
        return encode  # type: ignore[no-any-return]
    if callable(tokenizer) and not isinstance(tokenizer, type):
        return tokenizer  # type: ignore[no-any-return]
    raise ConfigError(
        f"tokenizer={tokenizer!r}: give a function that takes a str and returns whole numbers, an object with such a method encode, or None for bytes"
    )


def _decoded(encode: Callable[[str], Any], numbers: list[int]) -> str | None:
    """Return the text that a tokenizer made numbers of, if it can say so: a vocabulary, or an object that has `decode` beside its `encode`."""
    if isinstance(encode, Vocabulary):
        return encode.text_of(numbers)
    decode = getattr(getattr(encode, "__self__", None), "decode", None)
    text = decode(numbers) if callable(decode) else None
    return text if isinstance(text, str) else None


def _filled(decoder: Decoder, content: memoryview) -> Array:
    """Return a sample of a decoder that knows its spec."""
    spec = decoder.known_spec()
    assert spec is not None
    (leaf,) = spec.leaves
    row = np.empty(leaf.shape, leaf.dtype)
    decoder.decode_into(content, [row], spec)
    return row


def _spec(length: int, dtype: type) -> SampleSpec:
    return SampleSpec((Leaf(0, None, (length,), np.dtype(dtype)),))
