"""Copying rows of one array to rows of another, and telling which of several arrays each row is in."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import as_strided

from loader.data.rows import Indices
from loader.data.spec import Array

# Rows that do not lie together in `out` are gathered and then put to their places (two copies), or copied one by one (one copy, but 0.4 µs of
# Python): docs/measurements.md. What is gathered stays in a core's second-level cache.
_MAX_ITEM_BYTES = 8192
_GATHERED_BYTES = 256 * 1024
_MIN_GATHERED_ROWS = 8

_FEW_PARTS = 8


def is_direct(array: Array) -> bool:
    """Whether `np.take` may be given this array: any other kind it would first copy whole, a mapped file of any size included."""
    return array.flags.c_contiguous and array.flags.aligned and array.dtype.isnative


def gather(array: Array, items: Array | None, rows: Indices, out: Array) -> None:
    """Copy rows of an array to `out`, converting byte order and axis order; `items` is `items_of(array)`."""
    if is_direct(array):
        np.take(array, rows, axis=0, out=out, mode="clip")  # the default mode would buffer `out`
    elif items is not None:
        target, step = as_items(out), _GATHERED_BYTES // items.itemsize
        for start in range(0, len(rows), step):
            target[start : start + step] = items[rows[start : start + step]]
    else:
        for place, row in enumerate(rows.tolist()):
            out[place] = array[row]


def items_of(array: Array) -> Array | None:
    """Return the rows of an array as flat bytes, one item a row. None if that does not help, or can't be done.

    The items may lie apart, or overlap as windows do. Then `take` would first copy all of them, and an index does not.
    """
    width = array.nbytes // max(1, len(array))
    if not 0 < width <= _MAX_ITEM_BYTES or not is_direct(array[:1]):
        return None
    return as_strided(as_items(array[:1]), (len(array),), array.strides[:1], writeable=False)


def as_items(rows: Array) -> Array:
    """Return C-contiguous rows of at least one byte each as flat bytes, one item a row."""
    return rows.reshape(len(rows), -1).view(f"V{rows.nbytes // len(rows)}").reshape(-1)


def gather_at(array: Array, items: Array | None, rows: Indices, out: Array, places: Indices) -> None:
    """Copy rows of an array to the rows `places` of `out`, C-contiguous, converting byte order and axis order.

    Args:
        array: to copy from.
        items: `items_of(array)`.
        rows: of `array`.
        out: to copy to.
        places: for each of `rows`, a row of `out`.
    """
    if items is None or len(rows) < _MIN_GATHERED_ROWS:
        for place, row in zip(places.tolist(), rows.tolist(), strict=True):
            out[place] = array[row]
        return
    target, step, plain = as_items(out), _GATHERED_BYTES // items.itemsize, items.flags.c_contiguous
    for start in range(0, len(rows), step):  # `put` is a plain loop of copies; indexing by an array of places costs twice as much
        some = rows[start : start + step]
        target.put(places[start : start + step], items.take(some, mode="clip") if plain else items[some], mode="clip")


def put(rows: Array, out: Array, places: Indices) -> None:
    """Copy all of `rows` to the rows `places` of `out`; both C-contiguous and of one dtype."""
    if rows.nbytes:
        as_items(out).put(places, as_items(rows), mode="clip")


def by_part(ends: Indices, indices: Indices) -> Iterator[tuple[int, Indices, Indices]]:
    """Tell which rows come from which part, of several that follow one another.

    Args:
        ends: number of rows up to the end of each part.
        indices: rows of all parts together.

    Yields:
        For each part that has any of them: its number, the rows in it, and their places in `indices`.
    """
    last = len(ends) - 1
    if last < _FEW_PARTS:
        start = 0
        for number, end in enumerate(ends.tolist()):
            inside = indices < end if number < last else indices >= start
            if 0 < number < last:
                inside &= indices >= start
            places = inside.nonzero()[0]
            if len(places):
                yield number, indices[places] - start if start else indices[places], places
            start = end
        return
    parts = ends.searchsorted(indices, side="right")
    order = parts.argsort(kind="stable")
    for places in np.split(order, np.flatnonzero(np.diff(parts[order])) + 1):
        number = int(parts[places[0]])
        yield number, indices[places] - (int(ends[number - 1]) if number else 0), places
