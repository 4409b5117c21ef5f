"""Where an array lies in an object, and its rows, fetched as ranges of that object: many at the same time, and neighbours together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loader.data.npy.header import header_bounds, parse_header
from loader.data.remote.fetcher import Fetcher, rows_at_once
from loader.data.remote.objects import UNKNOWN_SIZE, UNKNOWN_VERSION, Fetched, Span
from loader.data.remote.options import StorageOptions
from loader.data.remote.scouting import Scout
from loader.data.rows import BadSample, Indices
from loader.data.sources.arrays.array_column import ArrayColumn
from loader.data.sources.arrays.stored_array import StoredArray
from loader.data.spec import Array
from loader.errors import DataNotFoundError, FetchError, NpyError

_FIRST_BYTES = 512
_AT_ONCE_BYTES = 16 * 2**20  # an array that is no larger is fetched whole when the source is made: labels, of which each row would be a request
_TOGETHER_BYTES = 1 * 2**20  # of neighbours that one request brings
_GAP_BYTES = 16 * 2**10  # between rows; to bring it takes less than another request


@dataclass(frozen=True)
class FarArray(StoredArray):
    """An array in an object, in C order. `path` is a URL.

    Attributes:
        version: of the object.
    """

    version: int = UNKNOWN_VERSION

    def span(self, first: int, last: int) -> Span:
        """Return the range of the object that holds the rows from `first` to `last`."""
        stride = self.strides[0]
        return Span(self.path, self.offset + first * stride, self.offset + (last + 1) * stride, self.version, self.end)


def far_arrays(urls: list[str], options: StorageOptions) -> list[FarArray | Array]:
    """Return the arrays of `.npy` files: where they are; or if all are small, the arrays themselves.

    Raises:
        NpyError: a file is none of a supported array, or not in C order.
        FetchError, DataNotFoundError, ConfigError: as `Scout` does.
    """
    scout = Scout(options)
    firsts = scout.contents([Span(url, 0, _FIRST_BYTES) for url in urls])
    return at_once([_of_header(scout, url, first) for url, first in zip(urls, firsts, strict=True)], scout)


def at_once(arrays: list[FarArray], scout: Scout) -> list[FarArray | Array]:
    """Return arrays as they are; or if all of them are small, what they hold."""
    if sum(array.end for array in arrays) > _AT_ONCE_BYTES:
        return list(arrays)
    whole = scout.contents([Span(array.path, array.offset, array.end) for array in arrays])
    return [_array_in(array, fetched) for array, fetched in zip(arrays, whole, strict=True)]


def _of_header(scout: Scout, url: str, first: Fetched) -> FarArray:
    raw = bytes(first.content)
    _, end = header_bounds(raw, url)
    if end > len(raw) == _FIRST_BYTES:
        raw = scout.content(Span(url, 0, end))
    header = parse_header(raw, url)
    if first.size == UNKNOWN_SIZE:
        raise FetchError(url, "its store does not say how long it is")
    header.check_size(first.size, url)
    if header.fortran_order and sum(length != 1 for length in header.shape) > 1:
        raise NpyError(url, "is in Fortran order, so that each row is scattered over all of it; write it in C order: np.save(path, array.copy('C'))")
    return FarArray(url, header.offset, header.dtype, header.shape, c_strides(header.dtype, header.shape), first.size, first.version)


def c_strides(dtype: np.dtype[Any], shape: Sequence[int]) -> tuple[int, ...]:
    """Return the strides of an array in C order."""
    strides = [dtype.itemsize]
    for length in reversed(shape[1:]):
        strides.append(strides[-1] * length)
    return tuple(reversed(strides)) if shape else ()


def _array_in(array: FarArray, fetched: Fetched) -> Array:
    if fetched.version != array.version:
        raise FetchError(array.path, "has changed while it was read; make the source again")
    found = np.frombuffer(fetched.content, array.dtype).reshape(array.shape)
    return np.array(found, array.dtype.newbyteorder("="), order="C")


@dataclass
class _Piece:
    """Rows that one request brings: the span that is fetched, and its content once it has been taken."""

    span: Span
    content: memoryview | None = None


class FarColumn(ArrayColumn):
    """Rows of arrays in objects; the same as `ArrayColumn` has of files.

    Args:
        parts: joined on axis 0.
        options: of the stores.
    """

    fetcher: Fetcher

    def __init__(self, parts: Sequence[FarArray], options: StorageOptions) -> None:
        super().__init__(parts)
        self._far = tuple(parts)
        self.fetcher = Fetcher(options, min(rows_at_once(self._row_bytes), len(self)))
        self._scout = Scout(options)
        self._pieces: dict[int, _Piece] = {}  # by row: those that were begun and not read

    def versions(self) -> Indices | None:
        return np.array([[part.end, part.version] for part in self._far], np.int64)

    def will_read(self, indices: Indices) -> None:
        wanted = np.unique(indices)
        pieces = self._cut([row for row in wanted.tolist() if row not in self._pieces])
        while len(self._pieces) > 4 * self.fetcher.rows:  # of rows that nobody has read since there was an error
            self._pieces.pop(next(iter(self._pieces)))
        self.fetcher.begin(piece.span for piece in pieces)

    def read(self, indices: Indices, out: Array, places: Indices | None = None) -> None:
        self.will_read(indices)
        for row, place in zip(indices.tolist(), range(len(indices)) if places is None else places.tolist(), strict=True):
            try:
                out[place] = self._take(row)
            except (FetchError, DataNotFoundError) as error:
                raise BadSample(row) from error

    def row(self, index: int) -> Any:
        return np.array(self._take(index), self.dtype, order="C")[()]

    def whole(self) -> Array | None:
        found = self._scout.contents([Span(part.path, part.offset, part.end) for part in self._far])
        return np.concatenate([_array_in(part, fetched) for part, fetched in zip(self._far, found, strict=True)])

    def open(self) -> None:
        """Do nothing: each process opens its own."""

    def _take(self, row: int) -> Array:
        """Return a row, as it is stored."""
        if row not in self._pieces:
            self.will_read(np.array([row]))
        piece = self._pieces.pop(row)
        if piece.content is None:
            piece.content = self.fetcher.fetch(piece.span).content
        content, part, number = piece.content, *self._locate(row)
        start = part.offset + number * part.strides[0] - piece.span.start
        return np.frombuffer(content[start : start + self._row_bytes], part.dtype).reshape(self.shape)

    def _cut(self, rows: list[int]) -> list[_Piece]:
        """Put rows, in ascending order, into pieces: neighbours into one."""
        made: list[_Piece] = []
        together: list[int] = []
        for row in rows:
            if together and not self._are_neighbours(together, row):
                made.append(self._piece(together))
                together = []
            together.append(row)
        return [*made, self._piece(together)] if together else made

    def _are_neighbours(self, together: list[int], row: int) -> bool:
        first, last = together[0], together[-1]
        near = (row - last - 1) * self._row_bytes <= _GAP_BYTES and (row - first + 1) * self._row_bytes <= _TOGETHER_BYTES
        return near and self._locate(first)[0] is self._locate(row)[0]

    def _piece(self, rows: list[int]) -> _Piece:
        part, first = self._locate(rows[0])
        piece = _Piece(part.span(first, first + rows[-1] - rows[0]))
        self._pieces.update(dict.fromkeys(rows, piece))
        return piece

    def _locate(self, row: int) -> tuple[FarArray, int]:
        number = int(self.ends.searchsorted(row, side="right")) if len(self._far) > 1 else 0
        part = self._far[number]
        return part, row - int(self.ends[number]) + part.shape[0]

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_pieces": {}}
