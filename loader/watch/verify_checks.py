"""What `loader inspect --verify` does with each file, or with each sample of a source."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from loader.data.layout import aligned_empty
from loader.data.npy_files import NpyFiles
from loader.data.pipeline import Pipeline
from loader.data.source import BadSample, Source
from loader.data.verify import Usual, check_file
from loader.errors import NpyError


def files_in(folder: Path) -> NpyFiles:
    """Return the files of a folder, as classes where it has sub-folders; names that begin with a dot count for nothing, as everywhere."""
    with os.scandir(folder) as entries:
        has_classes = any(entry.is_dir() and not entry.name.startswith(".") for entry in entries)
    return NpyFiles.from_folder(folder) if has_classes else NpyFiles(folder)


class BadItem(Exception):
    """A file or sample is bad; the message says why."""


class Check(Protocol):
    """Looks at items by number. It travels to processes of its own, which may die of an item."""

    noun: str

    def __len__(self) -> int: ...

    def name_of(self, index: int) -> str | None:
        """Return the path of an item, or None where it has none."""

    def check(self, index: int, advance: Callable[[int], None]) -> tuple[int, int]:
        """Read an item; return how many of its values are NaN, and how many infinite.

        Args:
            index: of the item.
            advance: is told the bytes of each piece that was read.

        Raises:
            BadItem: it is bad.
        """


class FileCheck:
    """Files, read to their last byte.

    Args:
        files: to read.
        usual: the form that all must have; None for any.
    """

    noun = "files"

    def __init__(self, files: NpyFiles, usual: Usual | None) -> None:
        self._files = files
        self._usual = usual

    def __len__(self) -> int:
        return len(self._files)

    def name_of(self, index: int) -> str | None:
        return self._files.name_of(index)

    def check(self, index: int, advance: Callable[[int], None]) -> tuple[int, int]:
        path = self._files.name_of(index)
        assert path is not None
        try:
            return check_file(path, self._usual, advance)
        except NpyError as error:
            raise BadItem(error.problem) from error
        except OSError as error:
            raise BadItem(error.strerror or str(error)) from error


class SampleCheck:
    """Samples, made by source and transforms as in the first epoch of training.

    Args:
        source: of the samples.
        settings: for `Pipeline`: transforms, seed and so on.
    """

    noun = "samples"

    def __init__(self, source: Source, **settings: Any) -> None:
        self._source = source
        self._settings = settings
        self._pipeline: Pipeline | None = None

    def __len__(self) -> int:
        return len(self._source)

    def name_of(self, index: int) -> str | None:
        return self._source.name_of(index)

    def check(self, index: int, advance: Callable[[int], None]) -> tuple[int, int]:
        pipeline = Pipeline(self._source, **self._settings) if self._pipeline is None else self._pipeline
        try:
            if self._pipeline is None:  # what a finished sample is, the first good one tells
                spec = pipeline.compile(Pipeline(self._source.subset([index]), **self._settings).probe())
                self._out = [aligned_empty((1, *leaf.shape), leaf.dtype) for leaf in spec.leaves]
                self._pipeline = pipeline
            pipeline.fill(np.array([index]), 0, self._out, memoryview(bytearray(8)).cast("q"))
        except BadSample as bad:
            raise BadItem(pipeline.sample_error(bad).reason) from bad
        advance(sum(leaf.nbytes for leaf in self._out))
        floats = [leaf for leaf in self._out if leaf.dtype.kind in "fc"]
        nan = sum(int(np.isnan(leaf).sum()) for leaf in floats)
        return nan, sum(int((~np.isfinite(leaf)).sum()) for leaf in floats) - nan
