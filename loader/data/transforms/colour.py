"""Pictures that are made lighter or darker at random, or of more or less contrast."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from loader.data.spec import Array
from loader.data.transforms.arguments import range_of
from loader.data.transforms.leaf_transform import Fields
from loader.data.transforms.opencv import OpenCvTransform
from loader.errors import ConfigError

Range = float | tuple[float, float]

_BYTES = np.arange(256, dtype=np.float64)[:, None]


class _Factor(OpenCvTransform):
    """Computes `x * factor + offset` with a factor drawn for each sample and an offset for each channel.

    Bytes are looked up in a table, which is rounded and kept within 0 to 255. Floats may have any range, so they are not kept within one.
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

    def run(self, cv2: Any, rows: Array, out: Array, draws: Sequence[float]) -> None:
        for row, target, factor in zip(rows, out, draws, strict=True):
            offsets = self.offsets(cv2, row, factor)
            if row.dtype == np.uint8:
                made = _BYTES * factor if offsets is None else _BYTES * factor + offsets
                table = np.clip(np.rint(made), 0, 255).astype(np.uint8)
                cv2.LUT(row, table.reshape(1, 256, -1), dst=target)
                continue
            np.multiply(row, row.dtype.type(factor), out=target)
            if offsets is not None:
                lines = target.reshape(len(target), -1)
                np.add(lines, np.tile(offsets.astype(row.dtype), row.shape[1]), out=lines)  # adding three numbers to each pixel is slow in NumPy


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
