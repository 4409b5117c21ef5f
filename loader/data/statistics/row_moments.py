"""What is worked out of each row by itself: how many values, their extremes, mean and deviation, channel by channel.

A row's figures depend on nothing but the row, to the last bit: not on the rows beside it, and so not on who measures how many of them at once.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any

import numpy as np

from loader.data.rows import Indices
from loader.data.spec import Array

_CHUNK_BYTES = 1 << 17  # of values at work: they stay in the cache, and their memory in the process (docs/measurements.md)


class Column(IntEnum):
    """What is known of one channel of a row, words of 8 bytes. Integers are as they are; where floats are meant, the word holds their bits."""

    VALUES = 0
    """Finite ones."""
    NAN = 1
    INFINITE = 2
    LOWEST = 3
    """Of the finite values; an integer where they are."""
    HIGHEST = 4
    TOTAL = 5
    """Their sum where it is exact (see `is_exact`), else their mean."""
    SPREAD = 6
    """The sum of their squares where that is exact, else of their squared deviations from the mean of the row."""


def is_exact(dtype: np.dtype[Any]) -> bool:
    """Whether sums of squares of such values fit integers of 64 bits, for rows of up to 2**31 values."""
    return dtype.kind in "biu" and dtype.itemsize <= 2


def channels_of(shape: tuple[int, ...]) -> int:
    """Return how many channels an array has: the length of its last axis, if it has three or more; else 1."""
    return shape[-1] if len(shape) >= 3 else 1


def width_of(shape: tuple[int, ...]) -> int:
    """Return the number of words that `measure_rows` writes for each array of this shape."""
    return len(shape) + channels_of(shape) * len(Column)


def measure_rows(rows: Array, out: Indices) -> None:
    """Write the shape of each row to `out`, followed by its figures: `Column` for each channel.

    Args:
        rows: of shape `(n, *shape)`: bool, integers or floats.
        out: of shape `(n, width_of(shape))`, int64.
    """
    shape = rows.shape[1:]
    channels, size = channels_of(shape), math.prod(shape)
    out[:, : len(shape)] = shape
    figures = np.empty((len(rows) * channels, len(Column)), np.int64)
    values = size // max(channels, 1)
    step = max(1, _CHUNK_BYTES // max(1, 8 * size))  # rows
    for first in range(0, len(rows), step):
        some = rows[first : first + step]
        lines = np.ascontiguousarray(np.moveaxis(some.reshape(len(some), values, channels), -1, 1)).reshape(len(some) * channels, values)
        _measure_lines(lines, figures[first * channels : (first + step) * channels])
    out[:, len(shape) :] = figures.reshape(len(rows), channels * len(Column))


def _measure_lines(lines: Array, out: Indices) -> None:
    """Write the figures of each line (lines, values), all values of a channel, to `out` (lines, columns)."""
    step = max(1, _CHUNK_BYTES // max(1, 8 * lines.shape[1]))
    for first in range(0, len(lines), step):
        _measure(lines[first : first + step], out[first : first + step])


def _measure(values: Array, out: Indices) -> None:
    out[:, Column.NAN] = out[:, Column.INFINITE] = 0
    if values.dtype.kind not in "biu":
        _measure_floats(np.array(values, np.float64, order="C"), out)  # a copy, which is overwritten
        return
    whole = values.view(np.uint8) if values.dtype.kind == "b" else values
    if is_exact(whole.dtype):
        out[:, Column.VALUES] = whole.shape[1]
        out[:, Column.TOTAL] = out[:, Column.SPREAD] = 0
        step = max(1, _CHUNK_BYTES // (8 * len(whole)))
        for first in range(0, whole.shape[1], step):  # exact sums may be cut anywhere
            wide = whole[:, first : first + step].astype(np.int64)
            out[:, Column.TOTAL] += wide.sum(1)
            out[:, Column.SPREAD] += np.multiply(wide, wide, out=wide).sum(1)
    else:
        _measure_floats(whole.astype(np.float64), out)
    limits = np.iinfo(whole.dtype)
    out[:, Column.LOWEST] = whole.min(1, initial=limits.max).astype(np.int64)
    out[:, Column.HIGHEST] = whole.max(1, initial=limits.min).astype(np.int64)


@np.errstate(over="ignore", invalid="ignore")
def _measure_floats(values: Array, out: Indices) -> None:
    """The same for floats, which are overwritten. A line with values that are not finite is measured without them."""
    total = values.sum(1)
    odd = ~np.isfinite(total)  # a sum with NaN or infinite values is not finite; one of finite values may be too large
    kept = values[odd]
    _measure_finite(values, total, out)
    for line, some in zip(np.flatnonzero(odd).tolist(), kept, strict=True):
        finite = some[np.isfinite(some)][None]
        _measure_finite(finite, finite.sum(1), out[line : line + 1])
        nan = int(np.isnan(some).sum())
        out[line, Column.NAN], out[line, Column.INFINITE] = nan, some.size - finite.size - nan


def _measure_finite(values: Array, total: Array, out: Indices) -> None:
    floats = out.view(np.float64)
    out[:, Column.VALUES] = values.shape[1]
    floats[:, Column.LOWEST] = values.min(1, initial=np.inf)
    floats[:, Column.HIGHEST] = values.max(1, initial=-np.inf)
    mean = total / max(values.shape[1], 1)
    values -= mean[:, None]
    floats[:, Column.TOTAL] = mean
    floats[:, Column.SPREAD] = np.multiply(values, values, out=values).sum(1)
