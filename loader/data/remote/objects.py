"""What is known of an object, and what is fetched of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import numpy as np

from loader.data.rows import Indices
from loader.errors import DataNotFoundError, FetchError, LoaderError

UNKNOWN_SIZE = -1
MISSING = -2
"""Size of an object that does not exist."""
UNKNOWN_VERSION = 0


class Span(NamedTuple):
    """An object, or a range of its bytes.

    Attributes:
        url: of the object.
        start: first byte.
        end: byte after the last one; None for all that there are.
        version: that the object must have; `UNKNOWN_VERSION` for any.
        size: that it must have; `UNKNOWN_SIZE` for any.
    """

    url: str
    start: int = 0
    end: int | None = None
    version: int = UNKNOWN_VERSION
    size: int = UNKNOWN_SIZE


class Copy(NamedTuple):
    """An object that is to be written into a file of this machine.

    Attributes:
        url: of the object.
        size: that it must have.
        version: that it must have; `UNKNOWN_VERSION` for any.
        path: of the file.
        start: byte of the file that the object's first one becomes.
    """

    url: str
    size: int
    version: int
    path: str
    start: int = 0


class Facts(NamedTuple):
    """What a store says of an object.

    Attributes:
        key: where it is, as the store calls it.
        size: in bytes, or `UNKNOWN_SIZE`.
        version: changes whenever the object does; `UNKNOWN_VERSION` if the store has nothing that does.
    """

    key: str
    size: int
    version: int


@dataclass(frozen=True)
class Objects:
    """Objects and what is known of each.

    Attributes:
        urls: of the objects.
        sizes: in bytes, of shape `(objects,)`.
        versions: of the same shape.
    """

    urls: list[str]
    sizes: Indices
    versions: Indices

    def stamps(self) -> Indices:
        """Return size and version of each, of shape `(objects, 2)`: another object of the same name differs in one of them."""
        return np.stack([self.sizes, self.versions], axis=1)


class Fetched(NamedTuple):
    """What came.

    Attributes:
        content: the bytes; supports the buffer protocol.
        size: of the whole object, or `UNKNOWN_SIZE`.
        version: of the object, as in `Facts`.
    """

    content: Any
    size: int
    version: int


@dataclass(frozen=True)
class Problem:
    """Why a request failed.

    Attributes:
        words: what the store said.
        passes: whether another try may succeed.
        slow_down: whether the store asks for fewer requests.
        missing: whether there is no such object.
    """

    words: str
    passes: bool
    slow_down: bool = False
    missing: bool = False

    def error(self, url: str, more: str = "") -> LoaderError:
        """Return the error to raise if there is to be no other try; `more` is appended to its words."""
        return DataNotFoundError(f"{url}: {self.words}") if self.missing else FetchError(url, self.words + more)


class Store(Protocol):
    """A bucket, a web server, or whatever else has objects; for one process."""

    async def fetch(self, key: str, start: int, end: int | None) -> Fetched:
        """Return a range of an object; all of it if `end` is None."""

    async def put(self, key: str, path: str) -> None:
        """Write a file of this machine as an object: all of it or, if it fails, nothing."""

    async def facts(self, key: str) -> Facts:
        """Return what the store says of an object."""

    async def children(self, key: str) -> tuple[list[str], list[Facts]]:
        """Return the folders and the objects directly below a folder."""

    async def tree(self, key: str) -> tuple[list[Facts], bool]:
        """Return objects below a folder, about a thousand, and whether these are all."""

    def problem(self, error: BaseException) -> Problem:
        """Return why a request failed, from what one of these methods raised."""


def version_of(tag: str | None, changed: datetime | str | float | None) -> int:
    """Return a number that changes with an object, from its ETag or, without one, the time of its last change.

    Quotes and the mark of weak tags are left out: some stores have them in lists, but not in answers, or the other way round. Of times, seconds
    count, for the same reason.
    """
    from hashlib import blake2b

    if tag:
        text = tag.removeprefix("W/").strip('"')
    elif isinstance(changed, datetime):
        text = str(int(changed.timestamp()))
    elif changed:
        text = str(changed)
    else:
        return UNKNOWN_VERSION
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogateescape"), digest_size=7).digest(), "little") or 1
