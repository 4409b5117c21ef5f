"""Arrays as pictures: `(height, width, 3)` bytes of a size that fits on the sheet. The same array gives the same pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from loader.data.spec import Array
from loader.train.show.curves import PALETTE, curves
from loader.train.show.fields import CHANNELS_OF_A_VOLUME, Field, Kind
from loader.train.show.sheet import shrunk, text_tile
from loader.train.show.values import Scale, heat, mark_not_finite

SIDE = 160
"""Pixels of the longer side of a picture; small ones are enlarged by a whole number, so they may stay below it."""

_SLICE_SIDE = 120
_WIDE, _HIGH = 240, 120  # of curves, spectrograms and texts
_GAP = 4  # between slices
_LINE, _DOT = 2, 3  # pixels of the outline of a box; of half a point
_FAR = 2**31  # pixels beyond any picture
_MASK_OPACITY = 0.6


def tiles_of(fields: Sequence[Field], epoch: int, sample: int) -> list[Array]:
    """Return the pictures of one sample, one for each field that is drawn."""
    return [_tile(fields, number, epoch, sample) for number, field in enumerate(fields) if field.is_drawn]


def _tile(fields: Sequence[Field], number: int, epoch: int, sample: int) -> Array:
    field = fields[number]
    array = field.arrays[epoch][sample]
    if field.kind is Kind.TEXT:
        return text_tile(field.texts[epoch][sample], _WIDE, _HIGH)
    if field.kind is Kind.CURVES:
        return curves(array, field.scale, _WIDE, _HIGH)
    if not array.size:
        return np.full((1, 1, 3), 255, np.uint8)
    if field.kind is Kind.MASK:
        return _fit(_mask(field, array, None if field.over is None else fields[field.over], epoch, sample), SIDE)
    if field.kind in (Kind.BOXES, Kind.POINTS):
        assert field.over is not None
        return _marked(field, array, fields[field.over], epoch, sample)
    if field.kind is Kind.SPECTROGRAM:
        grid = array.reshape(array.shape[:2]).T[::-1]
        return shrunk(_enlarged(_hot(grid, field.scale), _HIGH, _WIDE), _HIGH, _WIDE)
    if field.kind is Kind.HEAT:
        return _fit(_hot(array.reshape(array.shape[:2]), field.scale), SIDE)
    if field.kind in (Kind.PICTURE, Kind.PLANAR):
        return _fit(_picture(field, array), SIDE)
    return _beside(_film(array, field.scale) if field.kind is Kind.FILM else _slices(array, field.scale))


def _picture(field: Field, array: Array) -> Array:
    return colours(np.moveaxis(array, 0, -1) if field.kind is Kind.PLANAR else array, field.scale)


def colours(array: Array, scale: Scale) -> Array:
    """Return a picture of any number of channels, `(height, width)` or `(height, width, channels)`, as `(height, width, 3)` bytes.

    Of two channels, the first one is shown; of more than three, the first three.
    """
    if array.ndim == 2 or array.shape[2] < 3:
        array = array if array.ndim == 2 else array[..., 0]
        grey = scale.bytes_of(array)
        return mark_not_finite(np.stack([grey] * 3, axis=-1), array)
    array = array[..., :3]
    return mark_not_finite(scale.bytes_of(array), array)


def _hot(array: Array, scale: Scale) -> Array:
    return mark_not_finite(heat(scale.bytes_of(array)), array)


def _mask(field: Field, array: Array, below: Field | None, epoch: int, sample: int) -> Array:
    """Return a mask in colours over its picture, or over black; its lowest value, which is the background, is transparent."""
    classes = np.searchsorted(field.levels, array.reshape(array.shape[:2]))
    table = np.array([PALETTE[number % len(PALETTE)] for number in range(len(field.levels))], np.float32)
    picture = np.zeros((*classes.shape, 3), np.uint8)
    if below is not None:
        under = _picture(below, below.arrays[epoch][sample])
        picture = under if under.shape == picture.shape else picture
    mixed = picture * (1 - _MASK_OPACITY) + table[classes] * _MASK_OPACITY
    shown = classes > 0 if len(field.levels) > 1 else classes >= 0
    return np.where(shown[..., None], np.rint(mixed).astype(np.uint8), picture)


def _marked(field: Field, array: Array, below: Field, epoch: int, sample: int) -> Array:
    """Return a picture with boxes, or points, in it. Those without an area, and points that are (-1, -1) or NaN, are none."""
    picture = _picture(below, below.arrays[epoch][sample])
    shown = _fit(picture, SIDE).copy()
    across, down = shown.shape[1] / picture.shape[1], shown.shape[0] / picture.shape[0]
    places = array.reshape(-1, array.shape[-1]).astype(np.float64).clip(-_FAR, _FAR)
    for number, place in enumerate(places):
        colour = PALETTE[(number + 1) % len(PALETTE)]
        if not np.isfinite(place).all():
            continue
        if field.kind is Kind.BOXES:
            left, top, right, bottom = np.rint(place * (across, down, across, down)).astype(int).tolist()
            if left < right and top < bottom:
                _frame(shown, left, top, right, bottom, colour)
        elif tuple(place) != (-1, -1):
            x, y = np.rint((place + 0.5) * (across, down)).astype(int).tolist()
            shown[max(0, y - _DOT) : max(0, y + _DOT), max(0, x - _DOT) : max(0, x + _DOT)] = colour
    return shown


def _frame(picture: Array, left: int, top: int, right: int, bottom: int, colour: tuple[int, int, int]) -> None:
    """Draw the outline of a box, inside of it."""
    left, top = max(0, left), max(0, top)
    inside = picture[top : max(0, bottom), left : max(0, right)]
    kept = inside[_LINE:-_LINE, _LINE:-_LINE].copy()
    inside[...] = colour
    inside[_LINE:-_LINE, _LINE:-_LINE] = kept


def _slices(array: Array, scale: Scale) -> list[Array]:
    while array.ndim > 4:
        array = array[len(array) // 2]
    if array.ndim == 4 and array.shape[-1] > CHANNELS_OF_A_VOLUME:
        array = np.moveaxis(array, 0, -1) if len(array) <= CHANNELS_OF_A_VOLUME else array[len(array) // 2]
    middle = [size // 2 for size in array.shape[:3]]
    return [colours(array[middle[0]], scale), colours(array[:, middle[1]], scale), colours(array[:, :, middle[2]], scale)]


def _film(array: Array, scale: Scale) -> list[Array]:
    return [colours(array[number], scale) for number in (0, len(array) // 2, len(array) - 1)]


def _beside(pictures: Sequence[Array]) -> Array:
    """Return pictures side by side, all in the same scale."""
    longest = max(max(picture.shape[:2]) for picture in pictures)
    fitted = [_fit(picture, _SLICE_SIDE, longest) for picture in pictures]
    height = max(len(picture) for picture in fitted)
    width = sum(picture.shape[1] for picture in fitted) + _GAP * (len(fitted) - 1)
    row, left = np.full((height, width, 3), 255, np.uint8), 0
    for picture in fitted:
        row[: len(picture), left : left + picture.shape[1]] = picture
        left += picture.shape[1] + _GAP
    return row


def _fit(picture: Array, side: int, longest: int = 0) -> Array:
    """Return a picture of a size at which one with sides up to `longest` would fit into a square; by default, its own longer side."""
    longest = longest or max(picture.shape[:2])
    if longest <= side:
        return _enlarged(picture, *(size * (side // longest) for size in picture.shape[:2]))
    height, width = (max(1, round(size * side / longest)) for size in picture.shape[:2])
    return shrunk(picture, height, width)


def _enlarged(picture: Array, height: int, width: int) -> Array:
    """Return a picture with each pixel repeated, along each axis as often as fits."""
    tall, wide = (max(1, room // size) for room, size in zip((height, width), picture.shape[:2], strict=True))
    return picture.repeat(tall, axis=0).repeat(wide, axis=1)
