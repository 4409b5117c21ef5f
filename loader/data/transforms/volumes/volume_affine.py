"""Volumes that are turned, tilted, shifted, sheared and zoomed: the only import of SciPy here."""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from loader.data.spec import Array, Leaf
from loader.data.transforms.leaf_transform import LeafTransform
from loader.errors import ConfigError

ORDERS = {"nearest": 0, "linear": 1, "cubic": 3}
MODES = {"constant": "grid-constant", "nearest": "nearest", "reflect": "reflect", "wrap": "grid-wrap"}

_DTYPES = ("uint8", "uint16", "int16", "float32", "float64")


class VolumeAffine(LeafTransform):
    """What `Affine` does to volumes, channel by channel, by SciPy's `affine_transform`.

    Args:
        fill: as for `Affine`.
        value: as there.
        interpolation: as there; `"cubic"` is a spline of order 3.
    """

    def __init__(self, fill: str, value: float, interpolation: str) -> None:
        self._mode, self._value, self._order = MODES[fill], value, ORDERS[interpolation]

    def open(self) -> None:
        importlib.import_module("scipy.ndimage")

    def result(self, leaf: Leaf) -> Leaf:
        if 0 in leaf.shape:
            raise ConfigError(f"Affine: {leaf} is a volume without values")
        if leaf.dtype.name not in _DTYPES:
            raise ConfigError(f"Affine: {leaf}; it takes {', '.join(_DTYPES)}. What to do: put a Cast before it, such as Cast('float32')")
        if importlib.util.find_spec("scipy") is None:
            raise ConfigError("Affine needs SciPy for volumes, not installed here. What to do: pip install 'npy-loader[volume]'")
        return leaf

    def apply(self, rows: Array, out: Array, draws: Sequence[Any]) -> None:
        from scipy import ndimage

        for row, target, drawn in zip(rows, out, draws, strict=True):
            matrix, offset = volume_matrix(row.shape[:3], drawn)
            for channel in range(row.shape[3]):
                made = target[..., channel]
                ndimage.affine_transform(row[..., channel], matrix, offset, output=made, order=self._order, mode=self._mode, cval=self._value)


def volume_matrix(shape: Sequence[int], drawn: Sequence[float]) -> tuple[Array, Array]:
    """Return the matrix and the offset that lead from a place (depth, height, width) in the result to the one where its value is taken from.

    Forwards, about the middle: the volume is zoomed, then sheared and turned in the plane of height and width as a picture is, then tilted about the
    axis of the width, then about that of the height, then shifted.

    Args:
        shape: depth, height and width.
        drawn: as `Affine.draw` returns it.
    """
    rotation, down, right, shear, tall, wide, nod, swing, deep, thick = drawn
    turned = _turn(rotation, 2, 1) @ np.array([[1, 0, 0], [0, 1, 0], [0, shear, 1]]) @ np.diag([thick, tall, wide])
    forwards = _turn(swing, 2, 0) @ _turn(nod, 1, 0) @ turned
    sizes = np.array(shape, np.float64)
    middle = (sizes - 1) / 2
    backwards = np.linalg.inv(forwards)
    return backwards, middle - backwards @ (middle + sizes * (deep, down, right))


def _turn(degrees: float, first: int, second: int) -> Array:
    """Return the matrix that turns the axis `second` towards the axis `first`."""
    angle = math.radians(degrees)
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = math.cos(angle)
    matrix[first, second], matrix[second, first] = math.sin(angle), -math.sin(angle)
    return matrix
