"""Pictures that are turned, shifted, sheared and zoomed at random."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from loader.data.spec import Array, Leaf
from loader.data.transforms.arguments import check_fits, choice_of, number_of, range_of
from loader.data.transforms.leaf_transform import Fields
from loader.data.transforms.opencv import INTERPOLATIONS, MovingTransform
from loader.errors import ConfigError

_FILLS = {"constant": "BORDER_CONSTANT", "nearest": "BORDER_REPLICATE", "reflect": "BORDER_REFLECT", "wrap": "BORDER_WRAP"}

Range = float | tuple[float, float]
Draw = tuple[float, float, float, float, float, float]


class Affine(MovingTransform):
    """Turn, shift, shear and zoom each sample about its centre, each by a random amount, in one step, as OpenCV's `warpAffine` does it.

    The picture is zoomed, then sheared, then turned, then shifted. All fields of a sample are moved by the same amounts, so an image and its mask
    stay aligned. For pictures (height, width) or (height, width, channels), as uint8, uint16, int16, float32 or float64. Needs OpenCV: the extra
    `image`.

    Args:
        rotation: degrees: 10 draws from -10 to 10; or a pair (low, high). Positive is counterclockwise.
        shift: fraction of the picture: 0.1 moves it by up to a tenth of its height, up or down, and by up to a tenth of its width, left or right.
            A pair is (of the height, of the width).
        shear: how far a row is moved sideways for each row that it lies below the centre: 0.1 draws from -0.1 to 0.1; or a pair (low, high).
            It is the tangent of the angle.
        zoom: 0.1 draws one factor from 0.9 to 1.1 for the height and another one for the width; or a pair (low, high). Above 1 is larger.
        fill: what is seen beyond the edge. `"constant"`: `value`; `"nearest"`: the pixel at the edge; `"reflect"`: the picture mirrored;
            `"wrap"`: its other side. As in Keras.
        value: with `fill="constant"`, in each channel.
        interpolation: `"linear"`, `"nearest"` or `"cubic"`.
        fields: the arrays to move.
        masks: more arrays, moved by the same amounts, that hold class numbers: each pixel of theirs is that of the nearest one, never a mixture.
        mask_value: `value` for `masks`.

    Example:
        >>> from loader import transforms as T
        >>> steps = [T.Affine(rotation=10, shift=0.1, zoom=0.1, fields="image", masks="mask")]
    """

    random = True

    def __init__(
        self,
        rotation: Range = 0,
        shift: Range = 0,
        shear: Range = 0,
        zoom: Range = 0,
        fill: Literal["constant", "nearest", "reflect", "wrap"] = "constant",
        value: float = 0,
        interpolation: Literal["linear", "nearest", "cubic"] = "linear",
        fields: Fields = "x",
        masks: Fields = (),
        mask_value: float = 0,
    ) -> None:
        super().__init__(fields, masks)
        self.rotation = range_of(rotation, "Affine: rotation")
        self.shift = _shift_of(shift)
        self.shear = range_of(shear, "Affine: shear")
        self.zoom = range_of(zoom, "Affine: zoom", around=1.0)
        if self.zoom[0] <= 0:
            raise ConfigError(f"Affine: zoom={zoom!r}; give a number below 1, or a pair (low, high) of factors above 0")
        self.fill = choice_of(fill, _FILLS, "Affine: fill")
        self.value = number_of(value, "Affine: value")
        self.interpolation = choice_of(interpolation, ("linear", "nearest", "cubic"), "Affine: interpolation")
        self.mask_value = number_of(mask_value, "Affine: mask_value")

    def treat_as_mask(self) -> None:
        self.interpolation, self.value = "nearest", self.mask_value

    def result(self, leaf: Leaf) -> Leaf:
        own = self.for_leaf(leaf)
        check_fits(own.value, leaf, "Affine: value" if own is self else "Affine: mask_value")
        return super().result(leaf)

    def draw(self, rng: np.random.Generator) -> Draw:
        """Return degrees, shift of the height, shift of the width, shear, zoom of the height, zoom of the width."""
        ranges = (self.rotation, *((-share, share) for share in self.shift), self.shear, self.zoom, self.zoom)
        rotation, down, right, shear, tall, wide = (low + (high - low) * u for (low, high), u in zip(ranges, rng.random(6).tolist(), strict=True))
        return rotation, down, right, shear, tall, wide

    def run(self, cv2: Any, rows: Array, out: Array, draws: Sequence[Draw]) -> None:
        height, width = rows.shape[1:3]
        flags, border = getattr(cv2, INTERPOLATIONS[self.interpolation]), getattr(cv2, _FILLS[self.fill])
        value = (self.value,) * 4
        for row, target, drawn in zip(rows, out, draws, strict=True):
            matrix = np.array(affine_matrix(height, width, drawn))
            cv2.warpAffine(row, matrix, (width, height), dst=target, flags=flags, borderMode=border, borderValue=value)


def affine_matrix(height: int, width: int, drawn: Draw) -> list[list[float]]:
    """Return the matrix that takes a pixel (column, row, 1) to its new place (column, row), about the middle of the picture.

    Args:
        height: of the picture.
        width: of the picture.
        drawn: as `Affine.draw` returns it.
    """
    rotation, down, right, shear, tall, wide = drawn
    angle = math.radians(rotation)
    cosine, sine = math.cos(angle), math.sin(angle)
    a, b = cosine * wide, (cosine * shear + sine) * tall
    c, d = -sine * wide, (cosine - sine * shear) * tall
    x, y = (width - 1) / 2, (height - 1) / 2
    return [[a, b, x + right * width - a * x - b * y], [c, d, y + down * height - c * x - d * y]]


def _shift_of(shift: Any) -> tuple[float, float]:
    shares = tuple(shift) if isinstance(shift, tuple | list) else (shift, shift)
    if len(shares) != 2:
        raise ConfigError(f"Affine: shift={shift!r}; give one fraction, or a pair: (of the height, of the width)")
    down, right = (number_of(share, "Affine: shift") for share in shares)
    if down < 0 or right < 0:
        raise ConfigError(f"Affine: shift={shift!r}; give fractions that are not negative: each is drawn in both directions")
    return down, right
