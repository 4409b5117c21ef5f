"""The figures of rows, put together in the order of the rows."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np

from loader.data.rows import Indices
from loader.data.spec import Array, Leaf
from loader.data.statistics.row_moments import Column, channels_of, is_exact
from loader.data.statistics.statistics import FieldStatistics

_MOST_CLASSES = 100_000  # numbers of which there are more are no classes
_HALF_WORD = 32


class Totals:
    """What is known of one array of all samples so far.

    Sums of small integers are exact. Floats are summed block by block, so their last bits depend on how the rows are cut into blocks, and on nothing
    else. Mean and deviation of two sets of values are combined as in Chan, Golub, LeVeque: "Updating Formulae and a Pairwise Algorithm for Computing
    Sample Variances" (1979).

    Args:
        leaf: of the first sample.
    """

    def __init__(self, leaf: Leaf) -> None:
        self._leaf = leaf
        self._dimensions = len(leaf.shape)
        channels = channels_of(leaf.shape)
        self._exact = is_exact(leaf.dtype)
        self._counts = np.zeros((3, channels), np.int64)
        self._sums: list[Any] = [np.zeros(channels, object), np.zeros(channels, object)]
        self._mean = np.zeros(channels)
        self._squares = np.zeros(channels)
        self._lowest, self._highest = _neutral_extremes(leaf, channels)
        self._shapes: Counter[tuple[int, ...]] = Counter()
        self._classes: Counter[int] | None = Counter() if leaf.part == 1 and not leaf.shape and leaf.dtype.kind in "biu" else None

    def add(self, words: Indices) -> None:
        """Add a block of rows, as `measure_rows` writes them."""
        shapes, times = np.unique(words[:, : self._dimensions], axis=0, return_counts=True)
        self._shapes.update(dict(zip(map(tuple, shapes.tolist()), times.tolist(), strict=True)))
        rows = np.ascontiguousarray(words[:, self._dimensions :]).reshape(len(words), -1, len(Column))
        before = self._counts[0].copy()
        added = rows[..., : Column.INFINITE + 1].sum(0).T
        self._counts += added
        if self._exact:
            for total, column in zip(self._sums, (Column.TOTAL, Column.SPREAD), strict=True):
                total += _exact_sum(rows[..., column])
        else:
            self._combine(before, added[0], rows[..., Column.VALUES], rows.view(np.float64))
        extremes = rows.view(self._lowest.dtype)
        np.minimum(self._lowest, extremes[..., Column.LOWEST].min(0), out=self._lowest)
        np.maximum(self._highest, extremes[..., Column.HIGHEST].max(0), out=self._highest)
        if self._classes is not None:
            values, times = np.unique(extremes[:, 0, Column.LOWEST], return_counts=True)
            self._classes.update(dict(zip(values.tolist(), times.tolist(), strict=True)))
            self._classes = self._classes if len(self._classes) <= _MOST_CLASSES else None

    @np.errstate(over="ignore", invalid="ignore")
    def _combine(self, before: Indices, added: Indices, values: Indices, figures: Array) -> None:
        means, squares = figures[..., Column.TOTAL], figures[..., Column.SPREAD]
        mean = (values * means).sum(0) / np.maximum(added, 1)
        within = (squares + values * (means - mean) ** 2).sum(0)
        apart, share = mean - self._mean, added / np.maximum(before + added, 1)
        self._mean += apart * share
        self._squares += within + apart**2 * before * share

    def result(self) -> FieldStatistics:
        """Return what is known. Channels without a finite value have no mean, deviation and extremes: NaN."""
        finite, nan, infinite = self._counts
        mean, std = self._exact_moments() if self._exact else (self._mean, np.sqrt(self._squares / np.maximum(finite, 1)))
        lowest, highest = self._lowest.astype(np.float64), self._highest.astype(np.float64)
        same = self._lowest == self._highest  # where all values are one, rounding must not make a deviation of it
        mean, std, lowest, highest = (
            np.where(finite > 0, values, np.nan) for values in (np.where(same, lowest, mean), np.where(same, 0.0, std), lowest, highest)
        )
        return FieldStatistics(
            name=self._leaf.name,
            dtype=self._leaf.dtype.name,
            shapes=dict(self._shapes.most_common()),
            channels=len(finite) if self._dimensions >= 3 else None,
            count=finite + nan + infinite,
            nan=nan,
            infinite=infinite,
            mean=mean,
            std=std,
            minimum=lowest,
            maximum=highest,
            labels=None if self._classes is None else dict(sorted(self._classes.items())),
        )

    def _exact_moments(self) -> tuple[Array, Array]:
        totals, squares = self._sums
        mean, std = np.zeros(len(totals)), np.zeros(len(totals))
        for channel, count in enumerate(self._counts[0].tolist()):
            if count:
                mean[channel] = Fraction(totals[channel], count)
                std[channel] = float(Fraction(squares[channel] * count - totals[channel] ** 2, count**2)) ** 0.5
        return mean, std


def _neutral_extremes(leaf: Leaf, channels: int) -> tuple[Array, Array]:
    """Return a lowest and a highest value for each channel that any value replaces, of the kind that the words of `leaf` hold."""
    if leaf.dtype.kind not in "biu":
        return np.full(channels, np.inf), np.full(channels, -np.inf)
    limits = np.iinfo(np.int64 if leaf.dtype.kind == "i" else np.uint64)
    return np.full(channels, limits.max, limits.dtype), np.full(channels, limits.min, limits.dtype)


def _exact_sum(column: Indices) -> Any:
    """Return the sums over all rows as Python's integers, which can't overflow: of the two halves of each word."""
    high, low = column >> _HALF_WORD, column & (2**_HALF_WORD - 1)
    return high.sum(0).astype(object) * 2**_HALF_WORD + low.sum(0).astype(object)
