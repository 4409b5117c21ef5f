"""Sounds that are cut, or filled up, to one duration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from loader.data.spec import Array, Leaf
from loader.data.transforms.arguments import choice_of, positive_of
from loader.data.transforms.leaf_transform import Fields, LeafTransform
from loader.errors import ConfigError


class Excerpt(LeafTransform):
    """Cut a part of one duration out of each sound. A sound that is shorter is kept whole, and zeros are added at its end.

    For arrays (samples,) or (samples, channels) of any dtype, and for anything else that goes on in time along its first axis. They may differ in
    length. The result is `round(seconds * sample_rate)` long. All fields of a sample are cut at the same share of their length.

    Args:
        seconds: duration of the result.
        sample_rate: samples in a second: that of `decode.audio`.
        position: `"random"`, each place as likely; or `"center"`.
        fields: the arrays to cut.

    Example:
        >>> from loader import transforms as T
        >>> training, validation = [T.Excerpt(1.5, 16_000)], [T.Excerpt(1.5, 16_000, "center")]
    """

    def __init__(self, seconds: float, sample_rate: float, position: Literal["random", "center"] = "random", fields: Fields = "x") -> None:
        super().__init__(fields)
        self.seconds = positive_of(seconds, "Excerpt: seconds")
        self.sample_rate = positive_of(sample_rate, "Excerpt: sample_rate")
        self.position = choice_of(position, ("random", "center"), "Excerpt: position")
        self._length = round(self.seconds * self.sample_rate)
        if not self._length:
            raise ConfigError(f"Excerpt: {seconds} s are less than one sample at sample_rate={sample_rate}; give more seconds")

    @property
    def random(self) -> bool:
        return self.position == "random"

    @property
    def fixed_axes(self) -> int:
        return 1

    def result(self, leaf: Leaf) -> Leaf:
        if not leaf.shape:
            raise ConfigError(f"Excerpt: {leaf} is one number, without an axis to cut")
        return Leaf(leaf.part, leaf.key, (self._length, *leaf.shape[1:]), leaf.dtype)

    def draw(self, rng: np.random.Generator) -> float:
        """Return where the excerpt begins: 0 is at the start, 1 as far back as it goes."""
        return rng.random()

    def apply(self, rows: Array, out: Array, draws: Sequence[float]) -> None:
        spare = rows.shape[1] - self._length
        if spare < 0:
            out[:, : rows.shape[1]] = rows
            out[:, rows.shape[1] :] = 0
        elif not self.random:
            np.copyto(out, rows[:, spare // 2 : spare // 2 + self._length])
        else:
            for row, target, share in zip(rows, out, draws, strict=True):
                start = int(share * (spare + 1))
                np.copyto(target, row[start : start + self._length])
