"""Pictures and volumes that are turned, shifted, sheared and zoomed at random."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from loader.data.spec import Array, Leaf
from loader.data.transforms.arguments import check_fits, choice_of, number_of, range_of
from loader.data.transforms.leaf_transform import Change, Fields, LeafTransform
from loader.data.transforms.moving import MovingTransform
from loader.data.transforms.opencv import INTERPOLATIONS, OpenCvTransform
from loader.data.transforms.places.moved_places import Matrix
from loader.data.transforms.volumes.volume import is_volume
from loader.data.transforms.volumes.volume_affine import VolumeAffine
from loader.errors import ConfigError

_FILLS = {"constant": "BORDER_CONSTANT", "nearest": "BORDER_REPLICATE", "reflect": "BORDER_REFLECT", "wrap": "BORDER_WRAP"}

Range = float | tuple[float, float]
Draw = Sequence[float]


class Affine(OpenCvTransform, MovingTransform):
    """Turn, shift, shear and zoom each sample about its centre, each by a random amount, in one step, as OpenCV's `warpAffine` does it.

    The picture is zoomed, then sheared, then turned, then shifted. All fields of a sample are moved by the same amounts, so an image and its mask
    stay aligned. For pictures (height, width) or (height, width, channels), as uint8, uint16, int16, float32 or float64. Needs OpenCV: the extra
    `image`.

    An array with four axes is a volume, (depth, height, width, channels), of the same dtypes. It is turned and sheared in the plane of height and
    width, and zoomed and shifted along all three axes, as SciPy's `affine_transform` does it. Needs SciPy: the extra `volume`.

    Args:
        rotation: degrees: 10 draws from -10 to 10; or a pair (low, high). Positive is counterclockwise.
        shift: fraction of the picture: 0.1 moves it by up to a tenth of its height, up or down, and by up to a tenth of its width, left or right;
            a volume also by up to a tenth of its depth. A pair is (of the height, of the width); three have that of the depth first.
        shear: how far a row is moved sideways for each row that it lies below the centre: 0.1 draws from -0.1 to 0.1; or a pair (low, high).
            It is the tangent of the angle.
        zoom: 0.1 draws one factor from 0.9 to 1.1 for the height, another one for the width, and for volumes one for the depth; or a pair
            (low, high). Above 1 is larger.
        fill: what is seen beyond the edge. `"constant"`: `value`; `"nearest"`: the pixel at the edge; `"reflect"`: the picture mirrored;
            `"wrap"`: its other side. As in Keras.
        value: with `fill="constant"`, in each channel.
        interpolation: `"linear"`, `"nearest"` or `"cubic"`. For volumes, the last one is a spline of order 3.
        fields: the arrays to move.
        masks: more arrays, moved by the same amounts, that hold class numbers: each pixel of theirs is that of the nearest one, never a mixture.
        mask_value: `value` for `masks`.
        tilt: for volumes: degrees, as `rotation`, about the axis of the width, and as many about the axis of the height.
        boxes: arrays of boxes in the pictures that are moved with them: float, (..., 4), as (left, top, right, bottom). See `Flip`.
        points: arrays of points in the pictures that are moved with them: float, (..., 2), as (column, row). See `Flip`.

    Example:
        >>> from loader import transforms as T
        >>> steps = [T.Affine(rotation=10, shift=0.1, zoom=0.1, fields="image", masks="mask")]
    """

    random = True
    volumes = True

    def __init__(
        self,
        rotation: Range = 0,
        shift: float | tuple[float, float] | tuple[float, float, float] = 0,
        shear: Range = 0,
        zoom: Range = 0,
        fill: Literal["constant", "nearest", "reflect", "wrap"] = "constant",
        value: float = 0,
        interpolation: Literal["linear", "nearest", "cubic"] = "linear",
        fields: Fields = "x",
        masks: Fields = (),
        mask_value: float = 0,
        tilt: Range = 0,
        boxes: Fields = (),
        points: Fields = (),
    ) -> None:
        super().__init__(fields, masks=masks, boxes=boxes, points=points)
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
        self.tilt = range_of(tilt, "Affine: tilt")

    def for_leaf(self, leaf: Leaf) -> LeafTransform:
        own = self.treated(leaf)
        return VolumeAffine(own.fill, own.value, own.interpolation) if is_volume(leaf) else own

    def treat_as_mask(self) -> None:
        self.interpolation, self.value = "nearest", self.mask_value

    def result(self, leaf: Leaf) -> Leaf:
        own = self.treated(leaf)
        check_fits(own.value, leaf, "Affine: value" if own is self else "Affine: mask_value")
        return self.for_leaf(leaf).result(leaf) if is_volume(leaf) else super().result(leaf)

    def draw(self, rng: np.random.Generator) -> Draw:
        """Return degrees, shift of the height and of the width, shear, zoom of the height and of the width.

        For volumes there follow the degrees about the axis of the width and about that of the height, shift and zoom of the depth.
        """
        deep, down, right = ((-share, share) for share in self.shift)
        ranges = (self.rotation, down, right, self.shear, self.zoom, self.zoom, self.tilt, self.tilt, deep, self.zoom)
        return [low + (high - low) * u for (low, high), u in zip(ranges, rng.random(10).tolist(), strict=True)]

    def motion(self, shape: tuple[int, ...], drawn: Draw) -> Matrix:
        (a, b, c), (d, e, f) = affine_matrix(shape[0], shape[1], drawn)
        # That one is for the middles of pixels, whose whole numbers lie half a pixel further from the edge.
        return (a, b, c + (1 - a - b) / 2), (d, e, f + (1 - d - e) / 2)

    def change_by(self, cv2: Any, leaf: Leaf) -> Change:
        height, width = leaf.shape[:2]
        flags, border = getattr(cv2, INTERPOLATIONS[self.interpolation]), getattr(cv2, _FILLS[self.fill])
        value = (self.value,) * 4

        def warp(row: Array, out: Array, drawn: Draw) -> Array:
            matrix = np.array(affine_matrix(height, width, drawn))
            cv2.warpAffine(row, matrix, (width, height), dst=out, flags=flags, borderMode=border, borderValue=value)
            return out

        return warp


def affine_matrix(height: int, width: int, drawn: Draw) -> list[list[float]]:
    """Return the matrix that takes a pixel (column, row, 1) to its new place (column, row), about the middle of the picture.

    Args:
        height: of the picture.
        width: of the picture.
        drawn: as `Affine.draw` returns it.
    """
    rotation, down, right, shear, tall, wide = drawn[:6]
    angle = math.radians(rotation)
    cosine, sine = math.cos(angle), math.sin(angle)
    a, b = cosine * wide, (cosine * shear + sine) * tall
    c, d = -sine * wide, (cosine - sine * shear) * tall
    x, y = (width - 1) / 2, (height - 1) / 2
    return [[a, b, x + right * width - a * x - b * y], [c, d, y + down * height - c * x - d * y]]


def _shift_of(shift: Any) -> tuple[float, float, float]:
    """Return the fractions of depth, height and width."""
    shares = tuple(shift) if isinstance(shift, tuple | list) else (shift,) * 3
    if len(shares) not in (2, 3):
        raise ConfigError(f"Affine: shift={shift!r}; give one fraction, a pair (of the height, of the width), or three, with the depth's first")
    deep, down, right = (number_of(share, "Affine: shift") for share in (shares if len(shares) == 3 else (0, *shares)))
    if min(deep, down, right) < 0:
        raise ConfigError(f"Affine: shift={shift!r}; give fractions that are not negative: each is drawn in both directions")
    return deep, down, right
