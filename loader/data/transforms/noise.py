"""Arrays that are disturbed at random: noise, and parts that are wiped out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from loader.data.spec import Array, Leaf
from loader.data.transforms.arguments import check_fits, number_of, positive_pair_of, probability_of, range_of, shares_of
from loader.data.transforms.leaf_transform import Fields, LeafTransform
from loader.errors import ConfigError

Range = float | tuple[float, float]
Patch = tuple[float, float, float, float]

_SEEDS = 2**63


class Noise(LeafTransform):
    """Add to each value a number of its own from a normal distribution with mean 0.

    For floats, and integers of up to 32 bits, of any shape. Integers are rounded, and kept within what their dtype holds.

    Args:
        std: standard deviation, in the unit of the values; or a pair (low, high), from which one is drawn for each sample.
        fields: the arrays to change. Those of a sample that have the same shape get the same noise.
    """

    random = True

    def __init__(self, std: Range, fields: Fields = "x") -> None:
        super().__init__(fields)
        self.std = range_of(std if isinstance(std, tuple | list) else (std, std), "Noise: std")
        if self.std[0] < 0:
            raise ConfigError(f"Noise: std={std!r}; a standard deviation is not negative")

    def result(self, leaf: Leaf) -> Leaf:
        if leaf.dtype.kind != "f" and (leaf.dtype.kind not in "iu" or leaf.dtype.itemsize == 8):
            raise ConfigError(f"Noise: {leaf}; it takes floats, and integers of up to 32 bits. What to do: put a Cast before it")
        return leaf

    def draw(self, rng: np.random.Generator) -> tuple[int, float]:
        """Return the seed of the generator that makes the sample's noise, and its standard deviation."""
        low, high = self.std
        return int(rng.integers(_SEEDS)), low + (high - low) * rng.random()

    def apply(self, rows: Array, out: Array, draws: Sequence[tuple[int, float]]) -> None:
        integers = rows.dtype.kind in "iu"
        exact: Any = np.float64 if rows.dtype.itemsize == 8 or (integers and rows.dtype.itemsize == 4) else np.float32
        scratch = np.empty((1, *rows.shape[1:]), exact)
        # Numbers have no axes, and could not be written to; so each row keeps an axis of length 1.
        for row, target, (seed, std) in zip(rows[:, None], out[:, None], draws, strict=True):
            noise = target if target.dtype == exact else scratch
            np.random.Generator(np.random.SFC64(seed)).standard_normal(dtype=exact, out=noise)
            np.multiply(noise, exact(std), out=noise)
            np.add(noise, row, out=noise)
            if integers:
                limits = np.iinfo(rows.dtype)
                np.clip(np.rint(noise, out=noise), limits.min, limits.max, out=noise)
            if noise is not target:
                np.copyto(target, noise, casting="unsafe")


class Erase(LeafTransform):
    """Overwrite a random rectangle of each picture with `value`, with probability `p`.

    For pictures (height, width) or (height, width, channels) of any dtype. All fields of a sample lose the same rectangle.

    Args:
        scale: the rectangle's share of the picture's area, drawn from (low, high).
        ratio: the rectangle's width / height, drawn from (low, high), on a logarithmic scale. A side that would be longer than the picture's is cut.
        value: in each channel.
        p: probability.
        fields: the arrays to change.
    """

    random = True

    def __init__(
        self,
        scale: tuple[float, float] = (0.02, 0.33),
        ratio: tuple[float, float] = (0.3, 3.3),
        value: float = 0,
        p: float = 0.5,
        fields: Fields = "x",
    ) -> None:
        super().__init__(fields)
        self.scale = shares_of(scale, "Erase: scale")
        self.ratio = positive_pair_of(ratio, "Erase: ratio")
        self.value = number_of(value, "Erase: value")
        self.p = probability_of(p, "Erase: p")

    def result(self, leaf: Leaf) -> Leaf:
        if len(leaf.shape) not in (2, 3):
            raise ConfigError(f"Erase: {leaf} is not a picture, (height, width) or (height, width, channels)")
        check_fits(self.value, leaf, "Erase: value")
        return leaf

    def draw(self, rng: np.random.Generator) -> Patch | None:
        """Return share of the area, width / height, and how far the rectangle is from the top and from the left, from 0 to 1; None for none."""
        chance, share, shape, top, left = rng.random(5).tolist()
        if chance >= self.p:
            return None
        (least, most), (low, high) = self.scale, (math.log(end) for end in self.ratio)
        return least + (most - least) * share, math.exp(low + (high - low) * shape), top, left

    def apply(self, rows: Array, out: Array, draws: Sequence[Patch | None]) -> None:
        np.copyto(out, rows)
        height, width = rows.shape[1:3]
        for target, patch in zip(out, draws, strict=True):
            if patch is not None:
                target[rectangle(height, width, patch)] = self.value


def rectangle(height: int, width: int, patch: Patch) -> tuple[slice, slice]:
    """Return the rows and columns that are erased: at least one of each.

    Args:
        height: of the picture.
        width: of the picture.
        patch: as `Erase.draw` returns it.
    """
    share, shape, top, left = patch
    area = share * height * width
    tall, wide = (min(size, max(1, round(side))) for size, side in ((height, math.sqrt(area / shape)), (width, math.sqrt(area * shape))))
    first, leftmost = int(top * (height - tall + 1)), int(left * (width - wide + 1))
    return slice(first, first + tall), slice(leftmost, leftmost + wide)
