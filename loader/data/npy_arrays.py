"""Large arrays, one row per sample."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from loader.data.array_column import ArrayColumn
from loader.data.file_listing import as_path_list, find_files
from loader.data.labels import as_array
from loader.data.source import BadSample, Indices, Source
from loader.data.spec import PART_NAMES, Array, Leaf, Sample, SampleSpec
from loader.data.stored_array import StoredArray
from loader.errors import ConfigError, DataNotFoundError, LabelError


class NpyArrays(Source):
    """Samples that are the rows of large arrays, in files or in memory.

    Headers are read here; a file is mapped, read-only, by the processes that read it. One pass over a file in C order and this machine's byte
    order is one copy per row. Files in Fortran order work, but a row of theirs is scattered over the whole file: convert large ones.

    Args:
        x: a path, a glob or a list of paths of `.npy` files (joined on axis 0: any number of rows each, one row shape and dtype), an array, or a
            dict of those. Arrays in memory are copied into memory that all workers share; an `np.memmap` travels by its path instead.
        y: labels in the same forms, as many rows as x; a list of numbers is taken as an array (Python ints as int32, floats as float32).
        sample_weight: weights in the same forms; needs y.

    Raises:
        DataNotFoundError: a path or glob names no file.
        LabelError: the numbers of rows differ.
        NpyError: a file is not what it should be, or longer or shorter than its header says.

    Example:
        >>> import numpy as np
        >>> NpyArrays(np.zeros((4, 28, 28), np.uint8), y=[0, 1, 1, 0])
        NpyArrays(4 rows, x: (28, 28) uint8, y: () int32)
    """

    def __init__(self, x: Any, y: Any = None, sample_weight: Any = None) -> None:
        if y is None and sample_weight is not None:
            raise ConfigError("sample_weight needs y: a sample is (x, y, sample_weight)")
        self._leaves: list[Leaf] = []
        self._columns: list[ArrayColumn] = []
        for part, given in enumerate((x, y, sample_weight)):
            if isinstance(given, dict):
                if not given:
                    raise ConfigError(f"{PART_NAMES[part]} is an empty dict")
                for key, value in given.items():
                    self._add(part, key, value)
            elif given is not None:
                self._add(part, None, given)
        if not self._columns or self._leaves[0].part:
            raise ConfigError("x is None; give a path, a glob, a list of paths, an array, or a dict of those")
        self._check_rows()

    def _add(self, part: int, key: Any, value: Any) -> None:
        name = PART_NAMES[part] if key is None else f"{PART_NAMES[part]}[{key!r}]"
        if key is not None and not isinstance(key, str):
            raise ConfigError(f"the keys of {PART_NAMES[part]} must be strings, not {key!r}")
        column = ArrayColumn(_parts(value, name))
        self._columns.append(column)
        self._leaves.append(Leaf(part, key, column.shape, column.dtype))

    def _check_rows(self) -> None:
        counts = {leaf.name: len(column) for leaf, column in zip(self._leaves, self._columns, strict=True)}
        if len(set(counts.values())) > 1:
            listed = "; ".join(
                f"{leaf.name} has {len(column):,} ({column.describe()})" for leaf, column in zip(self._leaves, self._columns, strict=True)
            )
            raise LabelError(f"the numbers of rows differ: {listed}")

    def __add__(self, other: Source) -> Source:
        """Return a source of this one's samples followed by the other's."""
        if type(self) is not NpyArrays or type(other) is not NpyArrays or self.spec != other.spec:
            return super().__add__(other)
        joined = NpyArrays.__new__(NpyArrays)  # a row is found faster than in two sources
        joined._leaves = self._leaves
        joined._columns = [ArrayColumn.joined(pair) for pair in zip(self._columns, other._columns, strict=True)]
        return joined

    def __len__(self) -> int:
        return len(self._columns[0])

    def sample(self, index: int) -> Sample:
        return self.spec.unflatten([column.row(index) for column in self._columns])

    @cached_property
    def spec(self) -> SampleSpec:
        """Names, shapes and dtypes of a sample, from the headers."""
        return SampleSpec(tuple(self._leaves))

    def header_spec(self) -> SampleSpec:
        return self.spec

    def read(self, indices: Indices, out: Sequence[Array]) -> None:
        try:
            self._read(indices, out, None)
        except BadSample as bad:
            # A later column, or a file that came earlier, may be unread in rows before the bad one; they must be whole.
            row = int(np.flatnonzero(indices == bad.index)[0])
            self.read(indices[:row], [target[:row] for target in out])
            raise

    def read_at(self, indices: Indices, out: Sequence[Array], places: Indices) -> None:
        self._read(indices, out, places)

    def _read(self, indices: Indices, out: Sequence[Array], places: Indices | None) -> None:
        for leaf, column, target in zip(self._leaves, self._columns, out, strict=True):
            try:
                column.read(indices, target, places)
            except BadSample as bad:
                raise BadSample(bad.index, leaf.name, column.name_of(bad.index)) from bad.__cause__

    def name_of(self, index: int) -> str | None:
        return self._columns[0].name_of(index)

    def open(self) -> None:
        for column in self._columns:
            column.open()

    def labels(self) -> Array | None:
        found = [column for leaf, column in zip(self._leaves, self._columns, strict=True) if leaf.part == 1]
        return found[0].whole() if len(found) == 1 else None

    def __repr__(self) -> str:
        return f"NpyArrays({len(self):,} rows, {', '.join(map(str, self._leaves))})"


def _parts(value: Any, name: str) -> list[StoredArray | Array]:
    """Return the parts that one argument means: places in files, or one array."""
    if isinstance(value, (str, os.PathLike)):
        return [StoredArray.of_file(path) for path in _files(value, name)]
    if isinstance(value, (list, tuple)) and all(isinstance(item, (str, os.PathLike)) for item in value):
        return [StoredArray.of_file(path) for item in as_path_list(value) for path in _files(item, name)]
    if isinstance(value, np.memmap):
        stored = StoredArray.of_memmap(value)
        if stored is not None:
            as_array(value[:0], None, name)  # refuses the dtypes that batches can't hold
            return [stored]
    array = np.asarray(as_array(value, None, name))  # asarray: a memmap that can't travel by its path is an array like any other
    if array.dtype.kind == "U":
        raise LabelError(f"{name} holds strings; give class numbers: classes, {name} = np.unique(names, return_inverse=True)")
    return [array]


def _files(path: str | os.PathLike[str], name: str) -> list[str]:
    text = os.path.expanduser(os.fspath(path))
    if os.path.isdir(text):
        pattern = glob.escape(text.rstrip("/")) + "/*.npy"
        raise DataNotFoundError(f"{name}={text!r} is a folder. For its files joined: {pattern!r}; for one file per sample: NpyFiles({text!r})")
    return find_files(text, ".npy")[0]
