"""How each array of a sample is shown: as a picture, a curve, a text, or in words. Decided once for all samples, from what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from loader.data.spec import PART_NAMES, Array, Leaf
from loader.data.transforms.moving import MovingTransform
from loader.train.show.samples import Taken
from loader.train.show.values import Scale, Values, as_real, levels_of, scale_of, whole_range

_FEW = 4  # numbers that are told in words
_SOUND = ("float32", "float64", "int16")
_MOST_CHANNELS = 16  # of a picture; more are the third axis of a volume
_MOST_CURVES = 8  # columns of a table, (steps, columns), that are drawn as curves
CHANNELS_OF_A_VOLUME = 4
"""Most channels, as the last or the first of four axes; more are an axis of their own."""
_SMALL = 4  # pixels: no side of a picture is as short, but the axis of its channels is, and a table of numbers
_MOST_NUMBERS = 16  # of a side of such a table, such as one of boxes; and of a list of classes
_MOST_TOKENS = 512  # that are told by their numbers; a longer array is a series


class Kind(Enum):
    """What an array is shown as."""

    VALUE = "told in words"
    """A number, a few numbers, or a class: in the caption."""
    TEXT = "text"
    """Numbers of tokens or bytes; the numbers themselves, if nobody knows the words."""
    CURVES = "curves"
    """Sound, or steps of a series, (steps,), (steps, channels) or (channels, steps): one curve for each channel."""
    SPECTROGRAM = "spectrogram: time to the right, low frequencies at the bottom"
    """(time, frequency), made of sound."""
    HEAT = "colours"
    """(rows, columns) of any numbers."""
    PICTURE = "picture"
    """(height, width) or (height, width, channels)."""
    PLANAR = "picture, channels first"
    """(channels, height, width)."""
    MASK = "mask"
    """Classes of the pixels of the picture before it, in colours over that picture; by themselves if there is none."""
    BOXES = "boxes on the picture, taken as left, top, right, bottom in pixels"
    """(..., 4), of the first picture."""
    POINTS = "points on the picture, taken as column, row in pixels"
    """(..., 2), of the first picture."""
    VOLUME = "volume: the middle slice along each axis"
    """(depth, height, width), perhaps with channels."""
    FILM = "film: its first, middle and last picture"
    """(time, height, width, channels)."""


@dataclass(frozen=True)
class Field:
    """One array of all samples.

    Attributes:
        leaf: where it stands in a sample, and its dtype.
        kind: how it is shown.
        values: what its values are like.
        scale: which of them are drawn black and white.
        arrays: `[epoch][sample]`.
        texts: `[epoch][sample]`; only of a TEXT.
        over: the number of the picture that a mask, boxes or points lie on, or None.
        levels: different values of a mask.
    """

    leaf: Leaf
    kind: Kind
    values: Values
    scale: Scale
    arrays: Sequence[Sequence[Array]]
    texts: Sequence[Sequence[str]] = ()
    over: int | None = None
    levels: Array = field(default_factory=lambda: np.zeros(0))

    @property
    def name(self) -> str:
        """The key in its dict, or `x`, `y` or `sample_weight`."""
        return self.leaf.key or PART_NAMES[self.leaf.part]

    @property
    def is_drawn(self) -> bool:
        """Whether it takes a place of its own in the picture."""
        return self.kind is not Kind.VALUE

    def __str__(self) -> str:
        """What it is, in a line."""
        first = self.arrays[0][0].shape
        same = all(array.shape == first for epoch in self.arrays for array in epoch)
        words = f"{self.leaf.name}: {self.leaf.dtype.name} {first if same else 'of several shapes'}, {self.values}"
        notes = "; ".join(filter(None, [self.kind.value if self.is_drawn else "", self._drawn()]))
        return f"{words}; {notes}" if notes else words

    def _drawn(self) -> str:
        """Return in words which values look how, and which channels are left out."""
        shape, low, high = self.arrays[0][0].shape, f"{self.scale.low:.4g}", f"{self.scale.high:.4g}"
        if self.kind is Kind.CURVES:
            return f"from {low} at the bottom to {high} at the top"
        if self.kind in (Kind.HEAT, Kind.SPECTROGRAM):
            return f"blue is {low}, yellow is {high}"
        if self.kind is Kind.MASK:
            return f"{len(self.levels)} different values"
        if self.kind in (Kind.PICTURE, Kind.PLANAR, Kind.VOLUME, Kind.FILM):
            return f"black is {low}, white is {high}{_channels_in_words(self.kind, shape)}"
        return ""


def _channels_in_words(kind: Kind, shape: tuple[int, ...]) -> str:
    count = channels_of(kind, shape)
    return "" if count in (1, 3) else f", {'the first' if count == 2 else 'the first three'} of {count} channels"


def channels_of(kind: Kind, shape: tuple[int, ...]) -> int:
    """Return how many channels an array has that is drawn as a picture, a volume or a film."""
    if kind is Kind.PLANAR:
        return shape[0]
    if kind is Kind.VOLUME:
        ends = (shape[-1], shape[-4]) if len(shape) > 3 else ()
        return next((count for count in ends if count <= CHANNELS_OF_A_VOLUME), 1)
    return 1 if len(shape) == 2 else shape[-1]


def fields_of(taken: Taken) -> list[Field]:
    """Return how the arrays of these samples are shown, in their order."""
    fields: list[Field] = []
    sounds = {leaf.name: leaf.shape for leaf in taken.source.spec.leaves if len(leaf.shape) == 1 and leaf.dtype.name in _SOUND}
    for number, leaf in enumerate(taken.leaves):
        arrays = [[as_real(array) for array in epoch] for epoch in taken.arrays[number]]
        flat = [array for epoch in arrays for array in epoch]
        values, first = Values.of(flat), flat[0]
        texts = [[_text(taken, leaf, array) for array in epoch] for epoch in taken.arrays[number]]
        kind = kind_of(leaf, first, values, made_of_sound=sounds.get(leaf.name, (first.size,)) != (first.size,))
        over = _picture_below(fields, first)
        levels = levels_of(flat) if _may_be_mask(taken, leaf, first, kind, over) else None
        if (place := _kind_of_places(taken, fields, leaf, first)) is not None:
            kind, over = place
        elif all(text is not None for epoch in texts for text in epoch):
            kind = Kind.TEXT
        elif levels is not None:
            kind = Kind.MASK
        scale = scale_of(values, first.dtype) if kind in _AS_MEANT else whole_range(values)
        known = [[text or "" for text in epoch] for epoch in texts]
        fields.append(Field(leaf, kind, values, scale, arrays, known, over, np.zeros(0) if levels is None else levels))
    return fields


_AS_MEANT = (Kind.PICTURE, Kind.PLANAR, Kind.VOLUME, Kind.FILM)


def kind_of(leaf: Leaf, array: Array, values: Values, *, made_of_sound: bool) -> Kind:
    """Return what an array is shown as, by its shape, its dtype and its values.

    Args:
        leaf: where it stands in a sample.
        array: of one sample.
        values: of all samples.
        made_of_sound: whether the source has an array of one axis in its place, of which this is not just another shape.
    """
    shape, axes = array.shape, array.ndim
    if not array.size or axes == 0 or (axes == 1 and len(array) <= _FEW) or is_distribution(leaf, array):
        return Kind.VALUE
    if axes == 1:
        return Kind.VALUE if array.dtype.kind in "biu" and len(array) <= _MOST_NUMBERS else Kind.CURVES
    if axes == 2 or (axes == 3 and made_of_sound and shape[2] == 1):
        short, long = sorted(shape[:2])
        if short <= _MOST_CURVES and long > max(4 * short, _MOST_NUMBERS):
            return Kind.CURVES
        if short <= _SMALL and long <= _MOST_NUMBERS:
            return Kind.VALUE
        return Kind.SPECTROGRAM if made_of_sound else Kind.PICTURE if _is_of_pictures(values, array) else Kind.HEAT
    if axes == 3:
        return _kind_of_three(shape)
    return Kind.FILM if axes == 4 and shape[-1] in (3, 4) else Kind.VOLUME


def _kind_of_three(shape: tuple[int, ...]) -> Kind:
    if shape[0] in (1, 3) and min(shape[1:]) > _SMALL:
        return Kind.PLANAR
    return Kind.PICTURE if shape[-1] <= _MOST_CHANNELS else Kind.VOLUME


def _is_of_pictures(values: Values, array: Array) -> bool:
    """Whether values have one of the ranges of pictures; other floats of two axes may be anything."""
    return array.dtype.kind in "bu" or (values.low >= -1 and values.high <= 1) or scale_of(values, array.dtype) == Scale(0, 255)


def is_distribution(leaf: Leaf, array: Array) -> bool:
    """Whether a label is a one-hot vector, or one such mixed with others: numbers from 0 up whose sum is 1."""
    if leaf.part != 1 or array.ndim != 1 or len(array) < 2:
        return False
    return bool((array >= 0).all()) and abs(float(array.sum(dtype=np.float64)) - 1) < 1e-3


def _text(taken: Taken, leaf: Leaf, array: Array) -> str | None:
    """Return the words of an array, or its numbers if they may be those of words; None if they may not."""
    if leaf.part or array.ndim != 1 or array.dtype.kind not in "iu":
        return None
    known = taken.source.text_of(array)
    if known is None and array.dtype.itemsize >= 4 and _FEW < len(array) <= _MOST_TOKENS and (array >= 0).all():
        return " ".join(map(str, array.tolist()))
    return known


def _picture_below(fields: Sequence[Field], array: Array) -> int | None:
    """Return the number of the first picture of the same height and width."""
    for number, other in enumerate(fields):
        shape = other.arrays[0][0].shape
        if other.kind in (Kind.PICTURE, Kind.PLANAR) and (shape[1:] if other.kind is Kind.PLANAR else shape[:2]) == array.shape[:2]:
            return number
    return None


def _is_named(taken: Taken, leaf: Leaf, what: str) -> bool:
    """Whether an array is one of the `masks`, `boxes` or `points` of a transform, or its key says so."""
    names = {PART_NAMES[leaf.part], leaf.key, leaf.name}
    moving = (transform for transform in taken.transforms if isinstance(transform, MovingTransform))
    return any(names & set(getattr(transform, what)) for transform in moving) or what in (leaf.key or "").lower()


def _kind_of_places(taken: Taken, fields: Sequence[Field], leaf: Leaf, array: Array) -> tuple[Kind, int] | None:
    """Return boxes or points, and the number of the first picture, which they lie in; None if an array holds neither."""
    picture = next((number for number, other in enumerate(fields) if other.kind in (Kind.PICTURE, Kind.PLANAR)), None)
    if picture is None or not array.size:
        return None
    for kind, what, numbers in ((Kind.BOXES, "boxes", 4), (Kind.POINTS, "points", 2)):
        if array.ndim and array.shape[-1] == numbers and _is_named(taken, leaf, what):
            return kind, picture
    return None


def _may_be_mask(taken: Taken, leaf: Leaf, array: Array, kind: Kind, over: int | None) -> bool:
    named = _is_named(taken, leaf, "masks") or "mask" in (leaf.key or "").lower()
    flat = kind in (Kind.PICTURE, Kind.HEAT) and (array.ndim == 2 or array.shape[2] == 1)
    return flat and (named or (leaf.part == 1 and over is not None))
