"""Quarter turns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from loader.data.spec import Array, Leaf
from loader.data.transforms.arguments import is_whole
from loader.data.transforms.leaf_transform import Fields
from loader.data.transforms.opencv import OpenCvTransform
from loader.errors import ConfigError

_CODES = {1: "ROTATE_90_COUNTERCLOCKWISE", 2: "ROTATE_180", 3: "ROTATE_90_CLOCKWISE"}


class Rotate90(OpenCvTransform):
    """Turn each picture by a random number of quarter turns. All fields of a sample are turned together, so an image and its mask stay aligned.

    For pictures (height, width) or (height, width, channels) of any dtype of up to 64 bits. Needs OpenCV: the extra `image`.

    Args:
        turns: how many quarter turns, counterclockwise, from 0 to 3; each of them is as likely. Without 1 and 3, pictures need not be square.
        fields: the arrays to turn.
    """

    random = True
    dtypes = (
        *("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
        *("float16", "float32", "float64", "complex64"),
    )

    def __init__(self, turns: Sequence[int] = (0, 1, 2, 3), fields: Fields = "x") -> None:
        super().__init__(fields)
        valid = isinstance(turns, tuple | list | range) and len(turns) > 0
        if not valid or not all(is_whole(turn) and 0 <= turn <= 3 for turn in turns):
            raise ConfigError(f"Rotate90: turns={turns!r}; give some of (0, 1, 2, 3)")
        self.turns = tuple(int(turn) for turn in turns)

    def result(self, leaf: Leaf) -> Leaf:
        if any(turn % 2 for turn in self.turns) and len(leaf.shape) > 1 and leaf.shape[0] != leaf.shape[1]:
            raise ConfigError(f"Rotate90: {leaf} is not square. What to do: put a Crop or Resize before it, or give turns=(0, 2)")
        return super().result(leaf)

    def draw(self, rng: np.random.Generator) -> int:
        return self.turns[int(rng.integers(len(self.turns)))]

    def run(self, cv2: Any, rows: Array, out: Array, draws: Sequence[int]) -> None:
        same_size = np.dtype({1: "u1", 2: "u2", 4: "f4", 8: "f8"}[rows.dtype.itemsize])  # values are only moved
        codes = {turn: getattr(cv2, name) for turn, name in _CODES.items()}
        for row, target, turn in zip(rows.view(same_size), out.view(same_size), draws, strict=True):
            if turn:
                cv2.rotate(row, codes[turn], dst=target)
            else:
                np.copyto(target, row)
