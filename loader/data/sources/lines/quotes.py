"""Quotes in a CSV file: which line ends lie within a field, and which rows only a stray quote holds together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from loader.data.rows import Indices
from loader.data.spec import Array

_LF, _CR, _QUOTE = b'\n\r"'


class QuoteScan:
    """Follows the quotes of one file, chunk by chunk.

    A field in quotes begins behind a delimiter or a line end and ends before one; a quote within it is doubled. Any other quote is suspect. It may
    be a part of a field without quotes; but if an odd number of them is in a line, what follows is taken for a part of the same row.

    Args:
        delimiter: between the columns.
    """

    def __init__(self, delimiter: str) -> None:
        self._before, self._after = np.zeros((2, 256), bool)
        self._before[[ord(delimiter), _LF, _QUOTE]] = True
        self._after[[ord(delimiter), _LF, _CR, _QUOTE]] = True
        self._open = 0  # 1 between two quotes
        self._whole = True  # whether the last line end was outside of quotes
        self._closed = False  # whether the last byte is a quote that ends a field, or is the first one of two
        self._spans: list[npt.NDArray[np.bool_]] = []
        self._suspects: list[Indices] = []

    def outside(self, chunk: Array, places: Indices, offset: int, first: int) -> Indices:
        """Return the line ends that have an even number of quotes before them.

        Args:
            chunk: the next bytes of the file, behind the one before them.
            places: of its line ends, counted from its second byte.
            offset: of that byte.
            first: offset of the first line of the file.
        """
        quotes = np.flatnonzero(chunk[1:] == _QUOTE)
        outside = np.ones(1 + len(places), bool)  # the last line end of the chunk before comes first
        outside[0] = self._whole
        if self._closed and not self._after[chunk[1]]:
            self._suspects.append(np.array([offset - 1]))
        if len(quotes) or self._open:
            outside[1:] = (np.searchsorted(quotes, places) + self._open) % 2 == 0
            self._look_at(chunk, quotes, offset, first)
            self._open = (self._open + len(quotes)) % 2
        self._closed = not self._open and int(chunk[-1]) == _QUOTE
        self._whole = bool(outside[-1])
        self._spans.append(~outside[:-1][outside[1:]])
        return places[outside[1:]]

    def _look_at(self, chunk: Array, quotes: Indices, offset: int, first: int) -> None:
        """Note quotes that are not where they should be."""
        opening, closing = quotes[self._open :: 2], quotes[1 - self._open :: 2]
        opening = opening[~self._before[chunk[opening]]]
        closing = closing[: len(closing) - (len(closing) > 0 and int(closing[-1]) == len(chunk) - 2)]  # behind the last byte is the next chunk
        closing = closing[~self._after[chunk[closing + 2]]]
        self._suspects += [some + offset for some in (opening[opening + offset != first], closing) if len(some)]

    def to_check(self, starts: Indices, ends: Indices) -> Indices:
        """Return the numbers of rows of several lines in which a quote is suspect. To be called at the end of the file, with all of its rows."""
        unfinished = [np.array([ends[-1]])] if self._open else []
        suspects = np.sort(np.concatenate([np.zeros(0, np.int64), *self._suspects, *unfinished]))
        if not len(suspects):
            return suspects
        spans = np.concatenate(self._spans)
        spans = np.append(spans, np.full(len(starts) - len(spans), not self._whole))
        return np.flatnonzero(spans & (np.searchsorted(suspects, ends, side="right") > np.searchsorted(suspects, starts)))
