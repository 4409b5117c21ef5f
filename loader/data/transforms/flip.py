"""Mirror images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from loader.data.spec import Array, Leaf
from loader.data.transforms.arguments import is_whole, probability_of
from loader.data.transforms.leaf_transform import Change, Fields, change_each
from loader.data.transforms.moving import MovingTransform
from loader.data.transforms.opencv import flip_of, import_for_flips
from loader.data.transforms.places.moved_places import UNMOVED, Matrix
from loader.data.transforms.volumes.volume import is_volume
from loader.errors import ConfigError

_DIRECTIONS = ("depth", "vertical", "horizontal")  # the first three axes of a volume


class Flip(MovingTransform):
    """Mirror each sample with probability `p`. All `fields` of a sample are mirrored together, so an image and its mask stay aligned.

    Boxes and key points are moved as all transforms do it that have these arguments:

    - A box is (left, top, right, bottom), in pixels from the edge: `picture[top:bottom, left:right]` is inside. It becomes the smallest upright box
      around its moved corners, cut at the edges of the picture. One that gets out of the picture becomes (0, 0, 0, 0).
    - A point is (column, row), in whole numbers for the middle of a pixel: the one at `picture[row, column]`. One that gets out of the picture
      becomes (-1, -1).
    - Each sample has as many as the others. Rows that only fill up stay as they are: boxes without an area or with NaN, such as (-1, -1, -1, -1);
      points (-1, -1) or with NaN. What became of a box or a point that got out fills up from then on, too.

    Args:
        direction: `"horizontal"` mirrors the width, `"vertical"` the height, of arrays `(height, width, channels)` or `(height, width)`, and of
            volumes `(depth, height, width, channels)`, of which `"depth"` mirrors the depth; for any other shape, an int: the axis of a sample.
        p: probability.
        fields: the arrays to change.
        boxes: arrays of boxes in the pictures: float, (..., 4).
        points: arrays of points in the pictures: float, (..., 2).
    """

    random = True

    def __init__(
        self,
        direction: Literal["horizontal", "vertical", "depth"] | int = "horizontal",
        p: float = 0.5,
        fields: Fields = "x",
        boxes: Fields = (),
        points: Fields = (),
    ) -> None:
        super().__init__(fields, boxes=boxes, points=points)
        named = isinstance(direction, str) and direction in _DIRECTIONS
        if not named and not is_whole(direction):
            raise ConfigError(f"Flip: direction={direction!r}; give 'horizontal', 'vertical', 'depth' or an axis; for two directions, use two Flips")
        self.direction = direction if isinstance(direction, str) else int(direction)
        self.p = probability_of(p, "Flip: p")

    def result(self, leaf: Leaf) -> Leaf:
        dimensions = len(leaf.shape)
        if self.direction == "depth" and not is_volume(leaf):
            raise ConfigError(f"Flip: {leaf} is not a volume, (depth, height, width, channels); give the axis to mirror")
        if isinstance(self.direction, str) and dimensions not in (2, 3, 4):
            raise ConfigError(
                f"Flip: {leaf} is not an image, (height, width) or (height, width, channels), nor a volume, (depth, height, width, channels); "
                "give the axis to mirror"
            )
        if isinstance(self.direction, int) and not -dimensions <= self.direction < dimensions:
            raise ConfigError(f"Flip: {leaf} has no axis {self.direction}")
        return leaf

    def draw(self, rng: np.random.Generator) -> bool:
        return bool(rng.random() < self.p)

    def open(self) -> None:
        import_for_flips()

    def apply(self, rows: Array, out: Array, draws: Sequence[Any]) -> None:
        if (change := self.change(Leaf(0, None, rows.shape[1:], rows.dtype))) is not None:
            change_each(change, rows, out, draws)
            return
        axis = self._axis(rows.ndim - 1)
        if rows.flags.c_contiguous and rows.size:
            rows, out = as_items(rows, axis), as_items(out, axis)
        for row, mirrored, target in zip(rows, draws, out, strict=True):
            target[...] = np.flip(row, axis) if mirrored else row

    def change(self, leaf: Leaf) -> Change | None:
        flip = flip_of(leaf, self._axis(len(leaf.shape)))
        if flip is None:
            return None

        def mirror(row: Array, out: Array, drawn: bool) -> Array:
            if not drawn:
                return row
            flip(row, out)
            return out

        return mirror

    def _axis(self, dimensions: int) -> int:
        if isinstance(self.direction, int):
            return self.direction % dimensions
        return _DIRECTIONS.index(self.direction) - (dimensions != 4)

    def motion(self, shape: tuple[int, ...], drawn: bool) -> Matrix:
        axis = self._axis(len(shape))
        if not drawn or axis > 1:
            return UNMOVED
        return ((1, 0, 0), (0, -1, shape[0])) if axis == 0 else ((-1, 0, shape[1]), (0, 1, 0))


def as_items(rows: Array, axis: int) -> Array:
    """Return contiguous rows with all that lies behind `axis`, such as the channels of a pixel, as one item.

    NumPy would copy backwards number by number; items are copied four to nine times as fast (docs/measurements.md).
    """
    behind = rows.shape[axis + 2 :]
    if not behind:
        return rows
    return rows.reshape(*rows.shape[: axis + 2], -1).view(f"V{rows.itemsize * math.prod(behind)}")[..., 0]
