"""A long series as overlapping windows, none of which is copied before it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from numbers import Integral
from typing import Any

from numpy.lib.stride_tricks import as_strided

from loader.data.remote.options import StorageOptions
from loader.data.sources.arrays.array_column import ArrayColumn
from loader.data.sources.arrays.array_parts import cache_of, columns_of, is_far, parts_of
from loader.data.sources.arrays.column_source import ColumnSource
from loader.data.sources.arrays.stored_array import StoredArray
from loader.data.sources.files.file_listing import PathLike
from loader.data.spec import Array, Leaf
from loader.errors import ConfigError


class Windows(ColumnSource):
    """Samples that are windows over a series: `x` is `length` consecutive steps, `y` the `horizon` steps after them.

    The series is mapped, or stays in memory as it is; a window is copied once, into its batch. With `series` of `n` steps, sample `i` is

        x = series[i * stride : i * stride + length]
        y = series[i * stride + length : i * stride + length + horizon]

    and there are `(n - length - horizon) // stride + 1` of them: a window that would reach beyond the end is left out.

    Args:
        array: the series, of shape `(steps, ...)`, in any form that `NpyArrays` takes for one array: the path of a `.npy` file, a `RawArray`, an
            `np.memmap`, an array. A list or a glob of files means several series: no window reaches from one into the next.
        length: steps of a window.
        stride: steps from the start of one window to the start of the next.
        horizon: steps of `y`; 0: there is no `y`.
        storage_options, cache, cache_bytes: for URLs, as for `NpyArrays`.

    Raises:
        ConfigError: an argument is not valid, or a series is shorter than one window.
        DataNotFoundError, LabelError, NpyError: as for `NpyArrays`.

    Example:
        >>> import numpy as np
        >>> source = Windows(np.arange(10), length=4, horizon=1)
        >>> len(source), source[5]
        (6, (array([5, 6, 7, 8]), array([9])))
    """

    def __init__(
        self,
        array: Any,
        length: int,
        stride: int = 1,
        horizon: int = 0,
        *,
        storage_options: Mapping[str, Any] | None = None,
        cache: PathLike | None = None,
        cache_bytes: int | str | None = None,
    ) -> None:
        if isinstance(array, Mapping):
            raise ConfigError("Windows takes one array, not a dict; for several: Zip(x={'a': Windows(a, ...), 'b': Windows(b, ...)})")
        _check("length", length, 1)
        _check("stride", stride, 1)
        _check("horizon", horizon, 0)
        self._length, self._stride, horizon = int(length), int(stride), int(horizon)
        self.overlap = stride < length + horizon
        kept = cache_of(cache, cache_bytes, far=is_far(array))
        series = ArrayColumn(parts_of(array, "array", StorageOptions(storage_options), kept)).parts
        counts = [_count(part, self._length, self._stride, horizon) for part in series]

        def windows(first: int, steps: int) -> list[StoredArray | Array]:
            return [_windows(one, first, steps, self._stride, count) for one, count in zip(series, counts, strict=True)]

        views = [windows(0, self._length)] + ([windows(self._length, horizon)] if horizon else [])
        self._columns = columns_of(windows(0, self._length + horizon), views)
        self._leaves = [Leaf(part, None, column.shape, column.dtype) for part, column in enumerate(self._columns)]

    def name_of(self, index: int) -> str | None:
        """Return the file of a window, and the steps in it; None for a series in memory."""
        part, number = self._columns[0].locate(index)
        if not isinstance(part, StoredArray):
            return None
        return f"{part.path}, steps {number * self._stride:,} to {number * self._stride + self._length - 1:,}"


def _check(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ConfigError(f"Windows: {name}={value!r}; give a whole number of steps, {least} or more")


def _count(series: StoredArray | Array, length: int, stride: int, horizon: int) -> int:
    """Return how many windows a series has."""
    steps = series.shape[0]
    if steps < length + horizon:
        which = f"{series.path} has" if isinstance(series, StoredArray) else "the series has"
        needed = f"length={length:,}" + (f" and horizon={horizon:,} need {length + horizon:,}" if horizon else "")
        raise ConfigError(f"Windows: {which} {steps:,} steps, but {needed}")
    return (steps - length - horizon) // stride + 1


def _windows(series: StoredArray | Array, first: int, steps: int, stride: int, count: int) -> StoredArray | Array:
    """Return windows of `steps` steps as rows that overlap in memory; the first one begins at step `first`."""
    step = series.strides[0]
    shape, strides = (count, steps, *series.shape[1:]), (stride * step, step, *series.strides[1:])
    if isinstance(series, StoredArray):
        return replace(series, offset=series.offset + first * step, shape=shape, strides=strides)
    return as_strided(series[first:], shape, strides, writeable=False)
