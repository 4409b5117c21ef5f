"""The arithmetic of bytes without a header: how many records there are, and what would fit if the given shape does not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt

from loader.data.spec import as_dtype, check_dtype
from loader.errors import ConfigError

_LONGEST_HEADER = 4096  # that is proposed
_SHOWN = 6  # shapes that a message lists
_FARTHEST = 5_000  # how far the length of a proposed axis may be from the given one
_OTHER_DTYPES = ("uint8", "int16", "float32", "float64")


def checked_dtype(dtype: npt.DTypeLike, name: str) -> np.dtype[Any]:
    """Return a dtype as given by a user. Raises ConfigError for one that batches can't hold."""
    if dtype is None:  # which NumPy takes for float64
        raise ConfigError(f"{name}: dtype is None; give one, such as 'float32'")
    try:
        result = as_dtype(dtype)
    except (TypeError, ValueError, ModuleNotFoundError) as error:
        raise ConfigError(f"{name}: dtype={dtype!r} is none ({error}); give one, such as 'float32'. The shape is the argument after it") from error
    try:
        check_dtype(result, "a record")
    except TypeError as error:
        raise ConfigError(f"{name}: {error}") from error
    return result


def checked_shape(shape: int | Sequence[int], name: str, *, open_axis: bool = False) -> tuple[int, ...]:
    """Return a shape as given by a user. Raises ConfigError if it is not one.

    Args:
        shape: whole numbers from 1 up, or a single one.
        name: of the argument, for the error.
        open_axis: one of the numbers may be -1.
    """
    given: Any = (shape,) if isinstance(shape, Integral) else shape
    lengths = tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else (None,)
    if not all(isinstance(length, Integral) and not isinstance(length, bool) for length in lengths):
        raise ConfigError(f"{name}={shape!r}: give a tuple of whole numbers, such as (28, 28); () for single numbers")
    opened = lengths.count(-1) if open_axis else 0
    if opened > 1 or sum(length < 1 for length in lengths) > opened:
        raise ConfigError(f"{name}={shape!r}: the numbers must be 1 or more" + (", and one of them may be -1" if open_axis else ""))
    return tuple(int(length) for length in lengths)


def records_of(size: int, offset: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> int | str:
    """Return how many records a file has, or what is wrong if it has none, or not a whole number of them.

    Args:
        size: of the file, in bytes.
        offset: bytes before the first record.
        dtype: of a record.
        shape: of a record.
    """
    record = dtype.itemsize * math.prod(shape)
    if size == 0:
        return "is empty (0 bytes): perhaps its writing was cut off, or the disk was full"
    if size <= offset:
        return f"has {size:,} bytes, so nothing is left after offset={offset:,}"
    data = size - offset
    count, rest = divmod(data, record)
    if not rest:
        return count
    after = f", {data:,} of them after offset={offset:,}" if offset else ""
    arithmetic = f"a record of shape {shape} and dtype {dtype.name} has {record:,}, and {data:,} = {count:,} × {record:,} + {rest:,}"
    remedy = f"if it begins with a header of {rest:,} bytes, give offset={offset + rest}; " if count and rest <= _LONGEST_HEADER else ""
    proposals = _proposals(_shapes(data, dtype, shape), data, dtype, shape)
    return f"has {size:,} bytes{after}; {arithmetic}. {proposals}. What to do: {remedy}if it was cut off or appended to, write it again"


def shape_of(nbytes: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> tuple[int, ...] | str:
    """Return the shape of one array in `nbytes` bytes, which may have an axis of -1; or what is wrong if it does not fit."""
    if not nbytes:
        return "is empty (0 bytes): perhaps its writing was cut off, or the disk was full"
    known = dtype.itemsize * math.prod(length for length in shape if length != -1)
    if -1 in shape and nbytes % known == 0:
        return tuple(nbytes // known if length == -1 else length for length in shape)
    if nbytes == known and -1 not in shape:
        return shape
    means = f"has {nbytes:,} bytes, but shape {shape} and dtype {dtype.name} mean"
    if -1 in shape:
        return f"{means} a multiple of {known:,}: {nbytes:,} = {nbytes // known:,} × {known:,} + {nbytes % known:,}"
    whole = [fit for axis in range(len(shape)) if (fit := _with_axis(nbytes, dtype, shape, axis)) is not None]
    apart = f"{nbytes - known:,} more" if nbytes > known else f"{known - nbytes:,} fewer"
    return f"{means} {known:,}; it has {apart}. {_proposals(whole, nbytes, dtype, shape)}"


def _with_axis(nbytes: int, dtype: np.dtype[Any], shape: tuple[int, ...], axis: int) -> tuple[int, ...] | None:
    """Return `shape` with one axis so long that all bytes are in one array; None if no length fits."""
    length, rest = divmod(nbytes, dtype.itemsize * math.prod(shape) // shape[axis])
    return None if rest or not length else (*shape[:axis], length, *shape[axis + 1 :])


def _shapes(nbytes: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return shapes of records that fill `nbytes`: the given one with another length of one axis, or a flat one; the nearest first."""
    found: list[tuple[float, tuple[int, ...]]] = []
    for axis, length in enumerate(shape):
        total, rest = divmod(nbytes, dtype.itemsize * math.prod(shape) // length)
        if rest:
            continue
        for other in _divisors_near(total, length):
            found.append((abs(math.log(other / length)), (*shape[:axis], other, *shape[axis + 1 :])))
    numbers, rest = divmod(nbytes, dtype.itemsize)
    if not rest and len(shape) > 1:  # such as a label in front of each image
        found.extend((abs(math.log(other / math.prod(shape))), (other,)) for other in _divisors_near(numbers, math.prod(shape)))
    return [fit for _, fit in sorted(found)]


def _divisors_near(total: int, length: int) -> Iterator[int]:
    """Yield the two nearest divisors of `total` on each side of `length`."""
    below = (other for other in range(length - 1, max(0, length - _FARTHEST), -1) if total % other == 0)
    above = (other for other in range(length + 1, length + _FARTHEST) if total % other == 0)
    for side in (below, above):
        yield from (other for other, _ in zip(side, range(2), strict=False))


def _proposals(shapes: Sequence[tuple[int, ...]], nbytes: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> str:
    """Return in words which shapes fit, and with which dtypes the given shape does."""
    count = math.prod(shape)
    others = [np.dtype(name) for name in _OTHER_DTYPES]
    dtypes = [other.name for other in others if other.itemsize != dtype.itemsize and nbytes % (count * other.itemsize) == 0]
    fits = [f"shape {fit}" for fit in shapes[:_SHOWN]] + ([f"this shape with dtype {' or '.join(dtypes)}"] if dtypes else [])
    if fits:
        return f"What would fit: {', '.join(fits)}"
    odd = f": {nbytes:,} is no multiple of the {dtype.itemsize} bytes of one number" if nbytes % dtype.itemsize else ""
    return f"No shape like this one fits{odd}"
