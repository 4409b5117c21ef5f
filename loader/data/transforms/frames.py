"""Arrays that are cut to a smaller shape or set into a larger one, for any number of axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from loader.data.spec import Array, Leaf
from loader.data.transforms.arguments import check_fits, choice_of, number_of, shape_of
from loader.data.transforms.leaf_transform import Fields, WrongSize
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

    aligns = True

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

    def motion(self, shape: tuple[int, ...], drawn: Any) -> Matrix:
        sizes = shape[: len(self.shape)]
        rows, columns, *_ = self._cut(sizes, drawn) if self.random else _window(sizes, self.shape)
        return (1, 0, -columns.start), (0, 1, -rows.start)

    def _cut(self, sizes: Sequence[int], drawn: Sequence[float]) -> tuple[slice, ...]:
        """Return the window that was drawn."""
        starts = [int(share * (size - wanted + 1)) for share, size, wanted in zip(drawn, sizes, self.shape, strict=True)]
        return tuple(slice(start, start + wanted) for start, wanted in zip(starts, self.shape, strict=True))


class Pad(MovingTransform):
    """Set each sample into an array of one larger shape, which is `value` elsewhere.

    Args:
        shape: of the result, `(height, width)` for pictures. It stands for the first axes of a sample; the others, such as channels, stay as
            they are. So `(length,)` pads sequences.
        value: what is added.
        position: where it is added. `"end"`: behind the sample, which begins at the first element; `"center"`: around it.
        fields: the arrays to pad.
        boxes: arrays of boxes in the pictures that are moved with them: float, (..., 4), as (left, top, right, bottom). See `Flip`.
        points: arrays of points in the pictures that are moved with them: float, (..., 2), as (column, row). See `Flip`.
    """

    def __init__(
        self,
        shape: int | Sequence[int],
        value: float = 0,
        position: Literal["end", "center"] = "end",
        fields: Fields = "x",
        boxes: Fields = (),
        points: Fields = (),
    ) -> None:
        super().__init__(fields, boxes=boxes, points=points)
        self.shape = shape_of(shape, "Pad: shape")
        self.value = number_of(value, "Pad: value")
        self.position = choice_of(position, ("end", "center"), "Pad: position")

    @property
    def fixed_axes(self) -> int:
        return len(self.shape)

    def result(self, leaf: Leaf) -> Leaf:
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
