"""Text files that are far away, as a source finds them: what is known of them, copies of them, and what was found out about them before.

To find its lines, a file is brought to this machine once, whole. With a cache that has room, the copy is kept there, and read from then on. Without
one, it is gone as soon as its lines are known. These are remembered for as long as the object is the same, by the tag that its store gives it.
"""

from __future__ import annotations

import glob
import json
import mmap
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from loader.config import brief_size
from loader.data.remote.fetch_cache.cache_choice import CacheChoice
from loader.data.remote.fetch_cache.fetch_cache import FetchCache
from loader.data.remote.fetcher import Fetcher, rows_at_once
from loader.data.remote.objects import MISSING, UNKNOWN_SIZE, UNKNOWN_VERSION, Copy, Fetched, Objects, Span
from loader.data.remote.options import StorageOptions
from loader.data.remote.scouting.scout import Scout
from loader.data.remote.urls import check_url
from loader.data.sources.files.far_search import FarSearch
from loader.data.sources.lines.far_lines import FarLines
from loader.data.sources.lines.line_index import Held, LineIndex
from loader.data.sources.remembering import load, place_of, store
from loader.data.spec import Array
from loader.errors import ConfigError, FetchError

_FORM = 1  # of what is remembered; one more whenever it, or what lines are taken for, changes
_TOGETHER_BYTES = 2**30  # of objects that are brought, and then added to the cache, by one process
_PARTS = ("sizes", "ends", "starts", "lengths", "newlines")  # of an index


class FarText:
    """Text files in a store.

    Args:
        urls: of objects, patterns, and folders.
        options: of the store.
        cache: where copies are kept; None: nowhere.

    Attributes:
        objects: what they mean, in order.

    Raises:
        DataNotFoundError: there is no such object.
        FetchError, ConfigError: the store can't be asked, or does not say how long an object is.
    """

    def __init__(self, urls: Sequence[str], options: StorageOptions, cache: CacheChoice | None) -> None:
        self._options = options
        self._cache = cache
        self.objects = _found(list(map(check_url, urls)), options)
        unknown = np.flatnonzero(self.objects.sizes == UNKNOWN_SIZE)
        if len(unknown):
            raise FetchError(self.objects.urls[unknown[0]], "its store does not say how long it is")
        self._held: dict[int, Held] = {}
        if cache is not None:
            with closing(cache.open(options)) as kept:
                self._keep(kept)

    @contextmanager
    def copies(self) -> Iterator[list[Held]]:
        """Give copies of all objects, some of which are gone afterwards. Raises FetchError, DataNotFoundError, ConfigError."""
        missing = [number for number in range(len(self.objects.urls)) if number not in self._held]
        with self._brought(missing) as (_, brought):
            yield [(self._held | brought)[number] for number in range(len(self.objects.urls))]

    def lines(self, index: LineIndex) -> FarLines:
        """Return what reads lines."""
        fetcher = Fetcher(self._options, min(rows_at_once(int(index.lengths.mean())), len(index)))
        return FarLines(index, self.objects, fetcher, self._held)

    def memory(self, depends_on: Sequence[object]) -> Memory:
        """Return what remembers these objects; it also depends on `depends_on`, values that `repr` shows."""
        if (self.objects.versions == UNKNOWN_VERSION).any():
            return Memory(None, self.objects)
        urls = [url.encode("utf-8", "surrogatepass") for url in self.objects.urls]
        return Memory(place_of("lines", [repr([_FORM, *depends_on]).encode(), self.objects.stamps().tobytes(), *urls]), self.objects)

    def _span(self, number: int) -> Span:
        return Span(self.objects.urls[number], 0, None, int(self.objects.versions[number]), int(self.objects.sizes[number]))

    def _keep(self, cache: FetchCache) -> None:
        """Bring what is not in the cache, as far as there is room for it."""
        group: list[int] = []
        together = 0
        for number, (nbytes, version) in enumerate(self.objects.stamps().tolist()):
            if version == UNKNOWN_VERSION or self._look_at(cache, number) or not cache.takes(self._span(number)):
                continue
            group.append(number)
            together += nbytes
            if together >= _TOGETHER_BYTES:
                self._add(group, cache)
                group, together = [], 0
        if group:
            self._add(group, cache)

    def _look_at(self, cache: FetchCache, number: int) -> bool:
        """Return whether the cache has an object, and note where."""
        place = cache.place(self._span(number))
        if place is not None:
            self._held[number] = Held(*place, int(self.objects.sizes[number]))
        return place is not None

    def _add(self, numbers: list[int], cache: FetchCache) -> None:
        with self._brought(numbers) as (file, brought):
            for number, held in brought.items():
                if held.nbytes:
                    with mmap.mmap(file.fileno(), held.start + held.nbytes, access=mmap.ACCESS_READ) as whole, memoryview(whole) as content:
                        span = self._span(number)
                        cache.add(span, Fetched(content[held.start :], span.size, span.version))
                self._look_at(cache, number)

    @contextmanager
    def _brought(self, numbers: list[int]) -> Iterator[tuple[IO[bytes], dict[int, Held]]]:
        """Give copies of some objects, in one file that has no name, so that nothing is left of it whoever is killed."""
        sizes = self.objects.sizes[numbers].tolist()
        with tempfile.TemporaryFile(prefix="loader-") as file:
            _check_room(file, sum(sizes), self.objects.urls[0])
            path = f"/proc/{os.getpid()}/fd/{file.fileno()}"
            starts = np.cumsum([0, *sizes]).tolist()
            held = {number: Held(path, start, size) for number, start, size in zip(numbers, starts, sizes, strict=False)}
            if held:
                spans = {number: self._span(number) for number in numbers}
                Scout(self._options).bring([Copy(span.url, span.size, span.version, path, held[number].start) for number, span in spans.items()])
            yield file, held


class Memory:
    """What is remembered of text files: where their lines are, their first lines, and their labels.

    Args:
        place: of the file; None: nothing is remembered.
        objects: that it is about.
    """

    def __init__(self, place: Path | None, objects: Objects) -> None:
        self._place = place
        self._urls = tuple(objects.urls)

    def recall(self) -> tuple[LineIndex, FirstLines, list[Array], tuple[str, ...]] | None:
        """Return the index, what has the first lines, the labels, and the names of classes; None if they are not known."""
        known = None if self._place is None else load(self._place)
        if known is None or not {*_PARTS, "first", "classes"} <= known.keys():
            return None
        index = LineIndex(self._urls, *(known[name] for name in _PARTS))
        first, classes = (json.loads(known[name].tobytes()) for name in ("first", "classes"))
        return index, FirstLines(first), [known["labels"]] if "labels" in known else [], tuple(classes)

    def keep(self, index: LineIndex, first: Sequence[bytes], labels: Sequence[Array], classes: Sequence[str]) -> None:
        """Remember them."""
        if self._place is None:
            return
        texts = {"first": [line.decode("utf-8", "surrogateescape") for line in first], "classes": list(classes)}
        packed = {name: np.frombuffer(json.dumps(value).encode(), np.uint8) for name, value in texts.items()}
        arrays = {name: getattr(index, name) for name in _PARTS}
        store(self._place, arrays | packed | dict(zip(("labels",), labels, strict=False)))  # none, or one column


class FirstLines:
    """The first line of each file (`loader.data.sources.lines.line_index.TextFiles`, of which nothing else is known).

    Args:
        texts: of them; empty if a file has none.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._lines = [text.encode("utf-8", "surrogateescape") for text in texts]

    def line(self, index: LineIndex, file: int, line: int) -> memoryview:
        """Return the first line of a file."""
        return memoryview(self._lines[file])

    def part(self, file: int, start: int, stop: int) -> memoryview:
        """Return bytes of the first line."""
        return memoryview(self._lines[file])[start:stop]


def _found(urls: list[str], options: StorageOptions) -> Objects:
    """Return the objects that are meant, in order. Raises DataNotFoundError, FetchError."""
    plain = [url for url in urls if not glob.has_magic(url)]
    known = Scout(options).about(plain) if plain else Objects([], np.zeros(0, np.int64), np.zeros(0, np.int64))
    facts = dict(zip(plain, zip(known.sizes.tolist(), known.versions.tolist(), strict=True), strict=True))
    found: list[tuple[str, int, int]] = []
    for url in urls:
        size, version = facts.get(url, (MISSING, UNKNOWN_VERSION))
        if size != MISSING:
            found.append((url, size, version))
            continue
        search = FarSearch((), "TextLines", (), None, options)
        objects = search.with_facts(search.find(url)[0]).objects
        found += zip(objects.urls, objects.sizes.tolist(), objects.versions.tolist(), strict=True)
    names, sizes, versions = zip(*found, strict=True)
    return Objects(list(names), np.array(sizes, np.int64), np.array(versions, np.int64))


def _check_room(file: IO[bytes], nbytes: int, url: str) -> None:
    """Raise ConfigError unless the disk of a file has room for so much."""
    free = os.fstatvfs(file.fileno())
    available = free.f_bavail * free.f_frsize
    if nbytes > available:
        raise ConfigError(
            f"{url}: to find the lines, {brief_size(nbytes)} of text are brought to this machine, and {brief_size(available)} are free in "
            f"{tempfile.gettempdir()}. What to do: set TMPDIR to a folder on a larger disk; it is needed until the lines are known"
        )
