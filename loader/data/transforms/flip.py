"""Mirror images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from loader.data.spec import Array, Leaf
from loader.data.transforms.arguments import is_whole, probability_of
from loader.data.transforms.leaf_transform import Fields, LeafTransform
from loader.errors import ConfigError


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
        if not named and not is_whole(direction):
            raise ConfigError(f"Flip: direction={direction!r}; give 'horizontal', 'vertical' or an axis; for both directions, use two Flips")
        self.direction = direction if isinstance(direction, str) else int(direction)
        self.p = probability_of(p, "Flip: p")

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
        if rows.flags.c_contiguous and rows.size:
            rows, out = _as_items(rows, axis), _as_items(out, axis)
        for row, mirrored, target in zip(rows, draws, out, strict=True):
            target[...] = np.flip(row, axis) if mirrored else row

    def _axis(self, dimensions: int) -> int:
        if isinstance(self.direction, int):
            return self.direction % dimensions
        return 0 if self.direction == "vertical" else 1


def _as_items(rows: Array, axis: int) -> Array:
    """Return contiguous rows with all that lies behind `axis`, such as the channels of a pixel, as one item.

    NumPy would copy backwards number by number; items are copied four to nine times as fast (docs/measurements.md).
    """
    behind = rows.shape[axis + 2 :]
    if not behind:
        return rows
    return rows.reshape(*rows.shape[: axis + 2], -1).view(f"V{rows.itemsize * math.prod(behind)}")[..., 0]
