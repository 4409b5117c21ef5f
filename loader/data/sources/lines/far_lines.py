"""Lines of text files that are far away: ranges of objects, or a copy of the whole object where the cache has one."""

from __future__ import annotations

import contextlib

import numpy as np

from loader.data.remote.fetcher import Fetcher
from loader.data.remote.objects import Objects, Span
from loader.data.rows import Indices
from loader.data.sources.arrays.far_rows import FarRows
from loader.data.sources.lines.line_index import Held, LineIndex
from loader.data.sources.lines.mapped_files import MappedFiles
from loader.data.spec import Array
from loader.errors import DecodeError, FetchError


class FarLines:
    """Lines by ranges, or by a copy (`loader.data.sources.lines.line_index.TextFiles`; `loader.data.sources.arrays.far_rows.Places`).

    Args:
        index: of the lines, which are samples.
        objects: that they are in.
        fetcher: brings those of which there is no copy.
        held: copies of whole objects, by their number.

    Attributes:
        objects: as given.
        fetchers: what brings lines; nothing if there is a copy of each object.
    """

    def __init__(self, index: LineIndex, objects: Objects, fetcher: Fetcher, held: dict[int, Held]) -> None:
        self.objects = objects
        self.fetchers = [fetcher] if len(held) < len(objects.urls) else []
        self._index = index
        self._sizes, self._versions = objects.sizes.tolist(), objects.versions.tolist()
        self._rows = FarRows(self, fetcher)
        self._held = np.array([file in held for file in range(len(objects.urls))])
        nowhere = Held("", 0, 0)
        self._copies = MappedFiles(objects.urls, self._sizes, [held.get(file, nowhere) for file in range(len(objects.urls))])

    def versions(self) -> Indices:
        """Return numbers that change whenever an object does."""
        return self.objects.stamps()

    def open(self) -> None:
        """Map copies, unless they are very many."""
        with contextlib.suppress(DecodeError, OSError):  # the cache was deleted
            self._copies.open()

    def will_read(self, lines: Indices) -> None:
        """Begin to fetch lines that this process will read."""
        if not self._held.all():
            self._rows.will_read(lines[~self._held[self._index.ends.searchsorted(lines, side="right")]])

    def content(self, file: int) -> Array:
        """Return all bytes of an object, read-only. Raises FetchError if there is no copy of it, or none any more."""
        if self._held[file]:
            try:
                return self._copies.content(file)
            except (DecodeError, OSError):  # the cache was deleted
                self._held = self._held.copy()  # what has travelled to a worker can't be written
                self._held[file] = False
        raise FetchError(self.objects.urls[file], "is not on this machine")

    def part(self, file: int, start: int, stop: int) -> memoryview:
        """Return some bytes of an object. Raises as `content` does."""
        return memoryview(self.content(file))[start:stop]

    def line(self, index: LineIndex, file: int, line: int) -> memoryview:
        """Return a line. Raises FetchError, DataNotFoundError."""
        start, nbytes = int(index.starts[line]), int(index.lengths[line])
        if self._held[file]:
            try:
                return self.part(file, start, start + nbytes)
            except FetchError:
                pass
        content, begin = self._rows.take(line)
        return content[start - begin : start - begin + nbytes]

    def locate(self, row: int) -> tuple[int, int]:
        """Return the number of the object that a line is in, and its own."""
        return self._index.file_of(row), row

    def span(self, part: int, first: int, last: int) -> Span:
        """Return the range of an object that holds some lines."""
        starts, end = self._index.starts, int(self._index.starts[last]) + int(self._index.lengths[last])
        return Span(self.objects.urls[part], int(starts[first]), end, self._versions[part], self._sizes[part])

    def block(self, part: int, number: int) -> None:
        """Return None: a cache has whole objects."""
