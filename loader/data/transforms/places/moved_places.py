"""Boxes and key points that are moved as the picture is in which they lie."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from loader.data.spec import PART_NAMES, Array, Leaf
from loader.data.transforms.leaf_transform import LeafTransform
from loader.errors import ConfigError

Matrix = Sequence[Sequence[float]]
"""Two rows of three numbers: takes `(x, y, 1)` to the new `(x, y)`. The pixel in column c and row r lies between c and c + 1, r and r + 1."""

Size = tuple[int, int]
"""Height and width."""

UNMOVED: Matrix = ((1, 0, 0), (0, 1, 0))


class MovedPlaces(LeafTransform):
    """Does to places in a picture what another transform does to the picture.

    Args:
        name: of the other one.
        motion: from what that one has drawn for a sample to the matrix that it moves the picture by.
        size: of the picture that comes out.
    """

    numbers: int

    def __init__(self, name: str, motion: Callable[[Any], Matrix], size: Size) -> None:
        self._name = name
        self._motion = motion
        self._size = size

    def result(self, leaf: Leaf) -> Leaf:
        if not leaf.shape or leaf.shape[-1] != self.numbers:
            raise ConfigError(f"{self._name}: {leaf} {self.wanted}")
        if leaf.dtype.kind != "f":
            field = leaf.key or PART_NAMES[leaf.part]
            raise ConfigError(f"{self._name}: {leaf} can't hold fractions of a pixel. What to do: put Cast('float32', fields={field!r}) before it")
        return leaf

    def apply(self, rows: Array, out: Array, draws: Sequence[Any]) -> None:
        matrices = np.array([self._motion(drawn) for drawn in (draws or [None])], np.float64)
        places = rows.reshape(len(rows), -1, self.numbers).astype(np.float64)
        with np.errstate(invalid="ignore"):
            made = self.moved(np.moveaxis(places, -1, 0), np.moveaxis(matrices, 0, -1)[..., None])
        out[...] = np.moveaxis(made, 0, -1).reshape(rows.shape)

    @property
    @abstractmethod
    def wanted(self) -> str:
        """What the arrays have to be, in words."""

    @abstractmethod
    def moved(self, places: Array, matrices: Array) -> Array:
        """Return the moved places.

        Args:
            places: of shape `(numbers, rows, places)`.
            matrices: of shape `(2, 3, rows or 1, 1)`.
        """


class MovedBoxes(MovedPlaces):
    """Boxes (left, top, right, bottom): each becomes the smallest upright one around its moved corners, cut at the edges of the picture."""

    numbers = 4
    wanted = "does not hold boxes, (..., 4): left, top, right, bottom"

    def moved(self, places: Array, matrices: Array) -> Array:
        width, height = self._size[::-1]
        left, top, right, bottom = places
        (a, b, c), (d, e, f) = matrices
        ends = [(a * left, a * right, b * top, b * bottom, c, width), (d * left, d * right, e * top, e * bottom, f, height)]
        (x, far_x), (y, far_y) = (
            [np.clip(choose(p, q) + choose(r, s) + shift, 0, limit) for choose in (np.minimum, np.maximum)] for p, q, r, s, shift, limit in ends
        )
        made = np.where((x < far_x) & (y < far_y), np.stack([x, y, far_x, far_y]), 0)
        return np.where((left < right) & (top < bottom), made, places)


class MovedPoints(MovedPlaces):
    """Points (column, row), whole numbers of which are the middle of a pixel. One that leaves the picture becomes (-1, -1)."""

    numbers = 2
    wanted = "does not hold points, (..., 2): column, row"

    def moved(self, places: Array, matrices: Array) -> Array:
        column, row = places
        (a, b, c), (d, e, f) = matrices
        x, y = a * (column + 0.5) + b * (row + 0.5) + c, d * (column + 0.5) + e * (row + 0.5) + f
        height, width = self._size
        made = np.where((x >= 0) & (x < width) & (y >= 0) & (y < height), np.stack([x, y]) - 0.5, -1)
        missing = np.isnan(column) | np.isnan(row) | ((column == -1) & (row == -1))
        return np.where(missing, places, made)
