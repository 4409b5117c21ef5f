"""How a volume is told from a picture."""

from __future__ import annotations

from loader.data.spec import Leaf


def is_volume(leaf: Leaf) -> bool:
    """Whether an array is a volume, (depth, height, width, channels). One channel needs its axis, too: three axes are a picture with channels."""
    return len(leaf.shape) == 4
