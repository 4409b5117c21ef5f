"""One `.npy` file per sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from loader.data.labelled_files import LabelledFiles
from loader.data.npy import inspect_file, read_array
from loader.data.npy_reader import NpyReader
from loader.data.source import Indices
from loader.data.spec import Array
from loader.data.targets import RowGauge


class NpyFiles(LabelledFiles):
    """Samples of which each is one `.npy` file.

    The first file's header says shape and dtype. A file that differs, in anything but byte order and axis order, is a bad sample, unless the first
    transform is a function: it is given each file as it is, and has to make the samples alike, by cropping or padding them.

    Args:
        paths, labels, root, classes, sample_weight: as `LabelledFiles` has them.

    Example:
        >>> NpyFiles(["a", "b"], labels={"a": 0, "b": 1}, root="/data")
        NpyFiles(2 files in /data)
    """

    suffix: ClassVar[str] = ".npy"
    _reader: NpyReader | None = None  # of this process

    def _first_shape(self, path: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        header, _ = inspect_file(path)
        return header.shape, header.native

    def _read_file(self, path: str) -> Array:
        return read_array(path)

    def _read_files(self, indices: Indices, paths: list[bytes], out: Array, places: Sequence[int], gauge: RowGauge) -> None:
        if self._reader is None:
            leaf = self.spec.leaves[0]
            self._reader = NpyReader(leaf.shape, leaf.dtype, self._index.path(0))
        self._reader.read(indices, paths, out, places, gauge)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_reader"}
