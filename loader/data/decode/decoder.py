"""What a decoder is, and how a function of the user's becomes one."""

from __future__ import annotations

import importlib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from loader.data.spec import MAKE_ALIKE, Array, SampleSpec
from loader.errors import ConfigError


class Undecodable(ValueError):
    """Raised by a decoder to say what is wrong with the content of a file, in words that follow the file's path. Never reaches a user."""


class Decoder(ABC):
    """Turns the content of a file into arrays. Immutable and picklable; a library that it needs is imported by `open`.

    Attributes:
        suffixes: endings of file names, in lower case, that it reads in a folder. Empty: any.
        modules: what decoding imports.
        extra: the extra of this package that brings them.
        of_user: whether it runs a function of the user's, whose errors stay as they are: only an `Undecodable` is about the content.
    """

    suffixes: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    extra: str = ""
    of_user: bool = False

    def check(self) -> None:
        """Raise ConfigError if a module is missing. Imports nothing. Runs in: the trainer, when a source is made."""
        missing = [name for name in self.modules if importlib.util.find_spec(name) is None]
        if missing:
            raise ConfigError(f"{self!r} needs {' and '.join(missing)}, not installed here. What to do: pip install 'npy-loader[{self.extra}]'")

    def open(self) -> None:
        """Import what decoding takes. Runs in: the supervisor, before it forks the workers; or the trainer with `workers=0`."""
        for name in self.modules:
            importlib.import_module(name)

    def known_spec(self) -> SampleSpec | None:
        """Return the spec of what `decode` returns if the arguments determine it, so that no file has to be decoded for it; else None."""
        return None

    def shapes_in(self, path: str) -> Sequence[tuple[int, ...]] | None:
        """Return the shapes of what `decode` makes of a file, from its header; None if only decoding tells them.

        `repr` of a decoder that has this says all that they depend on: they are remembered by it.

        Raises:
            Undecodable: the header says that the file can't be decoded.
            OSError: with the path in it.
        """
        return None

    @abstractmethod
    def decode(self, content: memoryview) -> Any:
        """Return what a file holds: an array, a dict of arrays, or a tuple `(x, y)` of those, which the caller may keep and change.

        Args:
            content: all bytes of the file; only valid until the method returns.

        Raises:
            Undecodable: says what is wrong with them.
        """

    def decode_into(self, content: memoryview, out: Sequence[Array], spec: SampleSpec) -> None:
        """Write what a file holds to `out`, one array for each leaf of `spec`. Raises Undecodable also if it does not fit."""
        try:
            leaves = spec.flatten(self.decode(content), remedy=f". What to do: {MAKE_ALIKE}")
        except TypeError as error:
            raise Undecodable(str(error)) from error
        for target, leaf in zip(out, leaves, strict=True):
            target[...] = leaf

    def text_of(self, numbers: Array) -> str | None:
        """Return the text that numbers of a sample stand for, to show it; None if they stand for none, or nobody knows."""
        return None


class FunctionDecoder(Decoder):
    """A function of the user's, `bytes -> array`, or a tuple or dict of arrays."""

    of_user = True

    def __init__(self, function: Callable[[bytes], Any]) -> None:
        self.function = function

    def decode(self, content: memoryview) -> Any:
        return self.function(bytes(content))

    def __repr__(self) -> str:
        return getattr(self.function, "__qualname__", type(self.function).__qualname__)


def as_decoder(decode: object) -> Decoder:
    """Return a decoder as given to `ByteFiles`. Raises ConfigError if there is none, if it is not one, or if it lacks its library."""
    if decode is None:
        raise ConfigError(
            "decode= is missing, which turns content into arrays. Give decode.image(size=(224, 224)) for pictures, decode.audio(duration_s=1.0) for "
            "sound, decode.text(tokenizer, 128) for text, decode.npz(keys) or decode.raw(dtype, shape) for arrays, or a function: bytes -> array"
        )
    if isinstance(decode, Decoder):
        decode.check()
        return decode
    if getattr(decode, "__module__", "").startswith(f"{__package__}."):
        name = f"decode.{getattr(decode, '__name__', '')}"
        raise ConfigError(f"decode={name} is a function that makes a decoder; call it: decode={name}(...)")
    if callable(decode):
        return FunctionDecoder(decode)
    raise ConfigError(f"decode={decode!r}: give a decoder of loader.decode, such as decode.image(size=(224, 224)), or a function: bytes -> array")
