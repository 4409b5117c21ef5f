"""Where fetched objects go: into a cache, or into files of the same names. Both know what is there already, so the same command goes on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from typing import Any, Protocol

from loader.data.remote.fetch_cache.fetch_cache import FetchCache
from loader.data.remote.local_copies import path_below
from loader.data.remote.objects import UNKNOWN_SIZE, Fetched, Span
from loader.data.sources.files.far_index import FarIndex
from loader.errors import ConfigError, PipelineError

PART_BYTES = 8 * 2**20
"""Of an object that becomes a file: a large one comes in parts, many at a time."""

_LIST = ".fetched.jsonl"
_LONGEST_NAME = 255  # bytes of a file's name


class Into(Protocol):
    """What `loader fetch` fills.

    Attributes:
        there: objects that were there before.
        done: objects that are complete now, in addition.
        full: whether it takes no more.
    """

    there: int
    done: int
    full: bool

    def missing(self) -> Iterator[Span]:
        """Yield what is to be fetched, in order."""

    def put(self, span: Span, fetched: Fetched) -> None:
        """Take what was fetched, in the same order."""

    def close(self) -> None:
        """Leave what is there in a state from which the same command goes on."""


class IntoCache:
    """A cache, which whoever fetches fills by itself.

    Args:
        index: of the objects.
        cache: that they go to.
    """

    def __init__(self, index: FarIndex, cache: FetchCache) -> None:
        self.there = self.done = 0
        self.full = False
        self._index = index
        self._cache = cache

    def missing(self) -> Iterator[Span]:
        """Yield what is not in the cache, until it is full."""
        for number in range(len(self._index)):
            if self.full:
                return
            span = self._index.span(number)
            if self._cache.has(span):
                self.there += 1
            else:
                yield span

    def put(self, span: Span, fetched: Fetched) -> None:
        """Look whether it was kept: if not, there is no room for more."""
        if self._cache.has(span):
            self.done += 1
        else:
            self.full = True

    def close(self) -> None:
        """Do nothing: files of a cache are complete at any time."""


class IntoFiles:
    """A folder with a file for each object, of the same name below the URL. Unfinished ones end with `.part`.

    A list in the folder, `.fetched.jsonl`, says of each file which version of the object it is. A run that is killed may leave the beginning of
    a line there, so each record also begins with a line break; empty lines, and what is no record, are skipped.

    Args:
        index: of the objects.
        folder: is made if it is not there.

    Raises:
        ConfigError: an object has a name that can't be one of a file in the folder, or two would become the same file.
    """

    def __init__(self, index: FarIndex, folder: str) -> None:
        self.there = self.done = 0
        self.full = False
        self._index = index
        self._folder = folder
        urls: dict[str, str] = {}  # by the path of the file
        for url in map(index.path, range(len(index))):
            before = urls.setdefault(self._path(url), url)
            if before != url:
                raise _no_file(url, folder, f"it would be the same one as that of {before}")
        os.makedirs(folder, exist_ok=True)
        self._versions = self._listed()
        self._part: tuple[str, int] = ("", -1)  # the file that is being written, and its descriptor

    def missing(self) -> Iterator[Span]:
        """Yield the parts of what is not there, each object from where it was left."""
        for number in range(len(self._index)):
            span = self._index.span(number)
            path = self._path(span.url)
            if self._versions.get(self._name(span.url)) == [span.size, span.version] and _size(path) == span.size != UNKNOWN_SIZE:
                self.there += 1
                continue
            yield from _parts(span, max(0, _size(self._part_path(span))) // PART_BYTES * PART_BYTES)

    def put(self, span: Span, fetched: Fetched) -> None:
        """Write a part; the last one gives the file its name. Raises PipelineError if a part before it is missing."""
        part = self._part_path(span)
        if self._part[0] != part:
            self.close()
            os.makedirs(os.path.dirname(part), exist_ok=True)
            self._part = (part, os.open(part, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666))
        fd, content, place = self._part[1], memoryview(fetched.content), span.start
        if os.fstat(fd).st_size < place:
            raise PipelineError(f"{part} would have a hole before byte {place:,}: a part of {span.url} is missing")
        while content:
            written = os.pwrite(fd, content, place)
            content, place = content[written:], place + written
        if span.end is None or span.end == span.size:
            os.ftruncate(fd, place)
            self.close()
            os.replace(part, self._path(span.url))
            with open(os.path.join(self._folder, _LIST), "a") as file:
                file.write("\n" + json.dumps({"name": self._name(span.url), "size": span.size, "version": span.version}) + "\n")
            self.done += 1

    def close(self) -> None:
        """Close what is being written; its parts stay."""
        if self._part[1] >= 0:
            os.close(self._part[1])
        self._part = ("", -1)

    def _listed(self) -> dict[str, list[int]]:
        try:
            with open(os.path.join(self._folder, _LIST), "rb") as file:
                records = list(map(_record, file))
        except FileNotFoundError:
            return {}
        return {record["name"]: [record["size"], record["version"]] for record in records if record is not None}

    def _name(self, url: str) -> str:
        return self._index.relative(url)

    def _path(self, url: str) -> str:
        path = path_below(self._folder, self._name(url))
        if path is None:
            raise _no_file(url, self._folder, "its name leads elsewhere")
        if any(len(os.fsencode(name)) > _LONGEST_NAME for name in path.split("/")):
            raise _no_file(url, self._folder, f"its name is longer than the {_LONGEST_NAME} bytes that a file's may have")
        return path

    def _part_path(self, span: Span) -> str:
        folder, name = os.path.split(self._path(span.url))
        ending = f".{span.version:x}.part"
        if len(os.fsencode(name + ending)) > _LONGEST_NAME:
            name = hashlib.blake2b(os.fsencode(name), digest_size=16).hexdigest()
        return os.path.join(folder, name + ending)


def _no_file(url: str, folder: str, why: str) -> ConfigError:
    return ConfigError(f"{url} can't become a file in {folder}: {why}. What to do: fetch into a cache, without --files")


def _record(line: bytes) -> dict[str, Any] | None:
    """Return what a line of the list says; None if it is empty or torn."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and record.keys() == {"name", "size", "version"} else None


def _parts(span: Span, start: int) -> Iterator[Span]:
    if span.size <= PART_BYTES:  # or unknown
        yield span
        return
    for place in range(min(start, (span.size - 1) // PART_BYTES * PART_BYTES), span.size, PART_BYTES):
        yield span._replace(start=place, end=min(place + PART_BYTES, span.size))


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return UNKNOWN_SIZE
