"""Any object with `len()` and `[]` as a source."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from loader.data import fork_guard
from loader.data.rows import Indices
from loader.data.sources.labels.labels import as_array, check_classes, number_classes
from loader.data.sources.source import Source, spec_of_example
from loader.data.sources.source_mistakes import instead_of, is_made_by
from loader.data.spec import Array, Sample, SampleSpec
from loader.errors import ConfigError, LabelError, PipelineError


class MapSource(Source):
    """Samples are `obj[0]` to `obj[len(obj) - 1]`: a PyTorch or Hugging Face Dataset, a Grain source, an HDF5 dataset, a Zarr array, a list.

    `obj` is pickled once and sent to the workers, and each of them calls `obj[i]`. What h5py has opened, in `obj` or anywhere inside
    it, is opened again by each worker, from its path. Whatever else `obj` opens must be opened in the worker, or be picklable.

    Args:
        obj: its length is asked for once, here. `obj[i]` returns a sample: a tuple `(x,)`, `(x, y)` or `(x, y, sample_weight)`, or only x. If it
            also has `__getitems__`, `obj.__getitems__([i, j, ...])` is called for several samples at once, as PyTorch does.
        ids: a name for each sample, for errors and for everything that uses IDs: a list of strings, or a function of the index.
        labels: a label for each sample, known without reading it, for `split(stratify=True)`: an array, a list, or a function of the index, which is
            called for all samples here. They become y of samples that are only x; a y that `obj` returns stays as it is.
        classes: names of all classes, in order. None: if labels are names, those that occur, sorted.

    Attributes:
        classes: names of the classes; label k means `classes[k]`. Empty if labels are numbers and no classes were given.

    Raises:
        ConfigError: `obj` lacks a method, is empty, is indexed by keys, or returns batches, as a Keras PyDataset does.
        LabelError: there are more or fewer IDs or labels than samples, or a value can't be one.
    """

    def __init__(
        self,
        obj: Any,
        ids: Sequence[str] | Callable[[int], str] | None = None,
        labels: Any = None,
        classes: Iterable[str] | None = None,
    ) -> None:
        self._length = _length_of(obj)
        self._obj = obj
        self._gives_many = hasattr(type(obj), "__getitems__")  # a protocol of PyTorch's
        self._ids = ids if ids is None or callable(ids) else _checked_ids(ids, self._length)
        self._labels: Array | None = None
        self.classes: tuple[str, ...] = () if classes is None else check_classes(classes)
        if labels is not None:
            values = [labels(index) for index in range(self._length)] if callable(labels) else labels
            self._labels, self.classes = number_classes(as_array(values, self._length), self.classes or None)

    def __len__(self) -> int:
        return self._length

    @cached_property
    def spec(self) -> SampleSpec:
        """Names, shapes and dtypes of a sample, from the first one. Raises PipelineError if that is not a sample, or is a batch."""
        try:
            spec = spec_of_example(self)
        except PipelineError as error:
            if is_made_by(self._obj, ("datasets",), "Dataset"):
                raise PipelineError(f"{error}. {_COLUMNS}") from None
            raise
        size = getattr(self._obj, "batch_size", None)
        if isinstance(size, int) and size > 1 and all(leaf.shape[:1] == (size,) for leaf in spec.leaves):
            kind = type(self._obj).__name__
            raise PipelineError(
                f"{self!r} returns batches, {spec}, with as many rows as {kind}.batch_size={size}; the Loader makes batches itself. "
                "Make obj[i] one sample, and len(obj) the number of samples; or give the arrays: NpyArrays(x, y)"
            )
        return spec

    def sample(self, index: int) -> Sample:
        return self._as_sample(self._obj[index], index)

    def read(self, indices: Indices, out: Sequence[Array]) -> None:
        self._read(indices, out, range(len(indices)))

    def read_at(self, indices: Indices, out: Sequence[Array], places: Indices) -> None:
        self._read(indices, out, places.tolist())

    def _read(self, indices: Indices, out: Sequence[Array], places: Sequence[int]) -> None:
        """Read several rows by one call if the object can, which takes a tenth of the time for Hugging Face (docs/measurements.md)."""
        if not self._gives_many or type(self).sample is not MapSource.sample:
            self._read_each(indices, out, places)
            return
        depth = fork_guard.depth()
        items = self._obj.__getitems__(indices.tolist())
        fork_guard.exit_if_forked(depth)
        for place, index, item in zip(places, indices.tolist(), items, strict=True):
            for target, leaf in zip(out, self.spec.flatten(self._as_sample(item, index)), strict=True):
                target[place] = leaf

    def _as_sample(self, item: Any, index: int) -> Sample:
        parts = item if isinstance(item, tuple) else (item,)
        return parts if self._labels is None or len(parts) != 1 else (*parts, self._labels[index].copy())

    def name_of(self, index: int) -> str | None:
        if self._ids is None:
            return None
        return self._ids(index) if callable(self._ids) else self._ids[index]

    def ids(self) -> list[str] | None:
        if callable(self._ids):
            return _checked_ids([self._ids(index) for index in range(self._length)], self._length)
        return None if self._ids is None else list(self._ids)

    def labels(self) -> Array | None:
        return self._labels

    def __repr__(self) -> str:
        return f"MapSource({self._obj.__class__.__name__} of {self._length:,})"  # not by its type: its stand-in in a worker has another one


_COLUMNS = (
    "Of a Hugging Face Dataset, keep the columns of numbers, dataset.select_columns([...]); of text make tokens first, all of one length, "
    "by dataset.map(...)"
)


def _length_of(obj: Any) -> int:
    """Return how many samples an object has. Raises ConfigError if a MapSource can't take it."""
    kind = type(obj).__name__
    instead = instead_of(obj)
    if instead is not None:
        raise ConfigError(f"MapSource asks for obj[0], obj[1], ..., one sample each; {kind} is not such an object: {instead}")
    shape = getattr(obj, "shape", None)
    if not hasattr(type(obj), "__len__") and isinstance(shape, tuple) and shape:  # an array of Zarr 3
        length: int = shape[0]
    else:
        missing = [name for name in ("__len__", "__getitem__") if not hasattr(type(obj), name)]
        if missing:
            raise ConfigError(
                f"MapSource needs an object with __len__ and __getitem__; {kind} has no {' and no '.join(missing)}. "
                "What can only be read from start to end is read by IterSource(lambda: obj); for random order, put its items into a list, or give "
                "the object these methods"
            )
        try:
            length = len(obj)
        except (TypeError, NotImplementedError, OverflowError) as error:
            raise ConfigError(f"MapSource needs the number of samples, but len() of {kind} fails: {error}") from error
    if not length:
        raise ConfigError(f"MapSource got an empty {kind}")
    if length == sys.maxsize:  # the length that Grain gives a repeated one
        raise ConfigError(f"MapSource needs the number of samples of one epoch; {kind} has no end. Leave out what repeats it: the Loader does that")
    return length


def _checked_ids(ids: Sequence[str], count: int) -> list[str]:
    """Return the IDs as a list. Raises LabelError unless there are `count` of them, all strings."""
    if isinstance(ids, str | Mapping | set | frozenset) or not isinstance(ids, Iterable):
        raise LabelError(f"ids must be a list of strings or a function of the index, not {ids!r}")
    names = list(ids)
    if len(names) != count:
        raise LabelError(f"ids: {len(names):,} names for {count:,} samples; one for each is needed, in their order")
    wrong = next((number for number, name in enumerate(names) if not isinstance(name, str)), None)
    if wrong is not None:
        raise LabelError(f"ids[{wrong}] is {names[wrong]!r}, of type {type(names[wrong]).__name__}; give strings, such as list(map(str, ids))")
    return names
