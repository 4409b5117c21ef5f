"""A binary file without a header: records of one size, one after the other."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from loader.data.layout import c_strides
from loader.data.npy.file_io import OPEN_FLAGS, pread
from loader.data.npy.header import name_path
from loader.data.npy.headerless import checked_dtype, checked_shape, records_of
from loader.data.npy.refusals import MAGIC
from loader.data.remote.options import StorageOptions
from loader.data.remote.urls import check_url, is_url
from loader.data.sources.arrays.array_parts import cache_of, column_of
from loader.data.sources.arrays.column_source import ColumnSource
from loader.data.sources.arrays.stored_array import StoredArray
from loader.data.sources.files.file_listing import PathLike, absolute_path, path_text, unreadable
from loader.data.spec import Array, Leaf
from loader.errors import ConfigError, DecodeError

if TYPE_CHECKING:
    from loader.data.remote.fetch_cache.cache_choice import CacheChoice

_GZIP = b"\x1f\x8b"


class RawArray(ColumnSource):
    """Samples that are the records of a binary file without a header: `x` is one record.

    Wherever `NpyArrays` takes an array, it takes this instead: `NpyArrays(RawArray(...), y="labels.npy")`; `NpyArrays([RawArray(...), ...])` joins
    several. The file is mapped, and a record is copied once, as a row of a `.npy` file is.

    Args:
        path: of the file.
        dtype: of the numbers in it, such as `"float32"`, or `">f4"` if they are big-endian.
        sample_shape: of one record; `()` if each is a single number. The last axis varies fastest.
        offset: bytes before the first record, such as those of a header.
        storage_options: if `path` is a URL: endpoint, region, credentials, ... of the store, beside what the environment says.
        cache, cache_bytes: if `path` is a URL: where records that were fetched are kept, as for `NpyArrays`.

    Raises:
        ConfigError: an argument is not valid; says which.
        DataNotFoundError: there is no such file.
        DecodeError: the file does not hold whole records (the message shows the sum and what would fit), or it is a `.npy` file.

    Example:
        >>> import numpy as np, os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "frames.bin")
        >>> np.arange(24, dtype=np.uint8).tofile(path)
        >>> RawArray(path, "uint8", (2, 3))
        RawArray(4 rows, x: (2, 3) uint8)
    """

    def __init__(
        self,
        path: PathLike,
        dtype: npt.DTypeLike,
        sample_shape: int | Sequence[int],
        offset: int = 0,
        *,
        storage_options: Mapping[str, Any] | None = None,
        cache: PathLike | None = None,
        cache_bytes: int | str | None = None,
    ) -> None:
        if isinstance(path, list | tuple) or (not is_url(path) and glob.has_magic(path_text(path)) and not os.path.lexists(absolute_path(path))):
            raise ConfigError("RawArray takes the path of one file. To join several: NpyArrays([RawArray(path, ...) for path in paths])")
        if isinstance(offset, bool) or not isinstance(offset, Integral) or offset < 0:
            raise ConfigError(f"RawArray: offset={offset!r}; give bytes, a whole number from 0 up")
        form = checked_dtype(dtype, "RawArray"), checked_shape(sample_shape, "RawArray: sample_shape"), int(offset)
        kept = cache_of(cache, cache_bytes, far=is_url(path))
        far = _far(check_url(str(path)), *form, StorageOptions(storage_options), kept) if is_url(path) else None
        column = column_of(far or [_stored(absolute_path(path), *form)])
        self._columns = [column]
        self._leaves = [Leaf(0, None, column.shape, column.dtype)]


def _stored(path: str, dtype: np.dtype[np.generic], shape: tuple[int, ...], offset: int) -> StoredArray:
    """Return where the records are. Raises DecodeError, DataNotFoundError, OSError."""
    try:
        first, size = _look_at(path)
    except OSError as error:
        raise unreadable(path, error) from None
    return StoredArray(path, offset, dtype, *_records(path, first, size, offset, dtype, shape), size)


def _far(
    url: str, dtype: np.dtype[np.generic], shape: tuple[int, ...], offset: int, options: StorageOptions, cache: CacheChoice | None
) -> Sequence[StoredArray | Array]:
    """Return where the records of an object are, or the records. Raises DecodeError, DataNotFoundError, FetchError."""
    from loader.data.remote.objects import Span
    from loader.data.remote.scouting.scout import Scout
    from loader.data.sources.arrays.far_array import FarArray, at_once

    (first,) = Scout(options).contents([Span(url, 0, len(MAGIC))])
    found = _records(url, bytes(first.content), first.size, offset, dtype, shape)
    return at_once([FarArray(url, offset, dtype, *found, first.size, first.version, options, cache)])


def _records(
    path: str, first: bytes, size: int, offset: int, dtype: np.dtype[np.generic], shape: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shape and the strides of all records. Raises DecodeError if the file does not hold whole ones, or is a `.npy` file."""
    if first == MAGIC:
        raise DecodeError(path, f"is a .npy file, whose header says what is in it: NpyArrays({path!r})")
    records = records_of(size, offset, dtype, shape)
    if isinstance(records, str):
        raise DecodeError(path, records + (". It begins as a gzip file does: perhaps it has to be decompressed first" if first[:2] == _GZIP else ""))
    return (records, *shape), c_strides((records, *shape), dtype)


def _look_at(path: str) -> tuple[bytes, int]:
    """Return the first bytes of a file, and its size. Raises OSError; NpyError if it is not a regular file."""
    fd = os.open(path, OPEN_FLAGS)
    try:
        return pread(fd, len(MAGIC), 0), os.fstat(fd).st_size
    except OSError as error:
        raise name_path(error, path) from None
    finally:
        os.close(fd)
