"""Rows that are ranges of objects, fetched many at the same time, and neighbours together.

Without a cache, rows that are wanted at the same time and lie close to each other come by one request. With a cache, each request brings a block,
which always holds the same rows: what was kept is found by the range that it was fetched as. Of blocks that a full cache lacks, only the rows come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from loader.data.remote.fetcher import Fetcher
from loader.data.remote.objects import Span
from loader.data.rows import Indices

GAP_BYTES = 16 * 2**10
"""Between rows that come together; to bring them takes less than another request. So a block of small rows has this size (docs/measurements.md)."""

_TOGETHER_BYTES = 1 * 2**20  # that one request brings


class Places(Protocol):
    """Where rows are."""

    def locate(self, row: int) -> tuple[int, int]:
        """Return the number of the object that a row is in, and its number there."""

    def span(self, part: int, first: int, last: int) -> Span:
        """Return the range of an object that holds the rows from `first` to `last`, which are numbers there."""

    def block(self, part: int, number: int) -> tuple[int, int] | None:
        """Return the first and the last row of the block that a row is in; None if there are no blocks."""


@dataclass
class _Piece:
    """Rows that one request brings: the span that is fetched, and its content once it has been taken."""

    span: Span
    content: memoryview | None = None


class FarRows:
    """Fetches rows for one or several readers, each of which takes each row: one request serves all.

    Args:
        places: of the rows.
        fetcher: brings them.
        readers: how many there are.

    Attributes:
        fetcher: as given.
    """

    def __init__(self, places: Places, fetcher: Fetcher, readers: int = 1) -> None:
        self.fetcher = fetcher
        self._places = places
        self._pieces: list[dict[int, _Piece]] = [{} for _ in range(readers)]  # by row: those that were begun and not taken, for each reader
        self._wanted: list[Counter[int]] = [Counter() for _ in range(readers)]  # how often they will be taken, as far as that was said beforehand

    def will_read(self, indices: Indices, reader: int = 0) -> None:
        """Begin to fetch rows that this process will read, and don't wait for them."""
        known = self._pieces[reader]
        if self.fetcher.expecting:
            self._wanted[reader].update(indices.tolist())
        cut = self._cut([row for row in np.unique(indices).tolist() if row not in known], self.fetcher.keeps)
        for span, rows in cut:
            piece = _Piece(span)
            for begun in self._pieces:
                begun.update(dict.fromkeys(rows, piece))
        for begun, wanted in zip(self._pieces, self._wanted, strict=True):
            while len(begun) > 4 * self.fetcher.rows:  # of rows that nobody has taken since there was an error
                begun.pop(oldest := next(iter(begun)))
                wanted.pop(oldest, None)
        self.fetcher.begin(span for span, _ in cut)

    def spans(self, indices: Indices) -> list[Span]:
        """Return what is fetched for rows, if all of it may be kept."""
        return [span for span, _ in self._cut(np.unique(indices).tolist(), lambda block: True)]

    def take(self, row: int, reader: int = 0) -> tuple[memoryview, int]:
        """Return a part of an object that holds a row, and where it begins there. Raises FetchError, DataNotFoundError."""
        if row not in self._pieces[reader]:
            self.will_read(np.array([row]), reader)
        piece, wanted = self._pieces[reader][row], self._wanted[reader]
        wanted[row] -= 1
        if wanted[row] <= 0:
            del self._pieces[reader][row], wanted[row]
        if piece.content is None:
            piece.content = self.fetcher.fetch(piece.span).content
        return piece.content, piece.span.start

    def _cut(self, rows: list[int], keeps: Callable[[Span], bool]) -> list[tuple[Span, list[int]]]:
        """Return what is fetched for rows, which are in ascending order, and the rows of each; `keeps`: whether a block is worth fetching whole."""
        made: list[tuple[Span, list[int]]] = []
        block = None  # what was added last, if it is one
        for row in rows:
            part, number = self._places.locate(row)
            bounds = self._places.block(part, number)
            whole = None if bounds is None else self._places.span(part, *bounds)
            if whole is not None and whole == block:
                made[-1][1].append(row)
            elif whole is not None and keeps(whole):
                block = whole
                made.append((whole, [row]))
            else:
                span = self._places.span(part, number, number)
                if made and block is None and _are_neighbours(made[-1][0], span):
                    before, together = made.pop()
                    together.append(row)
                    made.append((span._replace(start=before.start), together))
                else:
                    made.append((span, [row]))
                block = None
        return made

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_pieces": [{} for _ in self._pieces], "_wanted": [Counter() for _ in self._pieces]}


def _are_neighbours(before: Span, span: Span) -> bool:
    assert before.end is not None and span.end is not None
    return (
        span.url == before.url
        and 0 <= span.start - before.start <= _TOGETHER_BYTES - (span.end - span.start)
        and span.start - before.end <= GAP_BYTES
    )
