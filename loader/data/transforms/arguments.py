"""Arguments of transforms: numbers and dtypes, checked when a transform is made."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt

from loader.data.spec import Array, as_dtype, check_dtype
from loader.errors import ConfigError


def is_whole(value: object) -> bool:
    """Whether it is a whole number, other than a bool."""
    return isinstance(value, Integral) and not isinstance(value, bool | np.bool_)


def number_of(value: Any, name: str) -> float:
    """Return one finite number. Raises ConfigError for anything else."""
    number = value[()] if isinstance(value, np.ndarray) and not value.shape else value
    if not isinstance(number, Real) or isinstance(number, bool) or not math.isfinite(number):
        arrays = ", or use Normalize, which takes arrays" if isinstance(value, np.ndarray | list | tuple) else ""
        raise ConfigError(f"{name}={value!r}; give one finite number{arrays}")
    return float(number)


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
