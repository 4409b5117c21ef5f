"""Large arrays, one row per sample."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from loader.data.rows import BadSample, Indices
from loader.data.sources.arrays.array_column import ArrayColumn
from loader.data.sources.arrays.stored_array import StoredArray, overlaps
from loader.data.sources.files.file_listing import find_files, path_text, unreadable
from loader.data.sources.labels.labels import as_array
from loader.data.sources.source import Source
from loader.data.sources.source_mistakes import instead_of_mapping
from loader.data.spec import PART_NAMES, Array, Leaf, Sample, SampleSpec, text_remedy
from loader.errors import ConfigError, DataNotFoundError, LabelError

# Beyond this, an array whose rows overlap in memory is left so, which makes reading slower, instead of being copied row by row.
_LARGE_BYTES = 16 * 2**20

# What has one of these has its data in memory: PyTorch, JAX; pandas.
_IN_MEMORY = ("__dlpack__", "__array_interface__", "to_numpy")


class NpyArrays(Source):
    """Samples that are the rows of large arrays, in files or in memory.

    Only headers are read here; the processes that read a file map it, read-only. A row of a file in C order and this machine's byte order is
    copied once. Files in Fortran order work, but their rows are scattered over the whole file: convert large ones.

    Args:
        x: a path, a glob or a list of paths of `.npy` files (joined on axis 0: any number of rows each, one row shape and dtype), an array, or a
            dict of those. Arrays in memory are copied into memory that all workers share; an `np.memmap`, or a part or a window of one, is sent
            as its path instead.
        y: labels in the same forms, with as many rows as x; a list of numbers becomes an array (Python ints int32, floats float32).
        sample_weight: weights in the same forms; needs y.

    Raises:
        ConfigError: an argument is missing, or reads its data on demand, as `h5py.Dataset` does.
        DataNotFoundError: there is no file at a path or glob.
        LabelError: the numbers of rows differ.
        NpyError: a file is not a `.npy` file of a supported array, or longer or shorter than its header says.

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
            if isinstance(given, Mapping):
                if not isinstance(given, dict):
                    raise ConfigError(f"{PART_NAMES[part]} is of type {type(given).__name__}: {instead_of_mapping(given)}")
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
            weights = "; for weights by class number: Loader(..., class_weight=...)" if part == 2 else ""
            raise ConfigError(f"the keys of {PART_NAMES[part]} must be strings, not {key!r}{weights}")
        if isinstance(value, Mapping):
            raise ConfigError(f"{name} is a dict inside a dict; give each of its arrays a key in the outer dict")
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
        return [_stored(path) for path in _files(value, name)]
    if isinstance(value, (list, tuple)) and not value:
        raise DataNotFoundError(f"{name} is an empty list")
    if isinstance(value, (list, tuple)) and all(isinstance(item, (str, os.PathLike)) for item in value):
        try:
            return [_stored(path) for item in value for path in _files(item, name)]
        except DataNotFoundError as error:
            raise DataNotFoundError(
                f"{error}\n{name} is a list of strings, which are taken as paths; if they are not paths: {text_remedy(name)}"
            ) from None
    _refuse_what_is_read_later(value, name)
    if isinstance(value, np.ndarray) and value.ndim and value.dtype.kind in "biufc":
        stored = StoredArray.of_view(value)
        if stored is not None:
            return [stored]
        if overlaps(value) and value.nbytes > _LARGE_BYTES:
            return [np.asarray(value)]
    try:
        array = np.asarray(as_array(value, None, name))  # asarray: a memmap that can't travel by its path is an array like any other
    except LabelError as error:
        raise LabelError(f"{error}{_text_columns(value)}") from error.__cause__
    if array.dtype.kind == "U":
        first = str(array.flat[0]) if array.size else ""
        paths = f"; for paths give a list: {name}.tolist(), or NpyFiles({name}.tolist()) for one file per sample" if first.endswith(".npy") else ""
        raise LabelError(f"{name} holds text, such as {first[:60]!r}; {text_remedy(name)}{paths}{_text_columns(value)}")
    return [array]


def _text_columns(value: Any) -> str:
    """Return which columns of a data frame are no numbers."""
    kinds: Any = getattr(value, "dtypes", None)
    if not hasattr(kinds, "items"):
        return ""
    columns = [str(column) for column, dtype in kinds.items() if getattr(dtype, "kind", "O") not in "biufc"]
    return f". Columns that are not numbers: {', '.join(columns[:10])}{', ...' if len(columns) > 10 else ''}"


def _stored(path: str) -> StoredArray:
    try:
        return StoredArray.of_file(path)
    except OSError as error:
        raise unreadable(path, error) from None


def _refuse_what_is_read_later(value: Any, name: str) -> None:
    """Raise ConfigError for what looks like an array but has its data elsewhere (h5py, zarr, dask): making an array of it would read it all."""
    kind = type(value)
    looks_so = all(hasattr(kind, attribute) for attribute in ("__getitem__", "shape", "dtype"))
    if not looks_so or isinstance(value, (np.ndarray, np.generic)) or any(hasattr(kind, attribute) for attribute in _IN_MEMORY) or _is_buffer(value):
        return
    called = f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"
    raise ConfigError(
        f"{name} is a {called} of shape {value.shape} and dtype {value.dtype}, which is not in memory; NpyArrays would have to read it whole. "
        f"What to do: MapSource with an object that opens the file in its first __getitem__ and reads one sample there; or, if it fits, {name}[:]"
    )


def _is_buffer(value: Any) -> bool:
    try:
        memoryview(value).release()
    except TypeError:
        return False
    return True


def _files(path: str | os.PathLike[str], name: str) -> list[str]:
    text = os.path.expanduser(path_text(path))
    if os.path.isdir(text):
        pattern = glob.escape(text.rstrip("/")) + "/*.npy"
        raise DataNotFoundError(f"{name}={text!r} is a folder. For its files joined: {pattern!r}; for one file per sample: NpyFiles({text!r})")
    return find_files(text, (".npy",))[0]
