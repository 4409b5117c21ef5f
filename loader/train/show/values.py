"""What the values of an array are like, over all samples that are shown, and how they become bytes of a picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from loader.data.spec import Array, is_bfloat16

MOST_LEVELS = 32
"""Different values of a mask; more are a picture."""

_BRIGHT = 128.0  # floats up to 255 that reach this are bytes in another dtype
_HEAT = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
_NOT_FINITE = (255, 0, 255)


def as_real(array: Array) -> Array:
    """Return an array of a dtype that NumPy calculates with: the magnitude of complex numbers, float32 for smaller floats."""
    if array.dtype.kind == "c":
        return np.abs(array)
    return array.astype(np.float32) if is_bfloat16(array.dtype) or array.dtype == np.float16 else array


@dataclass(frozen=True)
class Values:
    """The values of a field.

    Attributes:
        low, high, mean: of the finite ones; 0 if there are none.
        nan, infinite: how many are not finite.
        count: of all.
    """

    low: float
    high: float
    mean: float
    nan: int
    infinite: int
    count: int

    @classmethod
    def of(cls, arrays: Iterable[Array]) -> Values:
        """Look at all values of all arrays."""
        low, high, total = np.inf, -np.inf, 0.0
        nan = infinite = count = 0
        for array in arrays:
            count += array.size
            finite = array
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                nan += int(np.isnan(array).sum())
                infinite += int(np.isinf(array).sum())
                finite = array[np.isfinite(array)]
            if finite.size:
                low, high = min(low, float(finite.min())), max(high, float(finite.max()))
                with np.errstate(over="ignore", invalid="ignore"):
                    total += float(finite.sum(dtype=np.float64))
        found = count - nan - infinite
        return cls(low if found else 0.0, high if found else 0.0, total / max(1, found), nan, infinite, count)

    def __str__(self) -> str:
        if not self.count:
            return "empty"
        words = f"{self.low:.4g} to {self.high:.4g}, mean {self.mean:.4g}" if self.low < self.high else f"all {self.low:.4g}"
        if self.nan or self.infinite:
            words = "no finite value" if self.nan + self.infinite == self.count else words
            words += f"; {self.nan:,} NaN, {self.infinite:,} infinite"
        return words


@dataclass(frozen=True)
class Scale:
    """The values that are drawn black and white, or at the bottom and at the top."""

    low: float
    high: float

    def bytes_of(self, array: Array) -> Array:
        """Return values as bytes, 0 to 255."""
        if array.dtype == np.uint8 and (self.low, self.high) == (0, 255):
            return array
        with np.errstate(invalid="ignore", over="ignore"):
            levels = (array.astype(np.float32) - np.float32(self.low)) * np.float32(255 / (self.high - self.low))
        made: Array = np.nan_to_num(levels, nan=0.0, posinf=255.0, neginf=0.0).round().clip(0, 255).astype(np.uint8)
        return made


def scale_of(values: Values, dtype: np.dtype[Any]) -> Scale:
    """Return the scale that values of pictures are probably meant in: 0 to 255, 0 to 1, -1 to 1; else from the least to the greatest."""
    low, high = values.low, values.high
    if low >= 0 and high <= 1:
        return Scale(0, 1)
    if dtype == np.uint8 or (low >= 0 and _BRIGHT <= high <= 255):
        return Scale(0, 255)
    if low >= -1 and high <= 1:
        return Scale(-1, 1)
    return whole_range(values)


def whole_range(values: Values) -> Scale:
    """Return the scale from the least to the greatest value; if they are the same, it is in the middle."""
    low, high = values.low, values.high
    margin = max(1.0, abs(low) * 1e-6) if low == high else 0.0
    return Scale(low - margin, high + margin)


def heat(levels: Array) -> Array:
    """Return bytes as colours, dark blue over green to yellow: `(..., 3)`."""
    places = np.linspace(0, 255, len(_HEAT))
    table = np.stack([np.interp(np.arange(256), places, [colour[channel] for colour in _HEAT]) for channel in range(3)], axis=-1)
    colours: Array = np.rint(table).astype(np.uint8)[levels]
    return colours


def mark_not_finite(pixels: Array, array: Array) -> Array:
    """Return a picture `(height, width, 3)` with those pixels in magenta whose values, `(height, width)` or with channels, are not finite."""
    if array.dtype.kind != "f":
        return pixels
    finite = np.isfinite(array).reshape(*array.shape[:2], -1).all(axis=-1, keepdims=True)
    return np.where(finite, pixels, np.array(_NOT_FINITE, np.uint8))


def levels_of(arrays: Iterable[Array]) -> Array | None:
    """Return the different values of masks, in order; None if they are not whole numbers, or too many different ones."""
    found: Array = np.zeros(0)
    for array in arrays:
        found = np.union1d(found, array)
        if len(found) > MOST_LEVELS or not np.isfinite(found).all() or (found != np.rint(found)).any():
            return None
    return found
