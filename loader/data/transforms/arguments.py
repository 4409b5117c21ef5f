"""Arguments of transforms: numbers and dtypes, checked when a transform is made."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt

from loader.data.spec import Array, Leaf, as_dtype, check_dtype
from loader.errors import ConfigError


def is_whole(value: object) -> bool:
    """Whether it is a whole number, other than a bool."""
    return isinstance(value, Integral) and not isinstance(value, bool | np.bool_)


def number_of(value: Any, name: str) -> float:
    """Return one finite number. Raises ConfigError for anything else."""
    number = value[()] if isinstance(value, np.ndarray) and not value.shape else value
    if not isinstance(number, Real) or isinstance(number, bool) or not math.isfinite(number):
        raise ConfigError(f"{name}={value!r}; give one finite number")
    return float(number)


def positive_of(value: Any, name: str) -> float:
    """Return one finite number above 0. Raises ConfigError for anything else."""
    number = number_of(value, name)
    if number <= 0:
        raise ConfigError(f"{name}={value!r}; give a number above 0")
    return number


def count_of(value: Any, name: str) -> int:
    """Return a whole number from 1. Raises ConfigError for anything else."""
    if not is_whole(value) or value < 1:
        raise ConfigError(f"{name}={value!r}; give a whole number, 1 or more")
    return int(value)


def range_of(value: Any, name: str, around: float = 0.0) -> tuple[float, float]:
    """Return what a random number is drawn from: `(around - value, around + value)` for one number, else `value` itself, a pair (low, high)."""
    if isinstance(value, tuple | list):
        if len(value) != 2:
            raise ConfigError(f"{name}={value!r}; give a number, or a pair (low, high)")
        low, high = (number_of(end, name) for end in value)
        if low > high:
            raise ConfigError(f"{name}={value!r}; the lower end comes first")
        return low, high
    width = number_of(value, name)
    if width < 0:
        raise ConfigError(f"{name}={value!r}; give a number that is not negative, or a pair (low, high)")
    return around - width, around + width


def positive_pair_of(value: Any, name: str) -> tuple[float, float]:
    """Return a pair (low, high) of numbers above 0. Raises ConfigError for anything else."""
    if not isinstance(value, tuple | list):
        raise ConfigError(f"{name}={value!r}; give a pair (low, high)")
    low, high = range_of(value, name)
    if low <= 0:
        raise ConfigError(f"{name}={value!r}; both must be above 0")
    return low, high


def shares_of(value: Any, name: str) -> tuple[float, float]:
    """Return a pair (low, high) of shares of an area. Raises ConfigError for anything else."""
    low, high = positive_pair_of(value, name)
    if high > 1:
        raise ConfigError(f"{name}={value!r}; a part has at most the whole area, 1")
    return low, high


def probability_of(value: Any, name: str) -> float:
    """Return a number from 0 to 1. Raises ConfigError for anything else."""
    probability = number_of(value, name)
    if not 0 <= probability <= 1:
        raise ConfigError(f"{name}={probability}; give a probability from 0 to 1")
    return probability


def shape_of(value: Any, name: str, axes: int | None = None) -> tuple[int, ...]:
    """Return a shape. Raises ConfigError for anything but positive whole numbers, as many as there are `axes`.

    One number is one axis; or, where `axes` are given, a square or cube.
    """
    sizes = (value,) * (axes or 1) if is_whole(value) else value
    valid = isinstance(sizes, tuple | list) and len(sizes) > 0 and all(is_whole(size) and size > 0 for size in sizes)
    if not valid or (axes is not None and len(sizes) != axes):
        wanted = "positive whole numbers, such as (224, 224)" if axes is None else "(height, width), or one number for a square"
        raise ConfigError(f"{name}={value!r}; give {wanted}")
    return tuple(int(size) for size in sizes)


def choice_of(value: Any, choices: Iterable[str], name: str) -> str:
    """Return one of `choices`. Raises ConfigError for anything else."""
    names = list(choices)
    if not isinstance(value, str) or value not in names:
        raise ConfigError(f"{name}={value!r}; must be one of {', '.join(map(repr, names))}")
    return value


def numbers_of(values: npt.ArrayLike, dtype: np.dtype[Any], name: str) -> Array:
    """Return a number or an array of them. Raises ConfigError for anything else."""
    try:
        return np.asarray(values, dtype)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name}={values!r}; give a number, or an array such as one number per channel: {error}") from None


def float_dtype(dtype: npt.DTypeLike, name: str) -> np.dtype[Any]:
    """Return a float dtype. Raises ConfigError for anything else."""
    result = number_dtype(dtype, name)
    if result.kind != "f":
        raise ConfigError(f"{name}: dtype must be a float type, not {result}")
    return result


def number_dtype(dtype: npt.DTypeLike, name: str) -> np.dtype[Any]:
    """Return a dtype that a batch can hold. Raises ConfigError for anything else."""
    if dtype is None:  # which NumPy takes for float64
        raise ConfigError(f"{name}: dtype is None; give one, such as 'float32'")
    try:
        result = as_dtype(dtype)
        check_dtype(result, f"what {name} makes")
    except (TypeError, ModuleNotFoundError) as error:
        raise ConfigError(f"{name}: {error}") from error
    return result


def check_fits(value: float, leaf: Leaf, name: str) -> None:
    """Raise ConfigError if an array can't hold a value: a fraction or a number out of range, in an array of integers."""
    kind = leaf.dtype.kind
    if kind == "f":
        return
    low, high = (0, 1) if kind == "b" else (np.iinfo(leaf.dtype).min, np.iinfo(leaf.dtype).max) if kind in "iu" else (-math.inf, math.inf)
    if not low <= value <= high or (kind != "c" and value != int(value)):
        raise ConfigError(f"{name}={value:g} does not fit {leaf}; give a whole number from {low} to {high}, or put a Cast before it")
