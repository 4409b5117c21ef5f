"""Transforms of values, for arrays of any shape. Casting and arithmetic are one pass over the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from loader.data.spec import Array, Leaf
from loader.data.transforms.arguments import float_dtype, is_whole, number_dtype, number_of, numbers_of
from loader.data.transforms.leaf_transform import Fields, LeafTransform, RowError
from loader.errors import ConfigError

if TYPE_CHECKING:
    from loader.data.statistics.statistics import Statistics


class Rescale(LeafTransform):
    """Compute `x * scale + offset`, as `dtype`. For images, usually `Rescale(1 / 255)`.

    Args:
        scale: factor, applied first.
        offset: added to the product.
        dtype: of the result and of the calculation.
        fields: the arrays to change.
    """

    def __init__(self, scale: float, offset: float = 0.0, dtype: npt.DTypeLike = np.float32, fields: Fields = "x") -> None:
        super().__init__(fields)
        if isinstance(scale, tuple | list) or isinstance(offset, tuple | list) or np.ndim(scale) or np.ndim(offset):
            raise ConfigError(f"Rescale: scale={scale!r}, offset={offset!r}; give one finite number for each, or use Normalize, which takes arrays")
        self.scale = number_of(scale, "Rescale: scale")
        self.offset = number_of(offset, "Rescale: offset")
        self.dtype = float_dtype(dtype, "Rescale")

    def result(self, leaf: Leaf) -> Leaf:
        return _numeric(leaf, self, self.dtype)

    def apply(self, rows: Array, out: Array, draws: Sequence[Any]) -> None:
        np.multiply(rows, self.dtype.type(self.scale), out=out, dtype=self.dtype, casting="unsafe")
        if self.offset:
            np.add(out, self.dtype.type(self.offset), out=out)


class Normalize(LeafTransform):
    """Compute `(x - mean) / std`, as `dtype`. `mean` and `std` are numbers, or arrays that broadcast with a sample, such as one value per channel.

    Args:
        mean: subtracted.
        std: divided by; no element may be zero.
        dtype: of the result and of the calculation.
        fields: the arrays to change.
    """

    def __init__(self, mean: npt.ArrayLike, std: npt.ArrayLike, dtype: npt.DTypeLike = np.float32, fields: Fields = "x") -> None:
        super().__init__(fields)
        self.dtype = float_dtype(dtype, "Normalize")
        self.mean = numbers_of(mean, self.dtype, "Normalize: mean")
        self.std = numbers_of(std, self.dtype, "Normalize: std")
        if not np.all(np.isfinite(self.mean)) or not np.all(np.isfinite(self.std)) or not np.all(self.std):
            raise ConfigError(f"Normalize: mean must be finite, std finite and not zero; mean={self.mean}, std={self.std}")

    @classmethod
    def from_statistics(cls, statistics: Statistics, dtype: npt.DTypeLike = np.float32, fields: str = "x") -> Normalize:
        """Return the transform that gives values mean 0 and deviation 1, per channel if there are channels.

        Args:
            statistics: of `source.statistics()`: of the values as they are when this transform gets them.
            dtype: of the result and of the calculation.
            fields: the array to change, and whose statistics are meant: a part of one array, or a key of a dict.

        Raises:
            ConfigError: there is no such array, or several; or a channel has no two different values, and so no deviation to divide by.
        """
        from loader.data.statistics.statistics import Statistics

        if not isinstance(statistics, Statistics):
            raise ConfigError(f"Normalize: statistics is of type {type(statistics).__name__}; give what source.statistics() returned")
        found = statistics[fields]
        flat = np.flatnonzero(~(found.std > 0)).tolist()
        if flat:
            where = found.name if found.channels is None else f"channel {flat[0]} of {found.name}"
            raise ConfigError(
                f"Normalize: all values of {where} are {found.mean[flat[0]]:g}, so there is no deviation to divide by. "
                "Leave it out of the data, or give Normalize(mean, std) with a std of 1 there"
            )
        whole = found.channels is None
        return cls(found.mean[0] if whole else found.mean, found.std[0] if whole else found.std, dtype, fields)

    def result(self, leaf: Leaf) -> Leaf:
        try:
            shape = np.broadcast_shapes(leaf.shape, self.mean.shape, self.std.shape)
        except ValueError:
            shape = None
        if shape != leaf.shape:
            raise ConfigError(f"Normalize: mean {self.mean.shape} and std {self.std.shape} do not fit {leaf}")
        return _numeric(leaf, self, self.dtype)

    def apply(self, rows: Array, out: Array, draws: Sequence[Any]) -> None:
        np.subtract(rows, self.mean, out=out, dtype=self.dtype, casting="unsafe")
        np.divide(out, self.std, out=out)


class Cast(LeafTransform):
    """Convert the values to `dtype`. Floats become integers by truncation towards zero, as in numpy."""

    def __init__(self, dtype: npt.DTypeLike, fields: Fields = "x") -> None:
        super().__init__(fields)
        self.dtype = number_dtype(dtype, "Cast")

    def result(self, leaf: Leaf) -> Leaf:
        if leaf.dtype.kind == "c" and self.dtype.kind not in "cb":
            raise ConfigError(f"Cast: {leaf} to {self.dtype} would drop the imaginary part; split it in a transform of your own")
        return Leaf(leaf.part, leaf.key, leaf.shape, self.dtype)

    def apply(self, rows: Array, out: Array, draws: Sequence[Any]) -> None:
        np.copyto(out, rows, casting="unsafe")


class OneHot(LeafTransform):
    """Turn a class number into a vector of `classes` numbers: a one at its place, and zeros.

    Args:
        classes: number of classes; a label must be a whole number from 0 to `classes - 1`.
        dtype: of the vectors.
        fields: the arrays to change; by default, the labels.
    """

    def __init__(self, classes: int, dtype: npt.DTypeLike = np.float32, fields: Fields = "y") -> None:
        super().__init__(fields)
        if not is_whole(classes) or classes < 1:
            raise ConfigError(f"OneHot: classes={classes!r}; give a whole number, 1 or more")
        self.classes = int(classes)
        self.dtype = number_dtype(dtype, "OneHot")

    def result(self, leaf: Leaf) -> Leaf:
        if leaf.dtype.kind == "c":
            raise ConfigError(f"OneHot: {leaf} can't hold class numbers")
        return Leaf(leaf.part, leaf.key, (*leaf.shape, self.classes), self.dtype)

    def apply(self, rows: Array, out: Array, draws: Sequence[Any]) -> None:
        with np.errstate(invalid="ignore"):
            numbers = rows.astype(np.int64)
        wrong = (numbers != rows) | (numbers < 0) | (numbers >= self.classes)
        if wrong.any():
            label = rows[wrong].flat[0]
            hint = " (class numbers begin at 0)" if label == self.classes else ""
            problem = f"the label is {label}, not a whole number from 0 to {self.classes - 1}{hint}"
            raise RowError(int(np.argwhere(wrong)[0][0]), f"OneHot({self.classes}): {problem}")
        out[...] = 0
        np.put_along_axis(out, numbers[..., None], 1, axis=-1)


def _numeric(leaf: Leaf, transform: LeafTransform, dtype: np.dtype[Any]) -> Leaf:
    if leaf.dtype.kind == "c":
        raise ConfigError(f"{type(transform).__name__}: {leaf} is complex; split it in a transform of your own")
    return Leaf(leaf.part, leaf.key, leaf.shape, dtype)
