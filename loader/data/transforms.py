"""Transforms: what happens to a sample between its file and the batch.

A transform is any callable `f(sample, rng) -> sample`. Those in this file also work on many rows at once, from an array to an array, so that
the last one writes straight into the slot: casting and scaling are one pass over the data.

Each takes `fields`: names of parts (`"x"`, `"y"`, `"sample_weight"`) or of entries of a part's dict (`"image"`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from loader.data.named_arguments import NamedArguments
from loader.data.spec import Array, Leaf, Sample, SampleSpec, as_dtype, check_dtype
from loader.errors import ConfigError

Fields = str | Sequence[str]


class LeafTransform(NamedArguments, ABC):
    """A transform that changes each chosen array separately, many rows at a time.

    A subclass says what an array becomes (`result`), does it (`apply`), and, where it is random, draws once per sample (`draw`), so that
    all chosen arrays of a sample get the same decision.
    """

    random = False

    def __init__(self, fields: Fields) -> None:
        names = (fields,) if isinstance(fields, str) else fields
        if not isinstance(names, Sequence) or not names or not all(isinstance(name, str) for name in names):
            raise ConfigError(
                f"{type(self).__name__}: fields={fields!r}; give names of parts, such as 'x', or of keys in a dict, such as ('image', 'mask')"
            )
        self.fields: tuple[str, ...] = tuple(names)

    @abstractmethod
    def result(self, leaf: Leaf) -> Leaf:
        """Return what `leaf` becomes. Raises ConfigError if this transform can't handle it."""

    @abstractmethod
    def apply(self, rows: Array, out: Array, draws: Sequence[Any]) -> None:
        """Write the transformed `rows` to `out`.

        Args:
            rows: of shape `(n, *leaf.shape)`; read-only, may be memory-mapped.
            out: of shape `(n, *result(leaf).shape)`, C-contiguous; does not overlap `rows`.
            draws: what `draw` returned for each row; empty unless `random`.
        """

    def draw(self, rng: np.random.Generator) -> Any:
        """Draw the decision for one sample."""
        return None

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Transform one sample. Same bits as `apply` on many rows."""
        spec = SampleSpec.of(sample)
        leaves = spec.flatten(sample)
        draws = [self.draw(rng)] if self.random else []
        for number in spec.select(self.fields):
            result = self.result(spec.leaves[number])
            out = np.empty((1, *result.shape), result.dtype)
            self.apply(leaves[number][None], out, draws)
            leaves[number] = out[0]
        return spec.unflatten(leaves)

    def __repr__(self) -> str:
        settings = ", ".join(f"{key}={value!r}" for key, value in vars(self).items() if not key.startswith("_"))
        return f"{type(self).__name__}({settings})"


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
        self.scale = _number(scale, "Rescale: scale")
        self.offset = _number(offset, "Rescale: offset")
        self.dtype = _float_dtype(dtype, "Rescale")

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
        self.dtype = _float_dtype(dtype, "Normalize")
        self.mean = _numbers(mean, self.dtype, "Normalize: mean")
        self.std = _numbers(std, self.dtype, "Normalize: std")
        if not np.all(np.isfinite(self.mean)) or not np.all(np.isfinite(self.std)) or not np.all(self.std):
            raise ConfigError(f"Normalize: mean must be finite, std finite and not zero; mean={self.mean}, std={self.std}")

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
        self.dtype = _number_dtype(dtype, "Cast")

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
        if not _is_whole(classes) or classes < 1:
            raise ConfigError(f"OneHot: classes={classes!r}; give a whole number, 1 or more")
        self.classes = int(classes)
        self.dtype = _number_dtype(dtype, "OneHot")

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


class Flip(LeafTransform):
    """Mirror each sample with probability `p`. All `fields` of a sample are mirrored together, so an image and its mask stay aligned.

    Args:
        direction: `"horizontal"` mirrors the width, `"vertical"` the height, of arrays `(height, width, channels)` or `(height, width)`;
            for any other shape, an int: the axis of a sample to mirror.
        p: probability.
        fields: the arrays to change.
    """

    random = True

    def __init__(self, direction: Literal["horizontal", "vertical"] | int = "horizontal", p: float = 0.5, fields: Fields = "x") -> None:
        super().__init__(fields)
        named = isinstance(direction, str) and direction in ("horizontal", "vertical")
        if not named and not _is_whole(direction):
            raise ConfigError(f"Flip: direction={direction!r}; give 'horizontal', 'vertical' or an axis; for both directions, use two Flips")
        self.direction = direction if isinstance(direction, str) else int(direction)
        self.p = _number(p, "Flip: p")
        if not 0 <= self.p <= 1:
            raise ConfigError(f"Flip: p={p}; give a probability from 0 to 1")

    def result(self, leaf: Leaf) -> Leaf:
        dimensions = len(leaf.shape)
        if isinstance(self.direction, str) and dimensions not in (2, 3):
            raise ConfigError(f"Flip: {leaf} is not an image, (height, width) or (height, width, channels); give the axis to mirror")
        if isinstance(self.direction, int) and not -dimensions <= self.direction < dimensions:
            raise ConfigError(f"Flip: {leaf} has no axis {self.direction}")
        return leaf

    def draw(self, rng: np.random.Generator) -> bool:
        return bool(rng.random() < self.p)

    def apply(self, rows: Array, out: Array, draws: Sequence[Any]) -> None:
        axis = self._axis(rows.ndim - 1)
        for row, mirrored, target in zip(rows, draws, out, strict=True):
            target[...] = np.flip(row, axis) if mirrored else row

    def _axis(self, dimensions: int) -> int:
        if isinstance(self.direction, int):
            return self.direction % dimensions
        return 0 if self.direction == "vertical" else 1


class RowError(ValueError):
    """A transform of many rows failed at one of them."""

    def __init__(self, row: int, problem: str) -> None:
        super().__init__(problem)
        self.row = row


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool | np.bool_)


def _number(value: Any, name: str) -> float:
    """Return one finite number. Raises ConfigError for anything else."""
    number = value[()] if isinstance(value, np.ndarray) and not value.shape else value
    if not isinstance(number, Real) or isinstance(number, bool) or not math.isfinite(number):
        arrays = ", or use Normalize, which takes arrays" if isinstance(value, np.ndarray | list | tuple) else ""
        raise ConfigError(f"{name}={value!r}; give one finite number{arrays}")
    return float(number)


def _numbers(values: npt.ArrayLike, dtype: np.dtype[Any], name: str) -> Array:
    """Return a number or an array of them. Raises ConfigError for anything else."""
    try:
        return np.asarray(values, dtype)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name}={values!r}; give a number, or an array such as one number per channel: {error}") from None


def _float_dtype(dtype: npt.DTypeLike, name: str) -> np.dtype[Any]:
    result = _number_dtype(dtype, name)
    if result.kind != "f":
        raise ConfigError(f"{name}: dtype must be a float type, not {result}")
    return result


def _number_dtype(dtype: npt.DTypeLike, name: str) -> np.dtype[Any]:
    if dtype is None:  # which NumPy takes for float64
        raise ConfigError(f"{name}: dtype is None; give one, such as 'float32'")
    try:
        result = as_dtype(dtype)
        check_dtype(result, f"what {name} makes")
    except (TypeError, ModuleNotFoundError) as error:
        raise ConfigError(f"{name}: {error}") from error
    return result


def _numeric(leaf: Leaf, transform: LeafTransform, dtype: np.dtype[Any]) -> Leaf:
    if leaf.dtype.kind == "c":
        raise ConfigError(f"{type(transform).__name__}: {leaf} is complex; split it in a transform of your own")
    return Leaf(leaf.part, leaf.key, leaf.shape, dtype)
