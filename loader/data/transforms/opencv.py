"""Transforms of pictures that OpenCV does: what they have in common, and the only import of it here."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from loader.data.spec import Array, Leaf
from loader.data.transforms.leaf_transform import Change, Fields, LeafTransform, change_each
from loader.errors import ConfigError

INTERPOLATIONS = {"nearest": "INTER_NEAREST", "linear": "INTER_LINEAR", "cubic": "INTER_CUBIC", "area": "INTER_AREA"}

_OR_VOLUME = ", or a volume, (depth, height, width, channels)"
_CHANNELS = 4  # more, most functions of OpenCV refuse
_NO_MEMORY = -4  # cv::Error::StsNoMem
_LARGEST = 2**15 - 1  # OpenCV counts pixels of a side in 16 bits
_FLIPPED = frozenset(("uint8", "int8", "uint16", "int16", "int32", "float32", "float64"))


def import_for_flips() -> None:
    """Import OpenCV, if it is installed, so that `flip_of` can use it."""
    if importlib.util.find_spec("cv2") is not None:
        importlib.import_module("cv2")


def flip_of(leaf: Leaf, axis: int) -> Callable[[Array, Array], Any] | None:
    """Return a function that mirrors a row along `axis` into another array, twice to a dozen times as fast as NumPy (docs/measurements.md).

    None where OpenCV has not been imported, or can't do it; the values are the same either way.
    """
    cv2, shape = sys.modules.get("cv2"), leaf.shape
    if (
        cv2 is None
        or axis > 1
        or len(shape) not in (2, 3)
        or shape[2:] > (_CHANNELS,)
        or 0 in shape
        or max(shape[:2]) > _LARGEST
        or leaf.dtype.name not in _FLIPPED
    ):
        return None
    return lambda row, target: cv2.flip(row, axis, dst=target)  # 0 exchanges rows, 1 columns


class OpenCvTransform(LeafTransform):
    """A transform of pictures, (height, width) or (height, width, channels), that OpenCV does row by row, straight into their place.

    Attributes:
        dtypes: what it takes.
        volumes: whether it takes volumes, too, for which it needs no OpenCV.
    """

    modules = ("cv2",)
    dtypes: tuple[str, ...] = ("uint8", "uint16", "int16", "float32", "float64")

    volumes = False

    def __init__(self, fields: Fields, **moving: Fields) -> None:
        super().__init__(fields, **moving)
        if not self.volumes:
            self._check_installed()

    def open(self) -> None:
        importlib.import_module("cv2")

    def result(self, leaf: Leaf) -> Leaf:
        name = type(self).__name__
        if len(leaf.shape) not in (2, 3) or 0 in leaf.shape:
            raise ConfigError(f"{name}: {leaf} is not a picture, (height, width) or (height, width, channels){_OR_VOLUME if self.volumes else ''}")
        if max(leaf.shape[:2]) > _LARGEST:
            raise ConfigError(f"{name}: {leaf} is larger than OpenCV allows, {_LARGEST:,} pixels a side")
        if leaf.dtype.name not in self.dtypes:
            raise ConfigError(f"{name}: {leaf}; it takes {', '.join(self.dtypes)}. What to do: put a Cast before it, such as Cast('float32')")
        self._check_installed()
        return leaf

    def apply(self, rows: Array, out: Array, draws: Sequence[Any]) -> None:
        change = self.change(Leaf(0, None, rows.shape[1:], rows.dtype))
        assert change is not None
        change_each(change, rows, out, draws)

    def change(self, leaf: Leaf) -> Change | None:
        cv2 = importlib.import_module("cv2")
        change = self.change_by(cv2, leaf)
        if leaf.shape[2:] > (_CHANNELS,):
            change = _some_channels_at_a_time(change)

        def told_from_want_of_memory(row: Array, out: Array, drawn: Any) -> Array:
            try:
                return change(row, out, drawn)
            except cv2.error as error:
                if error.code == _NO_MEMORY:
                    raise MemoryError(str(error)) from error
                raise

        return told_from_want_of_memory

    @abstractmethod
    def change_by(self, cv2: Any, leaf: Leaf) -> Change:
        """Return what `change` does, for pictures of at most four channels.

        Args:
            cv2: the module.
            leaf: a picture; with more channels, if it has them.
        """

    def _check_installed(self) -> None:
        if importlib.util.find_spec("cv2") is None:
            raise ConfigError(f"{type(self).__name__} needs OpenCV, not installed here. What to do: pip install 'npy-loader[image]'")


def _some_channels_at_a_time(change: Change) -> Change:
    def changed(row: Array, out: Array, drawn: Any) -> Array:
        for first in range(0, row.shape[2], _CHANNELS):
            some = np.s_[..., first : first + _CHANNELS]
            out[some] = change(np.ascontiguousarray(row[some]), np.empty_like(out[some], order="C"), drawn)
        return out

    return changed
