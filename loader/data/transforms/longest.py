"""The settings of `Pad(length="batch")`, which pads samples to the longest one of their batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from loader.data.transforms.arguments import choice_of, count_of, is_whole
from loader.errors import ConfigError

Lengths = npt.ArrayLike | Callable[[tuple[int, ...]], int]


@dataclass(frozen=True, eq=False)
class Longest:
    """How samples are padded to the longest one of their batch; see `Pad`."""

    axis: int
    lengths: Lengths | None
    mask: str | None
    multiple_of: int

    @classmethod
    def of(cls, length: Any, axis: Any, lengths: Any, mask: Any, multiple_of: Any) -> Longest:
        """Return what these arguments of `Pad` mean. Raises ConfigError."""
        choice_of(length, ("batch",), "Pad: length")
        if not is_whole(axis) or axis < 0:
            raise ConfigError(f"Pad: axis={axis!r}; give a whole number, 0 or more; the batch axis does not count")
        if mask is not None and not (isinstance(mask, str) and mask):
            raise ConfigError(f"Pad: mask={mask!r}; give a name, or None")
        return cls(int(axis), lengths, mask, count_of(multiple_of, "Pad: multiple_of"))

    def __str__(self) -> str:
        return f"length='batch', axis={self.axis}, mask={self.mask!r}, multiple_of={self.multiple_of}"
