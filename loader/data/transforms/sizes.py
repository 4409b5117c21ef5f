"""Pictures in another size: all of each, or a random part."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from loader.data.spec import Array, Leaf
from loader.data.transforms.arguments import choice_of, positive_pair_of, shape_of, shares_of
from loader.data.transforms.leaf_transform import Change, Fields
from loader.data.transforms.moving import MovingTransform
from loader.data.transforms.opencv import INTERPOLATIONS, OpenCvTransform
from loader.data.transforms.places.moved_places import Matrix

Resample = Literal["area", "linear", "cubic", "nearest"]
Window = tuple[int, int, int, int]

_TRIES = 10


class Resize(OpenCvTransform, MovingTransform):
    """Stretch each picture to one size, as OpenCV's `resize` does it.

    For pictures (height, width) or (height, width, channels), as uint8, uint16, int16, float32 or float64. Needs OpenCV: the extra `image`.
    Pictures of files are made smaller faster by their decoder: `decode.image(size=...)`.

    Args:
        shape: `(height, width)`, or a number for a square.
        resample: `"area"` (the mean of the pixels; for smaller pictures), `"linear"`, `"cubic"` or `"nearest"` (for masks).
        fields: the arrays to stretch.
        boxes: arrays of boxes in the pictures that are moved with them: float, (..., 4), as (left, top, right, bottom). See `Flip`.
        points: arrays of points in the pictures that are moved with them: float, (..., 2), as (column, row). See `Flip`.
    """

    kept = True

    def __init__(
        self,
        shape: int | tuple[int, int],
        resample: Resample = "linear",
        fields: Fields = "x",
        boxes: Fields = (),
        points: Fields = (),
    ) -> None:
        super().__init__(fields, boxes=boxes, points=points)
        self.shape = shape_of(shape, "Resize: shape", axes=2)
        self.resample = choice_of(resample, INTERPOLATIONS, "Resize: resample")

    @property
    def fixed_axes(self) -> int:
        return 2

    def result(self, leaf: Leaf) -> Leaf:
        return _resized(super().result(leaf), self.shape)

    def motion(self, shape: tuple[int, ...], drawn: Any) -> Matrix:
        return _stretched((0, 0, shape[0], shape[1]), self.shape)

    def change_by(self, cv2: Any, leaf: Leaf) -> Change:
        height, width = self.shape
        interpolation = getattr(cv2, INTERPOLATIONS[self.resample])

        def stretch(row: Array, out: Array, drawn: Any) -> Array:
            cv2.resize(row, (width, height), dst=out, interpolation=interpolation)
            return out

        return stretch


class RandomResizedCrop(OpenCvTransform, MovingTransform):
    """Cut a random part out of each picture and stretch it to one size. The usual augmentation for training on photographs, as torchvision has it.

    Ten windows are drawn, and the first one that fits into the picture is taken. If none does, it is the largest one in the middle whose ratio is
    in `ratio`. All fields of a sample are cut at the same place. For pictures as `Resize` takes them. Needs OpenCV: the extra `image`.

    Args:
        size: `(height, width)` of the result, or a number for a square.
        scale: the part's share of the picture's area, drawn from (low, high).
        ratio: the part's width / height, drawn from (low, high), on a logarithmic scale.
        resample: as for `Resize`.
        fields: the arrays to cut. Those of a sample must have one height and width.
        masks: more arrays, cut at the same place, that hold class numbers: each pixel is that of the nearest one, never a mixture.
        boxes: arrays of boxes in the pictures that are moved with them: float, (..., 4), as (left, top, right, bottom). See `Flip`.
        points: arrays of points in the pictures that are moved with them: float, (..., 2), as (column, row). See `Flip`.
    """

    random = True
    aligns = True

    def __init__(
        self,
        size: int | tuple[int, int],
        scale: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        resample: Resample = "linear",
        fields: Fields = "x",
        masks: Fields = (),
        boxes: Fields = (),
        points: Fields = (),
    ) -> None:
        super().__init__(fields, masks=masks, boxes=boxes, points=points)
        self.size = shape_of(size, "RandomResizedCrop: size", axes=2)
        self.scale = shares_of(scale, "RandomResizedCrop: scale")
        self.ratio = positive_pair_of(ratio, "RandomResizedCrop: ratio")
        self.resample = choice_of(resample, INTERPOLATIONS, "RandomResizedCrop: resample")

    @property
    def fixed_axes(self) -> int:
        return 2

    def result(self, leaf: Leaf) -> Leaf:
        return _resized(super().result(leaf), self.size)

    def treat_as_mask(self) -> None:
        self.resample = "nearest"

    def draw(self, rng: np.random.Generator) -> list[list[float]]:
        """Return ten times: share of the area, ratio, and how far the window is from the top and from the left, from 0 to 1."""
        drawn = rng.random((_TRIES, 4)).tolist()
        (least, most), (low, high) = self.scale, (math.log(end) for end in self.ratio)
        return [[least + (most - least) * a, math.exp(low + (high - low) * b), top, left] for a, b, top, left in drawn]

    def motion(self, shape: tuple[int, ...], drawn: list[list[float]]) -> Matrix:
        return _stretched(window_of(shape[0], shape[1], drawn, self.ratio), self.size)

    def change_by(self, cv2: Any, leaf: Leaf) -> Change:
        height, width = self.size
        interpolation = getattr(cv2, INTERPOLATIONS[self.resample])

        def cut_and_stretch(row: Array, out: Array, drawn: list[list[float]]) -> Array:
            top, left, tall, wide = window_of(row.shape[0], row.shape[1], drawn, self.ratio)
            cv2.resize(row[top : top + tall, left : left + wide], (width, height), dst=out, interpolation=interpolation)
            return out

        return cut_and_stretch


def window_of(height: int, width: int, drawn: Sequence[Sequence[float]], ratio: tuple[float, float]) -> Window:
    """Return the window that is cut out: top, left, height and width.

    Args:
        height: of the picture.
        width: of the picture.
        drawn: as `RandomResizedCrop.draw` returns it.
        ratio: least and greatest width / height, for when none of them fits.
    """
    for share, shape, top, left in drawn:
        area = share * height * width
        wide, tall = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
        if 0 < wide <= width and 0 < tall <= height:
            return int(top * (height - tall + 1)), int(left * (width - wide + 1)), tall, wide
    tall, wide = height, width
    if width / height < ratio[0]:
        tall = max(1, min(height, round(width / ratio[0])))
    elif width / height > ratio[1]:
        wide = max(1, min(width, round(height * ratio[1])))
    return (height - tall) // 2, (width - wide) // 2, tall, wide


def _stretched(window: Window, shape: tuple[int, ...]) -> Matrix:
    """Return how places move where a window is stretched to `shape`."""
    top, left, tall, wide = window
    down, across = shape[0] / tall, shape[1] / wide
    return (across, 0, -left * across), (0, down, -top * down)


def _resized(leaf: Leaf, shape: tuple[int, ...]) -> Leaf:
    return Leaf(leaf.part, leaf.key, (*shape, *leaf.shape[2:]), leaf.dtype)
