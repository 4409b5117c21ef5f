"""Shapes of many samples as tables: for each array of a sample, int64 of shape `(samples, axes)`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from loader.data.rows import Indices
from loader.data.spec import Leaf

UNKNOWN = -1
"""In place of each length of a sample whose shapes could not be found out."""


def width_of(leaves: Sequence[Leaf]) -> int:
    """Return the number of lengths that the shapes of one sample have, all its arrays together."""
    return sum(len(leaf.shape) for leaf in leaves)


def same_shapes(leaves: Sequence[Leaf], samples: int) -> list[Indices]:
    """Return the shapes of samples that all look like `leaves`."""
    return [np.tile(np.array(leaf.shape, np.int64), (samples, 1)) for leaf in leaves]


def flattened(shapes: Sequence[tuple[int, ...]], leaves: Sequence[Leaf]) -> list[int]:
    """Return the shapes of one sample in a row. Raises ValueError if they have other axes than `leaves`, those of the first sample."""
    if len(shapes) != len(leaves):
        raise ValueError(f"has {len(shapes)} arrays, but the first sample has {len(leaves)}")
    for shape, leaf in zip(shapes, leaves, strict=True):
        if len(shape) != len(leaf.shape):
            raise ValueError(f"{leaf.name} has shape {shape}, {len(shape)} axes, but the first sample's has shape {leaf.shape}, {len(leaf.shape)}")
    return list(chain.from_iterable(shapes))


def split_by_leaf(table: Indices, leaves: Sequence[Leaf]) -> list[Indices]:
    """Return the shapes of each array, from rows as `flattened` makes them."""
    ends = np.cumsum([len(leaf.shape) for leaf in leaves])
    return [np.ascontiguousarray(part) for part in np.split(table, ends[:-1], axis=1)]
