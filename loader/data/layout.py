"""Where the arrays of consecutive batches lie in a slot.

A slot holds up to `capacity` consecutive batches. The layout is leaf by leaf: first the rows of leaf 0 of all its batches, then those of
leaf 1. Each array of a batch starts at a multiple of 64 bytes, which TensorFlow and JAX require to alias memory instead of copying it.
Where a batch's bytes are such a multiple by themselves, the rows of consecutive batches have no gap between them and a worker fills
them in one call.

    slot row = batch within the slot × batch_size + row within the batch
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from loader.data.spec import Array, SampleSpec

ALIGNMENT = 64


def align(nbytes: int, to: int = ALIGNMENT) -> int:
    """Return `nbytes` rounded up to a multiple of `to`."""
    return -(-nbytes // to) * to


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return a new array that starts at a multiple of 64 bytes, as every array in a slot does."""
    nbytes = math.prod(shape) * dtype.itemsize
    memory = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -memory.__array_interface__["data"][0] % ALIGNMENT
    array: Array = np.ndarray(shape, dtype, memory, start)
    return array


def aligned_copy(array: Array) -> Array:
    """Return a copy of `array` that starts at a multiple of 64 bytes."""
    copy = aligned_empty(array.shape, array.dtype)
    copy[...] = array
    return copy


def common_shape(shapes: Iterable[tuple[int | None, ...]]) -> tuple[int | None, ...]:
    """Return what shapes with as many axes have in common: None for an axis in which they differ."""
    return tuple(lengths[0] if len(set(lengths)) == 1 else None for lengths in zip(*shapes, strict=True))


@dataclass(frozen=True)
class SlotLayout:
    """Offsets of every leaf of every batch in a slot.

    Attributes:
        spec: of one sample.
        batch_size: rows of a full batch.
        capacity: batches that a slot can hold.
        nbytes: bytes of a slot, a multiple of 64.
        gapless: whether rows of consecutive batches touch each other, in every leaf.
    """

    spec: SampleSpec
    batch_size: int
    capacity: int
    nbytes: int = field(init=False)
    gapless: bool = field(init=False)
    _offsets: tuple[int, ...] = field(init=False, repr=False)
    _strides: tuple[int, ...] = field(init=False, repr=False)
    _row_strides: tuple[tuple[int, ...], ...] = field(init=False, repr=False)
    _leaves: tuple[tuple[tuple[int, ...], np.dtype[Any], int], ...] = field(
        init=False, repr=False
    )  # of the first batch: shape of a row, dtype, offset

    def __post_init__(self) -> None:
        packed = [leaf.nbytes * self.batch_size for leaf in self.spec.leaves]
        strides = [align(nbytes) for nbytes in packed]
        ends = np.cumsum([stride * self.capacity for stride in strides]).tolist()
        object.__setattr__(self, "_strides", tuple(strides))
        object.__setattr__(self, "_offsets", (0, *ends[:-1]))
        object.__setattr__(self, "_row_strides", tuple(c_strides((self.batch_size, *leaf.shape), leaf.dtype) for leaf in self.spec.leaves))
        leaves = tuple((leaf.shape, leaf.dtype, offset) for leaf, offset in zip(self.spec.leaves, self._offsets, strict=True))
        object.__setattr__(self, "_leaves", leaves)
        object.__setattr__(self, "nbytes", max(ends[-1], ALIGNMENT))
        object.__setattr__(self, "gapless", packed == strides)

    def batches(self, slot: Array, count: int, last_rows: int, copied: Collection[int] = ()) -> list[tuple[Array, ...]]:
        """Return the arrays of the first `count` batches of a slot: per batch one array per leaf, `(rows, *leaf.shape)`.

        Args:
            slot: the slot's bytes, uint8 of shape `(nbytes,)`; the arrays are views that keep it alive.
            count: how many batches; each has `batch_size` rows except
            last_rows: of the last one.
            copied: numbers of leaves that are copied out, so that they do not keep the slot.
        """
        if count == 1:
            arrays: list[Array] = []
            for number, (shape, dtype, offset) in enumerate(self._leaves):
                array: Array = np.ndarray((last_rows, *shape), dtype, slot, offset)
                arrays.append(aligned_copy(array) if number in copied else array)
            return [tuple(arrays)]
        columns: list[list[Array]] = []
        for number in range(len(self.spec.leaves)):
            columns.append(self._column(number, slot, count, number in copied))
        if last_rows < self.batch_size:
            for column in columns:
                column[-1] = column[-1][:last_rows]
        return list(zip(*columns, strict=True))

    def small_leaves(self, nbytes: int) -> frozenset[int]:
        """Return the numbers of the leaves that take at most `nbytes` of a batch."""
        return frozenset(number for number, leaf in enumerate(self.spec.leaves) if leaf.nbytes * self.batch_size <= nbytes)

    def _column(self, number: int, slot: Array, count: int, copied: bool) -> list[Array]:
        """Return one leaf of the first `count` batches. One array is made and split, which is faster than to make `count` of them."""
        leaf = self.spec.leaves[number]
        offset, stride = self._offsets[number], self._strides[number]
        if copied:
            slot, offset = aligned_copy(slot[offset : offset + count * stride]), 0
        return list(np.ndarray((count, self.batch_size, *leaf.shape), leaf.dtype, slot, offset, (stride, *self._row_strides[number])))

    def runs(self, slot: Any, first: int, rows: int) -> list[tuple[int, list[Array]]]:
        """Return the slot rows `[first, first + rows)` as contiguous runs: `(rows in it, its leaves)`, in order.

        One run where the layout has no gaps, else one for each batch that the range touches.
        """
        runs: list[tuple[int, list[Array]]] = []
        while rows:
            number, row = divmod(first, self.batch_size)
            count = rows if self.gapless else min(rows, self.batch_size - row)
            runs.append((count, self._rows(slot, number, row, count)))
            first, rows = first + count, rows - count
        return runs

    def _rows(self, slot: Any, number: int, row: int, count: int) -> list[Array]:
        return [
            np.ndarray((count, *leaf.shape), leaf.dtype, slot, offset + number * stride + row * leaf.nbytes)
            for leaf, offset, stride in zip(self.spec.leaves, self._offsets, self._strides, strict=True)
        ]


def c_strides(shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[int, ...]:
    """Return the strides of an array in C order, in bytes."""
    return tuple(dtype.itemsize * math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
