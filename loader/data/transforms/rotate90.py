"""Quarter turns of pictures and volumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from loader.data.spec import Array, Leaf
from loader.data.transforms.arguments import is_whole
from loader.data.transforms.flip import as_items
from loader.data.transforms.leaf_transform import Change, Fields
from loader.data.transforms.moving import MovingTransform
from loader.data.transforms.opencv import OpenCvTransform
from loader.data.transforms.places.moved_places import Matrix
from loader.data.transforms.volumes.volume import is_volume
from loader.errors import ConfigError

_CODES = {1: "ROTATE_90_COUNTERCLOCKWISE", 2: "ROTATE_180", 3: "ROTATE_90_CLOCKWISE"}


class Rotate90(OpenCvTransform, MovingTransform):
    """Turn each picture by a random number of quarter turns. All fields of a sample are turned together, so an image and its mask stay aligned.

    For pictures (height, width) or (height, width, channels) of any dtype of up to 64 bits; these need OpenCV: the extra `image`. And for volumes
    (depth, height, width, channels) of any dtype, which need nothing.

    Args:
        turns: how many quarter turns, counterclockwise, from 0 to 3; each of them is as likely. Without 1 and 3, pictures need not be square.
        fields: the arrays to turn.
        axes: for volumes: the two axes that are turned, the first towards the second, of 0 (depth), 1 (height) and 2 (width). The default turns each
            slice of the volume as if it were a picture.
        boxes: arrays of boxes in the pictures that are turned with them: float, (..., 4), as (left, top, right, bottom). See `Flip`.
        points: arrays of points in the pictures that are turned with them: float, (..., 2), as (column, row). See `Flip`.
    """

    random = True
    volumes = True
    dtypes = (
        *("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
        *("float16", "float32", "float64", "complex64"),
    )

    def __init__(
        self,
        turns: Sequence[int] = (0, 1, 2, 3),
        fields: Fields = "x",
        axes: tuple[int, int] = (1, 2),
        boxes: Fields = (),
        points: Fields = (),
    ) -> None:
        super().__init__(fields, boxes=boxes, points=points)
        valid = isinstance(turns, tuple | list | range) and len(turns) > 0
        if not valid or not all(is_whole(turn) and 0 <= turn <= 3 for turn in turns):
            raise ConfigError(f"Rotate90: turns={turns!r}; give some of (0, 1, 2, 3)")
        self.turns = tuple(int(turn) for turn in turns)
        pair = tuple(axes) if isinstance(axes, tuple | list) else ()
        if len(pair) != 2 or not all(is_whole(axis) and 0 <= axis <= 2 for axis in pair) or pair[0] == pair[1]:
            raise ConfigError(f"Rotate90: axes={axes!r}; give two of 0 (depth), 1 (height) and 2 (width)")
        self.axes = (int(pair[0]), int(pair[1]))

    def result(self, leaf: Leaf) -> Leaf:
        first, second = self.axes if is_volume(leaf) else (0, 1)
        if any(turn % 2 for turn in self.turns) and len(leaf.shape) > 1 and leaf.shape[first] != leaf.shape[second]:
            square = "square" if self.axes == (1, 2) or not is_volume(leaf) else f"of one size along the axes {first} and {second}"
            raise ConfigError(f"Rotate90: {leaf} is not {square}. What to do: put a Crop or Resize before it, or give turns=(0, 2)")
        return leaf if is_volume(leaf) else super().result(leaf)

    def draw(self, rng: np.random.Generator) -> int:
        return self.turns[int(rng.integers(len(self.turns)))]

    def motion(self, shape: tuple[int, ...], drawn: int) -> Matrix:
        height, width = shape[:2]
        return (
            ((1, 0, 0), (0, 1, 0)),
            ((0, 1, 0), (-1, 0, width)),
            ((-1, 0, width), (0, -1, height)),
            ((0, -1, height), (1, 0, 0)),
        )[drawn]

    def apply(self, rows: Array, out: Array, draws: Sequence[int]) -> None:
        if rows.ndim != 5:
            super().apply(rows, out, draws)
            return
        if rows.flags.c_contiguous and rows.size:
            rows, out = as_items(rows, 2), as_items(out, 2)
        for row, target, turns in zip(rows, out, draws, strict=True):
            target[...] = np.rot90(row, turns, self.axes)

    def change(self, leaf: Leaf) -> Change | None:
        return None if is_volume(leaf) else super().change(leaf)

    def change_by(self, cv2: Any, leaf: Leaf) -> Change:
        same_size = np.dtype({1: "u1", 2: "u2", 4: "f4", 8: "f8"}[leaf.dtype.itemsize])  # values are only moved
        codes = {turn: getattr(cv2, name) for turn, name in _CODES.items()}

        def turn(row: Array, out: Array, drawn: int) -> Array:
            if not drawn:
                return row
            cv2.rotate(row.view(same_size), codes[drawn], dst=out.view(same_size))
            return out

        return turn
