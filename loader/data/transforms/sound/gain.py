"""Sounds that are made louder or softer at random."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from loader.data.spec import Array, Leaf
from loader.data.transforms.arguments import range_of
from loader.data.transforms.leaf_transform import Fields, LeafTransform
from loader.errors import ConfigError


class Gain(LeafTransform):
    """Make each sound louder or softer by a random number of decibels: values times `10 ** (decibels / 20)`.

    For floats of any shape; the dtype stays. Nothing is cut off, so values may get beyond -1 to 1.

    Args:
        decibels: 6 draws from -6 to 6, which is half to twice the amplitude; or a pair (low, high).
        fields: the arrays to change, all of a sample by the same amount.
    """

    random = True

    def __init__(self, decibels: float | tuple[float, float], fields: Fields = "x") -> None:
        super().__init__(fields)
        self.decibels = range_of(decibels, "Gain: decibels")

    def result(self, leaf: Leaf) -> Leaf:
        if leaf.dtype.kind != "f":
            raise ConfigError(f"Gain: {leaf}; it takes floats. What to do: put a Cast or a Rescale before it")
        return leaf

    def draw(self, rng: np.random.Generator) -> float:
        """Return the factor."""
        low, high = self.decibels
        decibels: float = low + (high - low) * rng.random()
        return 10 ** (decibels / 20)

    def apply(self, rows: Array, out: Array, draws: Sequence[float]) -> None:
        factors = np.array(draws, rows.dtype).reshape(-1, *(1,) * (rows.ndim - 1))
        np.multiply(rows, factors, out=out)
