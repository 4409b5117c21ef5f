"""Pictures that are made lighter or darker at random, or of more or less contrast."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from loader.data.spec import Array, Leaf
from loader.data.transforms.arguments import range_of
from loader.data.transforms.leaf_transform import Change, Fields
from loader.data.transforms.opencv import OpenCvTransform
from loader.errors import ConfigError

Range = float | tuple[float, float]

_LEVELS = np.arange(256, dtype=np.float64)[:, None]

# All bytes as pictures of one channel, and of three: one that OpenCV takes many pixels of at a time, and one of which it takes each by itself.
_BYTES = {
    channels: (np.ascontiguousarray(pairs[:, :1]), pairs[:, :1])
    for channels in (1, 3)
    for pairs in [np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None, None], (256, 2, channels)).copy()]
}
_SCALED_BYTES = 32 * 1024


class _Factor(OpenCvTransform):
    """Computes `x * factor + offset` with a factor drawn for each sample and an offset for each channel.

    Bytes are looked up in a table, which is rounded and kept within 0 to 255. A large picture is computed, many bytes at a time, which is faster
    (docs/measurements.md); if in float32 any of the 256 comes out otherwise than in the table, it is looked up, too. Floats may have any range, so
    they are not kept within one.
    """

    random = True
    dtypes = ("uint8", "float32", "float64")

    def __init__(self, factor: Range, fields: Fields) -> None:
        super().__init__(fields)
        name = type(self).__name__
        self.factor = range_of(factor, f"{name}: factor", around=1.0)
        if self.factor[0] < 0:
            raise ConfigError(f"{name}: factor={factor!r}; give a number up to 1, or a pair (low, high) of factors that are not negative")

    def draw(self, rng: np.random.Generator) -> float:
        low, high = self.factor
        return low + (high - low) * rng.random()

    @abstractmethod
    def offsets(self, cv2: Any, row: Array, factor: float) -> Array | None:
        """Return what is added in each channel of a picture; None for nothing."""

    def change_by(self, cv2: Any, leaf: Leaf) -> Change:
        return partial(self._change_bytes if leaf.dtype == np.uint8 else self._change_floats, cv2)

    def _change_bytes(self, cv2: Any, row: Array, out: Array, factor: float) -> Array:
        offsets = self.offsets(cv2, row, factor)
        table = _table(factor, offsets)
        scale = _scaling(cv2, factor, offsets) if row.size >= _SCALED_BYTES else None
        if scale is not None and all(scale(levels, None).tobytes() == table.tobytes() for levels in _BYTES[table.shape[1]]):
            scale(row, out)
        else:
            cv2.LUT(row, table.reshape(1, 256, -1), dst=out)
        return out

    def _change_floats(self, cv2: Any, row: Array, out: Array, factor: float) -> Array:
        offsets = self.offsets(cv2, row, factor)
        np.multiply(row, row.dtype.type(factor), out=out)
        if offsets is not None:
            lines = out.reshape(len(out), -1)
            np.add(lines, np.tile(offsets.astype(row.dtype), row.shape[1]), out=lines)  # adding three numbers to each pixel is slow in NumPy
        return out


class Brightness(_Factor):
    """Multiply each picture by a random factor. For pictures (height, width) or (height, width, channels), as uint8, float32 or float64.

    uint8 is rounded and kept within 0 to 255, floats are not kept within any range. Needs OpenCV: the extra `image`.

    Args:
        factor: 0.2 draws from 0.8 to 1.2; or a pair (low, high). 0 is black.
        fields: the arrays to change; all of a sample by the same factor.
    """

    def __init__(self, factor: Range, fields: Fields = "x") -> None:
        super().__init__(factor, fields)

    def offsets(self, cv2: Any, row: Array, factor: float) -> None:
        return None


class Contrast(_Factor):
    """Move each value away from the mean of its channel in its picture, or towards it, by a random factor: `(x - mean) * factor + mean`.

    For pictures (height, width) or (height, width, channels), as uint8, float32 or float64. uint8 is rounded and kept within 0 to 255, floats are
    not kept within any range. Needs OpenCV: the extra `image`.

    Args:
        factor: 0.2 draws from 0.8 to 1.2; or a pair (low, high). 0 is a uniform colour.
        fields: the arrays to change; all of a sample by the same factor.
    """

    def __init__(self, factor: Range, fields: Fields = "x") -> None:
        super().__init__(factor, fields)

    def offsets(self, cv2: Any, row: Array, factor: float) -> Array:
        channels = row.shape[2] if row.ndim == 3 else 1
        return np.array(cv2.mean(row)[:channels]) * (1 - factor)


def _table(factor: float, offsets: Array | None) -> Array:
    """Return what becomes of each byte, with a column for each offset."""
    levels = _LEVELS * factor
    if offsets is not None:
        levels = levels + offsets
    np.rint(levels, out=levels)
    np.maximum(levels, 0, out=levels)
    np.minimum(levels, 255, out=levels)
    return levels.astype(np.uint8)


def _scaling(cv2: Any, factor: float, offsets: Array | None) -> Callable[[Array, Array | None], Array] | None:
    """Return what computes what `_table` holds, called as `scale(picture, out)`; None if that is not faster."""
    if offsets is None:
        return lambda picture, out: cv2.convertScaleAbs(picture, dst=out, alpha=factor)
    if len(offsets) != 3:
        return None
    matrix = np.array([[factor, 0, 0, offsets[0]], [0, factor, 0, offsets[1]], [0, 0, factor, offsets[2]]])
    return lambda picture, out: cv2.transform(picture, matrix, dst=out)
