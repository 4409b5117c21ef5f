"""Where an array lies in an object, and its rows, fetched as ranges of that object."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from loader.data.layout import c_strides
from loader.data.remote.fetcher import Fetcher, rows_at_once
from loader.data.remote.objects import UNKNOWN_SIZE, UNKNOWN_VERSION, Fetched, Span
from loader.data.remote.options import StorageOptions
from loader.data.remote.scouting.scout import Scout
from loader.data.rows import BadSample, Indices
from loader.data.sources.arrays.array_column import ArrayColumn
from loader.data.sources.arrays.far_rows import GAP_BYTES, FarRows
from loader.data.sources.arrays.stored_array import StoredArray
from loader.data.sources.far_data import FarSpans
from loader.data.sources.files.far_npy import FIRST_BYTES, header_of
from loader.data.spec import Array
from loader.errors import ConfigError, DataNotFoundError, FetchError, NpyError

if TYPE_CHECKING:
    from loader.data.remote.fetch_cache.cache_choice import CacheChoice

_AT_ONCE_BYTES = 16 * 2**20  # an array that is no larger is fetched whole when the source is made: labels, of which each row would be a request


@dataclass(frozen=True)
class FarArray(StoredArray):
    """An array in an object, in C order. `path` is a URL, and `end` the size of the object.

    Attributes:
        version: of the object.
        options: of its store.
        cache: where what is fetched of it is kept; None: nowhere.
    """

    version: int = UNKNOWN_VERSION
    options: StorageOptions = field(default_factory=StorageOptions)
    cache: CacheChoice | None = None

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    def span(self, first: int, last: int) -> Span:
        """Return the range of the object that holds the rows from `first` to `last`."""
        stride = self.strides[0]
        return Span(self.path, self.offset + first * stride, self.offset + last * stride + self.row_bytes, self.version, self.end)

    def whole(self) -> Span:
        """Return the range of all of it, if it is contiguous."""
        return Span(self.path, self.offset, self.offset + math.prod(self.shape) * self.dtype.itemsize, self.version, self.end)


def far_arrays(urls: list[str], options: StorageOptions, cache: CacheChoice | None) -> list[FarArray | Array]:
    """Return the arrays of `.npy` files: where they are; or if all are small, the arrays themselves.

    Raises:
        NpyError: a file is none of a supported array, or not in C order.
        FetchError, DataNotFoundError, ConfigError: as `Scout` does.
    """
    scout = Scout(options)
    firsts = scout.contents([Span(url, 0, FIRST_BYTES) for url in urls])
    return at_once([_of_first(url, first, options, cache) for url, first in zip(urls, firsts, strict=True)])


def at_once(arrays: list[FarArray]) -> list[FarArray | Array]:
    """Return arrays as they are; or if all of them are small, what they hold."""
    if sum(array.end for array in arrays) > _AT_ONCE_BYTES:
        return list(arrays)
    return list(_contents(arrays))


def _of_first(url: str, first: Fetched, options: StorageOptions, cache: CacheChoice | None) -> FarArray:
    header = header_of(first, url, lambda span: Scout(options).contents([span])[0])
    if first.size == UNKNOWN_SIZE:
        raise FetchError(url, "its store does not say how long it is")
    header.check_size(first.size, url)
    if header.fortran_order and sum(length != 1 for length in header.shape) > 1:
        raise NpyError(url, "is in Fortran order, so that each row is scattered over all of it; write it in C order: np.save(path, array.copy('C'))")
    strides = c_strides(header.shape, header.dtype)
    return FarArray(url, header.offset, header.dtype, header.shape, strides, first.size, first.version, options, cache)


def _contents(arrays: Sequence[FarArray]) -> list[Array]:
    """Return what arrays hold, all of one store. Raises FetchError, DataNotFoundError."""
    asked = [array.whole() for array in arrays if math.prod(array.shape)]  # no store answers a request for no bytes
    found = iter(Scout(arrays[0].options).contents(asked) if asked else ())
    return [_array_in(array, next(found)) if math.prod(array.shape) else np.empty(array.shape, array.dtype.newbyteorder("=")) for array in arrays]


def _array_in(array: FarArray, fetched: Fetched) -> Array:
    if fetched.version != array.version:
        raise FetchError(array.path, "has changed while it was read; make the source again")
    found = np.frombuffer(fetched.content, array.dtype).reshape(array.shape)
    return np.array(found, array.dtype.newbyteorder("="), order="C")


def as_far(parts: Sequence[object]) -> list[FarArray]:
    """Return parts, which are far away, as what they are."""
    return [part for part in parts if isinstance(part, FarArray)]


def far_columns(rows: Sequence[FarArray], views: Sequence[Sequence[FarArray]]) -> list[ArrayColumn]:
    """Return columns that show parts of the same rows, so that one request brings a row for all of them.

    Args:
        rows: joined on axis 0.
        views: of each column: arrays whose rows lie within those of `rows`.

    Raises:
        ConfigError: some come by other options than the others.
    """
    first = rows[0]
    values = first.options.values()
    if any(array.options.values() != values or array.cache != first.cache for array in rows):
        raise ConfigError("arrays that are joined have different storage_options= or cache=; join two sources with +")
    places = _ArrayPlaces(rows, in_blocks=first.cache is not None)
    count = int(places.ends[-1])
    fetched = FarRows(places, Fetcher(first.options, min(rows_at_once(places.request_bytes), count), first.cache), len(views))
    return [FarColumn(view, fetched, reader) for reader, view in enumerate(views)]


class _ArrayPlaces:
    """Where the rows of several arrays are (`loader.data.sources.arrays.far_rows.Places`).

    Args:
        arrays: joined on axis 0.
        in_blocks: whether small rows are always fetched together with their neighbours.

    Attributes:
        ends: number of the row after the last one of each array.
        request_bytes: that one request brings, about.
    """

    def __init__(self, arrays: Sequence[FarArray], *, in_blocks: bool) -> None:
        self._arrays = tuple(arrays)
        self.ends: Indices = np.cumsum([array.shape[0] for array in arrays], dtype=np.int64)
        self._block_rows = max(1, GAP_BYTES // max(1, arrays[0].strides[0])) if in_blocks else 0
        self.request_bytes = arrays[0].row_bytes + max(0, self._block_rows - 1) * arrays[0].strides[0]

    def locate(self, row: int) -> tuple[int, int]:
        """Return the number of the array that a row is in, and its number there."""
        part = int(self.ends.searchsorted(row, side="right")) if len(self._arrays) > 1 else 0
        return part, row - int(self.ends[part]) + self._arrays[part].shape[0]

    def span(self, part: int, first: int, last: int) -> Span:
        """Return the range that holds rows of an array."""
        return self._arrays[part].span(first, last)

    def block(self, part: int, number: int) -> tuple[int, int] | None:
        """Return the first and the last row of the block that a row is in; None if there are no blocks."""
        if not self._block_rows:
            return None
        first = number // self._block_rows * self._block_rows
        return first, min(first + self._block_rows, self._arrays[part].shape[0]) - 1


class FarColumn(ArrayColumn):
    """Rows of arrays in objects; the same as `ArrayColumn` has of files. The first one of several that share their requests answers for all.

    Args:
        parts: joined on axis 0.
        rows: bring them, or more than them.
        reader: which one this is, of those that `rows` serve.
    """

    def __init__(self, parts: Sequence[FarArray], rows: FarRows, reader: int) -> None:
        super().__init__(parts)
        self._far = tuple(parts)
        self._rows = rows
        self._reader = reader
        self.fetcher = rows.fetcher if reader == 0 else None

    def versions(self) -> Indices | None:
        return np.array([[part.end, part.version] for part in self._far], np.int64) if self._reader == 0 else None

    def far_spans(self, indices: Indices) -> FarSpans:
        return [(self.fetcher, self._rows.spans(indices))] if self.fetcher is not None else ()

    def will_read(self, indices: Indices) -> None:
        self._rows.will_read(indices, self._reader)

    def read(self, indices: Indices, out: Array, places: Indices | None = None) -> None:
        self.will_read(indices)
        for row, place in zip(indices.tolist(), range(len(indices)) if places is None else places.tolist(), strict=True):
            try:
                out[place] = self._take(row)
            except (FetchError, DataNotFoundError) as error:
                raise BadSample(row) from error

    def views(self, indices: Indices) -> None:
        """Return None: nothing of it lies in memory."""

    def row(self, index: int) -> Any:
        return np.array(self._take(index), self.dtype, order="C")[()]

    def whole(self) -> Array | None:
        if any(part.strides != c_strides(part.shape, part.dtype) for part in self._far):
            return None
        return np.concatenate(_contents(self._far))

    def open(self) -> None:
        """Do nothing: each process opens its own."""

    def _take(self, row: int) -> Array:
        """Return a row, as it is stored."""
        content, begin = self._rows.take(row, self._reader)
        number = int(self.ends.searchsorted(row, side="right")) if len(self._far) > 1 else 0
        part = self._far[number]
        start = part.offset + (row - int(self.ends[number]) + part.shape[0]) * part.strides[0] - begin
        return np.frombuffer(content[start : start + self._row_bytes], part.dtype).reshape(self.shape)
