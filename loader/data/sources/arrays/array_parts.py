"""What counts as one array of rows: paths, a memmap, an array in memory, or a source that has one array."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from loader.data.remote.options import StorageOptions
from loader.data.remote.urls import check_url, is_url
from loader.data.sources.arrays.array_column import ArrayColumn
from loader.data.sources.arrays.column_source import ColumnSource
from loader.data.sources.arrays.stored_array import StoredArray, overlaps
from loader.data.sources.files.file_listing import PathLike, path_text, unreadable
from loader.data.sources.files.file_search import find_files
from loader.data.sources.labels.labels import as_array
from loader.data.sources.source_mistakes import is_read_later
from loader.data.spec import Array, text_remedy
from loader.errors import ConfigError, DataNotFoundError, LabelError, NpyError

if TYPE_CHECKING:
    from loader.data.remote.fetch_cache.cache_choice import CacheChoice

# Beyond this, an array whose rows overlap in memory stays as it is, which makes reading slower, instead of being copied row by row.
_LARGE_BYTES = 16 * 2**20


def column_of(parts: Sequence[StoredArray | Array]) -> ArrayColumn:
    """Return the column that parts make. Raises ConfigError if some are far away and others are not."""
    return columns_of(parts, [parts])[0]


def columns_of(rows: Sequence[StoredArray | Array], views: Sequence[Sequence[StoredArray | Array]]) -> list[ArrayColumn]:
    """Return columns that show parts of the same rows.

    Args:
        rows: places, or arrays, joined on axis 0.
        views: of each column: arrays whose rows lie within those of `rows`.

    Raises:
        ConfigError: some are far away and others are not.
    """
    far = [hasattr(part, "version") for part in rows]
    if not any(far):
        return [ArrayColumn(view) for view in views]
    if not all(far):
        raise ConfigError("some arrays are far away and others are not, or too small to stay there; join two sources with +")
    from loader.data.sources.arrays.far_array import as_far, far_columns

    return far_columns(as_far(rows), list(map(as_far, views)))


def is_far(value: Any) -> bool:
    """Whether an argument names URLs, or is a dict that does."""
    return any(map(is_far, value.values())) if isinstance(value, Mapping) else bool(_urls(value))


def cache_of(cache: PathLike | None, cache_bytes: int | str | None, *, far: bool) -> CacheChoice | None:
    """Return where what comes from URLs is kept; None if nowhere. Raises ConfigError for a cache that can't be."""
    if cache is None and cache_bytes is None:
        return None
    from loader.data.remote.fetch_cache.cache_choice import CacheChoice  # only who has a cache waits for what it imports

    return CacheChoice.of(cache, cache_bytes, far=far)


def parts_of(value: Any, name: str, options: StorageOptions, cache: CacheChoice | None) -> Sequence[StoredArray | Array]:
    """Return the parts that one argument means: places in files, or one array. `options` and `cache` are for URLs."""
    if urls := _urls(value):
        return _far_parts(urls, name, options, cache)
    if isinstance(value, (str, os.PathLike, ColumnSource)):
        return _parts_of_one(value, name)
    if isinstance(value, (list, tuple)) and not value:
        raise DataNotFoundError(f"{name} is an empty list")
    if isinstance(value, (list, tuple)) and all(isinstance(item, (str, os.PathLike, ColumnSource)) for item in value):
        try:
            return [part for item in value for part in _parts_of_one(item, name)]
        except DataNotFoundError as error:
            raise DataNotFoundError(
                f"{error}\n{name} is a list of strings, which are taken as paths; if they are not paths: {text_remedy(name)}"
            ) from None
    _refuse_what_is_read_later(value, name)
    if isinstance(value, np.ndarray) and value.ndim and value.dtype.kind in "biufc":
        stored = StoredArray.of_view(value)
        if stored is not None:
            return [stored]
        if overlaps(value) and value.nbytes > _LARGE_BYTES:
            return [np.asarray(value)]
    try:
        array = np.asarray(as_array(value, None, name))  # asarray: a memmap that can't travel by its path is an array like any other
    except LabelError as error:
        raise LabelError(f"{error}{_text_columns(value)}") from error.__cause__
    if array.dtype.kind == "U":
        first = str(array.flat[0]) if array.size else ""
        paths = f"; for paths give a list: {name}.tolist(), or NpyFiles({name}.tolist()) for one file per sample" if first.endswith(".npy") else ""
        raise LabelError(f"{name} holds text, such as {first[:60]!r}; {text_remedy(name)}{paths}{_text_columns(value)}")
    return [array]


def _urls(value: Any) -> list[str]:
    """Return the URLs that an argument names; none if it names something else."""
    given = [value] if isinstance(value, str) else value if isinstance(value, (list, tuple)) else []
    return list(given) if given and all(map(is_url, given)) else []


def _far_parts(urls: list[str], name: str, options: StorageOptions, cache: CacheChoice | None) -> Sequence[StoredArray | Array]:
    from loader.data.sources.arrays.far_array import far_arrays
    from loader.data.sources.files.far_search import FarSearch

    found: list[str] = []
    for url in map(check_url, urls):
        found += FarSearch((".npy",), name, (), None, options).find(url)[0] if glob.has_magic(url) else [url]
    return far_arrays(found, options, cache)


def _parts_of_one(value: str | os.PathLike[str] | ColumnSource, name: str) -> Sequence[StoredArray | Array]:
    """Return the parts that a path, a glob, or a source with one array means."""
    if not isinstance(value, ColumnSource):
        return [_stored(path) for path in _files(value, name)]
    column = value.single_column()
    if column is None:
        raise ConfigError(f"{name} is {value!r}, which has several arrays; give a source of one array, or Zip(x=..., y=...) of sources")
    return column.parts


def _text_columns(value: Any) -> str:
    """Return which columns of a data frame are not numbers."""
    kinds: Any = getattr(value, "dtypes", None)
    if not hasattr(kinds, "items"):
        return ""
    columns = [str(column) for column, dtype in kinds.items() if getattr(dtype, "kind", "O") not in "biufc"]
    return f". Columns that are not numbers: {', '.join(columns[:10])}{', ...' if len(columns) > 10 else ''}"


def _stored(path: str) -> StoredArray:
    try:
        return StoredArray.of_file(path)
    except OSError as error:
        raise unreadable(path, error, kind=NpyError) from None


def _refuse_what_is_read_later(value: Any, name: str) -> None:
    """Raise ConfigError for an object that looks like an array but has its data elsewhere: making an array of it would read it all."""
    if not is_read_later(value):
        return
    kind = type(value)
    called = f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"
    raise ConfigError(
        f"{name} is a {called} of shape {value.shape} and dtype {value.dtype}, which is not in memory; NpyArrays would have to read it whole. "
        f"What to do: MapSource(dataset), whose workers read one row at a time, and Zip(MapSource(x), y=MapSource(y)) where labels are another one; "
        f"or, if it fits, {name}[:]"
    )


def _files(path: str | os.PathLike[str], name: str) -> list[str]:
    text = os.path.expanduser(path_text(path))
    if os.path.isdir(text):
        pattern = glob.escape(text.rstrip("/")) + "/*.npy"
        raise DataNotFoundError(f"{name}={text!r} is a folder. For its files joined: {pattern!r}; for one file per sample: NpyFiles({text!r})")
    return find_files(text, (".npy",))[0]
