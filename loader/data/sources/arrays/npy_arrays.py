"""Large arrays, one row per sample."""

from __future__ import annotations

import os
from collections.abc import Mapping
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from loader.data.remote.options import StorageOptions
from loader.data.rows import Indices
from loader.data.sources.arrays.array_column import ArrayColumn
from loader.data.sources.arrays.array_parts import cache_of, column_of, is_far, parts_of
from loader.data.sources.arrays.column_source import ColumnSource
from loader.data.sources.arrays.stored_array import StoredArray
from loader.data.sources.files.file_listing import PathLike
from loader.data.sources.source import Source
from loader.data.sources.source_mistakes import instead_of_mapping
from loader.data.spec import PART_NAMES, Leaf
from loader.errors import ConfigError, LabelError, NpyError

if TYPE_CHECKING:
    from loader.data.remote.fetch_cache.cache_choice import CacheChoice

_SHOWN = 6  # files that a message names


class NpyArrays(ColumnSource):
    """Samples that are the rows of large arrays, in files or in memory.

    Only headers are read here; the processes that read a file map it, read-only. A row of a file in C order and this machine's byte order is
    copied once. Files in Fortran order work, but their rows are scattered over the whole file: convert large ones.

    Args:
        x: a path, a glob or a list of paths of `.npy` files (joined on axis 0: any number of rows each, one row shape and dtype), an array, a
            `RawArray`, or a dict of those. Arrays in memory are copied into memory that all workers share; an `np.memmap`, or a part or a window
            of one, is sent as its path instead.
        y: labels in the same forms, with as many rows as x; a list of numbers becomes an array (Python ints int32, floats float32).
        sample_weight: weights in the same forms; needs y.
        rows_per_file: rows that each file must have; None: any number.
        storage_options: for URLs: endpoint, region, credentials, ... of the store, beside what the environment says.
        cache: for URLs: a folder in which rows that were fetched are kept, so that later epochs and other runs need not fetch them.
        cache_bytes: that the folder may hold, such as "200GiB". What comes when it is full is not kept. None: as much as the disk has.

    Raises:
        ConfigError: an argument is missing, or reads its data on demand, as `h5py.Dataset` does.
        DataNotFoundError: there is no file at a path or glob.
        LabelError: the numbers of rows differ.
        NpyError: a file is not a `.npy` file of a supported array, is longer or shorter than its header says, or does not have `rows_per_file`.

    Example:
        >>> import numpy as np
        >>> NpyArrays(np.zeros((4, 28, 28), np.uint8), y=[0, 1, 1, 0])
        NpyArrays(4 rows, x: (28, 28) uint8, y: () int32)
    """

    def __init__(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        rows_per_file: int | None = None,
        storage_options: Mapping[str, Any] | None = None,
        cache: PathLike | None = None,
        cache_bytes: int | str | None = None,
    ) -> None:
        if y is None and sample_weight is not None:
            raise ConfigError("sample_weight needs y: a sample is (x, y, sample_weight)")
        self._options = StorageOptions(storage_options)
        kept = cache_of(cache, cache_bytes, far=any(map(is_far, (x, y, sample_weight))))
        self._leaves: list[Leaf] = []
        self._columns: list[ArrayColumn] = []
        for part, given in enumerate((x, y, sample_weight)):
            if isinstance(given, Mapping):
                if not isinstance(given, dict):
                    raise ConfigError(f"{PART_NAMES[part]} is of type {type(given).__name__}: {instead_of_mapping(given)}")
                if not given:
                    raise ConfigError(f"{PART_NAMES[part]} is an empty dict")
                for key, value in given.items():
                    self._add(part, key, value, kept)
            elif given is not None:
                self._add(part, None, given, kept)
        if not self._columns or self._leaves[0].part:
            raise ConfigError("x is None; give a path, a glob, a list of paths, an array, or a dict of those")
        if rows_per_file is not None:
            self._check_files(rows_per_file)
        self._check_rows()

    def _add(self, part: int, key: Any, value: Any, cache: CacheChoice | None) -> None:
        name = PART_NAMES[part] if key is None else f"{PART_NAMES[part]}[{key!r}]"
        if key is not None and not isinstance(key, str):
            weights = "; for weights by class number: Loader(..., class_weight=...)" if part == 2 else ""
            raise ConfigError(f"the keys of {PART_NAMES[part]} must be strings, not {key!r}{weights}")
        if isinstance(value, Mapping):
            raise ConfigError(f"{name} is a dict inside a dict; give each of its arrays a key in the outer dict")
        column = column_of(parts_of(value, name, self._options, cache))
        self._columns.append(column)
        self._leaves.append(Leaf(part, key, column.shape, column.dtype))

    def _check_files(self, rows: int) -> None:
        if isinstance(rows, bool) or not isinstance(rows, Integral) or rows < 1:
            raise ConfigError(f"rows_per_file={rows!r}: must be a whole number, 1 or more")
        files = [part for column in self._columns for part in column.parts if isinstance(part, StoredArray)]
        if not files:
            raise ConfigError(f"rows_per_file={rows}: no array is in a file")
        bad = [part for part in files if part.shape[0] != rows]
        if bad:
            others = ", ".join(f"{os.path.basename(part.path)} ({part.shape[0]:,})" for part in bad[1:_SHOWN])
            more = f". Of the {len(files):,} files, these differ too: {others}{', ...' if len(bad) > _SHOWN else ''}" if others else ""
            raise NpyError(bad[0].path, f"has {bad[0].shape[0]:,} rows, but rows_per_file={rows:,}; perhaps its writing was cut off{more}")

    def _check_rows(self) -> None:
        counts = {leaf.name: len(column) for leaf, column in zip(self._leaves, self._columns, strict=True)}
        if len(set(counts.values())) > 1:
            listed = "; ".join(
                f"{leaf.name} has {len(column):,} ({column.describe()})" for leaf, column in zip(self._leaves, self._columns, strict=True)
            )
            raise LabelError(f"the numbers of rows differ: {listed}")

    @classmethod
    def from_pack(cls, folder: PathLike, **options: Any) -> NpyArrays:
        """Return the samples that `source.pack(folder)` or `loader pack` has written, with their IDs and classes. Raises as `NpyArrays` does.

        Args:
            folder: of the pack, or its URL.
            options: for a URL: `storage_options`, `cache` and `cache_bytes`, as for `NpyArrays`.
        """
        from loader.data.sources.arrays.packed import Packed  # here, as it derives from this class

        return Packed(folder, **options)

    def file_rows(self) -> Indices | None:
        first, *others = self._columns
        if not all(isinstance(part, StoredArray) for part in first.parts):
            return None
        for column in others:
            if len(column.parts) > 1 and not np.array_equal(column.ends, first.ends):
                raise LabelError(_unlike_files(first, column))
        return np.diff(first.ends, prepend=0)

    def __add__(self, other: Source) -> Source:
        """Return a source of this one's samples followed by the other's."""
        if type(self) is not NpyArrays or type(other) is not NpyArrays or self.spec != other.spec or self.rows_at_once or other.rows_at_once:
            return super().__add__(other)
        joined = NpyArrays.__new__(NpyArrays)  # a row is found faster than in two sources
        joined._options = self._options
        joined._leaves = self._leaves
        joined._columns = [ArrayColumn.joined(pair) for pair in zip(self._columns, other._columns, strict=True)]
        return joined


def _unlike_files(x: ArrayColumn, other: ArrayColumn) -> str:
    """Return which file has another number of rows than the one with the same place in x."""
    names = [[part.path if isinstance(part, StoredArray) else "an array in memory" for part in column.parts] for column in (x, other)]
    for here, there, rows, others in zip(*names, np.diff(x.ends, prepend=0).tolist(), np.diff(other.ends, prepend=0).tolist(), strict=False):
        if rows != others:
            return f"{there} has {others:,} rows, but {here}, which it belongs to, has {rows:,}; where a file is a batch, both must have as many"
    return f"x is in {len(x.parts):,} files, but its other part in {len(other.parts):,}; where a file is a batch, each needs its own"
