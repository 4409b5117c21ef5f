"""Arrays that are cut to a smaller shape or set into a larger one, for any number of axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from loader.data.spec import Array, Leaf
from loader.data.transforms.arguments import check_fits, choice_of, number_of, shape_of
from loader.data.transforms.leaf_transform import Change, Fields, WrongSize
from loader.data.transforms.longest import Lengths, Longest
from loader.data.transforms.moving import MovingTransform
from loader.data.transforms.places.moved_places import Matrix
from loader.data.transforms.volumes.volume import is_volume
from loader.errors import ConfigError


class Crop(MovingTransform):
    """Cut a window of one shape out of each sample. All fields of a sample are cut at the same place, so an image and its mask stay aligned.

    Args:
        shape: of the window, `(height, width)` for pictures. It stands for the first axes of a sample; the others, such as channels, are kept whole.
            So `(length,)` cuts sequences, and three numbers cut volumes.
        position: `"random"`, each place as likely; or `"center"`.
        fields: the arrays to cut.
        boxes: arrays of boxes in the pictures that are moved with them: float, (..., 4), as (left, top, right, bottom). See `Flip`.
        points: arrays of points in the pictures that are moved with them: float, (..., 2), as (column, row). See `Flip`.

    Example:
        >>> from loader import transforms as T
        >>> training, validation = [T.Crop((224, 224))], [T.Crop((224, 224), "center")]
    """

    aligns = kept = True

    def __init__(
        self,
        shape: int | Sequence[int],
        position: Literal["random", "center"] = "random",
        fields: Fields = "x",
        boxes: Fields = (),
        points: Fields = (),
    ) -> None:
        super().__init__(fields, boxes=boxes, points=points)
        self.shape = shape_of(shape, "Crop: shape")
        self.position = choice_of(position, ("random", "center"), "Crop: position")

    @property
    def random(self) -> bool:
        return self.position == "random"

    @property
    def fixed_axes(self) -> int:
        return len(self.shape)

    def result(self, leaf: Leaf) -> Leaf:
        shape = _replaced(leaf, self.shape, "Crop")
        if any(wanted > size for wanted, size in zip(shape, leaf.shape, strict=True)):
            raise WrongSize(f"Crop: {leaf} is smaller than shape={self.shape}; put a Pad or Resize before it")
        return Leaf(leaf.part, leaf.key, shape, leaf.dtype)

    def draw(self, rng: np.random.Generator) -> list[float]:
        """Return for each axis where the window begins: 0 is at the start, 1 as far back as it goes."""
        drawn: list[float] = rng.random(len(self.shape)).tolist()
        return drawn

    def apply(self, rows: Array, out: Array, draws: Sequence[Any]) -> None:
        sizes = rows.shape[1 : 1 + len(self.shape)]
        if not self.random:
            np.copyto(out, rows[(slice(None), *_window(sizes, self.shape))])
            return
        for row, target, drawn in zip(rows, out, draws, strict=True):
            np.copyto(target, row[self._cut(sizes, drawn)])

    def change(self, leaf: Leaf) -> Change:
        sizes = leaf.shape[: len(self.shape)]
        if self.random:
            return lambda row, out, drawn: row[self._cut(sizes, drawn)]
        window = _window(sizes, self.shape)
        return lambda row, out, drawn: row[window]

    def motion(self, shape: tuple[int, ...], drawn: Any) -> Matrix:
        sizes = shape[: len(self.shape)]
        rows, columns, *_ = self._cut(sizes, drawn) if self.random else _window(sizes, self.shape)
        return (1, 0, -columns.start), (0, 1, -rows.start)

    def _cut(self, sizes: Sequence[int], drawn: Sequence[float]) -> tuple[slice, ...]:
        """Return the window that was drawn."""
        starts = [int(share * (size - wanted + 1)) for share, size, wanted in zip(drawn, sizes, self.shape, strict=True)]
        return tuple(slice(start, start + wanted) for start, wanted in zip(starts, self.shape, strict=True))


class Pad(MovingTransform):
    """Set each sample into an array of one larger shape, which is `value` elsewhere: `Pad(shape)`, or `Pad(length="batch")`.

    The second form fills up one axis to the longest sample of each batch, so that batches differ in length. It is the last transform of a Loader,
    which finds out the length of every sample before the first epoch. See docs/my_samples_differ_in_length.md.

    Args:
        shape: of the result, `(height, width)` for pictures. It stands for the first axes of a sample; the others, such as channels, stay as
            they are. So `(length,)` pads sequences.
        value: what is added.
        position: where it is added. `"end"`: behind the sample, which begins at the first element; `"center"`: around it.
        fields: the arrays to pad.
        boxes: arrays of boxes in the pictures that are moved with them: float, (..., 4), as (left, top, right, bottom). See `Flip`.
        points: arrays of points in the pictures that are moved with them: float, (..., 2), as (column, row). See `Flip`.
        length: "batch" instead of a shape: the longest sample of each batch.
        axis: that has this length, counted without the batch axis.
        lengths: of the samples, as they are after the transforms: one for each, in the order of the source; or a function of the shape of the
            first of `fields` in the source. None: the samples of the source have them (`source.shapes()`), and no transform makes them longer.
        mask: key under which x gets a bool array `(length,)`, True where there is data. An x that is one array becomes `{"x": array, mask: ...}`.
        multiple_of: lengths of batches are rounded up to a multiple of this, so that there are fewer for which a model is compiled.
    """

    kept = True

    def __init__(
        self,
        shape: int | Sequence[int] | None = None,
        value: float = 0,
        position: Literal["end", "center"] = "end",
        fields: Fields = "x",
        boxes: Fields = (),
        points: Fields = (),
        *,
        length: Literal["batch"] | None = None,
        axis: int = 0,
        lengths: Lengths | None = None,
        mask: str | None = None,
        multiple_of: int = 1,
    ) -> None:
        super().__init__(fields, boxes=boxes, points=points)
        self._longest = None if length is None else Longest.of(length, axis, lengths, mask, multiple_of)
        self.shape = () if length is not None and shape is None else shape_of(shape, "Pad: shape")
        self.value = number_of(value, "Pad: value")
        self.position = choice_of(position, ("end", "center"), "Pad: position")
        if self._longest is None and (axis, lengths, mask, multiple_of) != (0, None, None, 1):
            raise ConfigError("Pad: axis, lengths, mask and multiple_of are for Pad(length='batch')")
        if self._longest is not None and (self.shape or boxes or points or position != "end"):
            raise ConfigError("Pad: length='batch' pads at the end, where nothing moves; leave out shape, position, boxes and points")

    @property
    def longest(self) -> Longest | None:
        """How samples are padded to the longest one of their batch; None where all are padded to one shape."""
        return self._longest

    @property
    def fixed_axes(self) -> int:
        return len(self.shape)

    def result(self, leaf: Leaf) -> Leaf:
        if self._longest is not None:
            raise ConfigError("Pad(length='batch') needs a batch: give it to a Loader, as its last transform")
        check_fits(self.value, leaf, "Pad: value")
        shape = _replaced(leaf, self.shape, "Pad")
        if any(wanted < size for wanted, size in zip(shape, leaf.shape, strict=True)):
            raise WrongSize(f"Pad: {leaf} is larger than shape={self.shape}; put a Crop or Resize before it")
        return Leaf(leaf.part, leaf.key, shape, leaf.dtype)

    def apply(self, rows: Array, out: Array, draws: Sequence[Any]) -> None:
        out[...] = self.value
        out[(slice(None), *self._inside(rows.shape[1 : 1 + len(self.shape)]))] = rows

    def motion(self, shape: tuple[int, ...], drawn: Any) -> Matrix:
        rows, columns, *_ = self._inside(shape[: len(self.shape)])
        return (1, 0, columns.start), (0, 1, rows.start)

    def _inside(self, sizes: Sequence[int]) -> tuple[slice, ...]:
        """Return where the sample lies in the result."""
        return _window(self.shape, sizes) if self.position == "center" else tuple(slice(0, size) for size in sizes)

    def __repr__(self) -> str:
        return super().__repr__() if self._longest is None else f"Pad(value={self.value:g}, fields={self.fields}, {self._longest})"


def _replaced(leaf: Leaf, shape: tuple[int, ...], name: str) -> tuple[int, ...]:
    """Return the shape of `leaf` with its first axes as in `shape`. Raises ConfigError if it has not so many."""
    if len(leaf.shape) < len(shape):
        raise ConfigError(f"{name}: {leaf} has {len(leaf.shape)} axes, fewer than shape={shape}")
    if len(shape) == 2 and is_volume(leaf):
        raise ConfigError(f"{name}: shape={shape} names two axes of {leaf}; give (depth, height, width), or all four sizes")
    if len(shape) == 1 and len(leaf.shape) == 3:
        raise ConfigError(f"{name}: shape={shape} names one axis of {leaf}; give (height, width), or all three sizes to change the first axis alone")
    return (*shape, *leaf.shape[len(shape) :])


def _window(sizes: Sequence[int], shape: Sequence[int]) -> tuple[slice, ...]:
    """Return the window of `shape` in the middle of an array with these sizes; of two middles, the first."""
    starts = [(size - wanted) // 2 for size, wanted in zip(sizes, shape, strict=True)]
    return tuple(slice(start, start + wanted) for start, wanted in zip(starts, shape, strict=True))
