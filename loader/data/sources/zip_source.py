"""The parts of a sample from different sources: images from one folder, masks from another, weights from an array."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from loader.data.rows import BadSample, Indices, is_fault_of_sample
from loader.data.sources.arrays.column_source import ColumnSource
from loader.data.sources.far_data import FarSpans
from loader.data.sources.members import paths_of, read_into
from loader.data.sources.source import Source, name_or_none
from loader.data.spec import PART_NAMES, Array, Leaf, Sample, SampleSpec
from loader.errors import ConfigError, LabelError

_SHOWN = 3  # IDs that a message lists


@dataclass(frozen=True)
class _Input:
    """One of the sources.

    Attributes:
        part: place in the sample's tuple; 0 is x, 1 is y, 2 is sample_weight.
        key: key in the part's dict, or None if the source is the whole part.
        source: where the part, or this entry of it, comes from.
        places: number in `source` of each sample, of shape `(len(zip),)`; None if they are the same.
    """

    part: int
    key: str | None
    source: Source
    places: Indices | None = None

    @property
    def name(self) -> str:
        """`x`, `y`, `sample_weight`, or `x['image']` for an entry of a dict."""
        return PART_NAMES[self.part] if self.key is None else f"{PART_NAMES[self.part]}[{self.key!r}]"

    def inner(self, indices: Indices) -> Indices:
        """Return the numbers in `source` of the samples `indices`."""
        return indices if self.places is None else self.places[indices]

    def value(self, index: int) -> Any:
        """Return what the source contributes to sample `index`, fresh."""
        sample = self.source.sample(index if self.places is None else int(self.places[index]))
        self._check(len(sample))
        return sample[0]

    def name_of(self, index: int) -> str | None:
        """Return the path or ID of what the source contributes to sample `index`."""
        return name_or_none(self.source, index if self.places is None else int(self.places[index]))

    def leaves(self) -> list[Leaf]:
        """Return the arrays that the source contributes, as they stand in the zipped sample."""
        spec = self.source.spec
        self._check(len(spec.parts))
        if self.key is None:
            return [replace(leaf, part=self.part) for leaf in spec.leaves]
        if spec.parts[0] is not None:
            raise ConfigError(f"{self.name}: {self.source!r} has dicts as samples, {spec}; inside a dict each source must give one array")
        return [replace(spec.leaves[0], part=self.part, key=self.key)]

    def _check(self, parts: int) -> None:
        if parts != 1:
            raise ConfigError(
                f"{self.name}: the samples of {self.source!r} have {parts} parts, {', '.join(PART_NAMES[:parts])}; Zip takes one from each source. "
                "Make this source without labels, and give the labels as a separate source"
            )


class Zip(Source):
    """Samples whose parts come from different sources: images in one folder, masks in another.

    If all sources have IDs, as files do, parts with the same ID belong together. Order and number of samples are those of the first source;
    samples that only the others have are left out. Otherwise the sources must have equal lengths, and are matched by position.

    Args:
        x: a source whose samples have one part, `(x,)`; or a dict of such sources, which gives a dict of arrays.
        y: the same, for the labels; its samples also have one part.
        sample_weight: the same, for the weights; needs y.

    Raises:
        ConfigError: the lengths differ, or what is given is not a source.
        LabelError: an ID of the first source is missing from another one, or occurs twice.

    Example:
        >>> import numpy as np
        >>> from loader import NpyArrays
        >>> Zip(NpyArrays(np.zeros((2, 8))), y=NpyArrays(np.arange(2)))
        Zip(x=NpyArrays(2 rows, x: (8,) float64), y=NpyArrays(2 rows, x: () int64))
    """

    def __init__(
        self,
        x: Source | Mapping[str, Source],
        y: Source | Mapping[str, Source] | None = None,
        sample_weight: Source | Mapping[str, Source] | None = None,
    ) -> None:
        if y is None and sample_weight is not None:
            raise ConfigError("sample_weight needs y: a sample is (x, y, sample_weight)")
        given = [x, y, sample_weight][: 1 + (y is not None) + (sample_weight is not None)]
        self._inputs = _matched([entry for part, value in enumerate(given) for entry in _inputs_of(part, value)])

    def __len__(self) -> int:
        return len(self._inputs[0].source)

    def sample(self, index: int) -> Sample:
        return self._joined([entry.value(index) for entry in self._inputs])

    def fetch(self, index: int) -> Sample:
        values: list[Any] = []
        for entry in self._inputs:
            try:
                values.append(entry.value(index))
            except BaseException as error:
                if not is_fault_of_sample(error):
                    raise
                raise BadSample(index, entry.name, entry.name_of(index)) from error
        return self._joined(values)

    def _joined(self, values: list[Any]) -> Sample:
        """Return a sample of what the inputs contribute, in their order."""
        parts: dict[int, Any] = {}
        for entry, value in zip(self._inputs, values, strict=True):
            if entry.key is None:
                parts[entry.part] = value
            else:
                parts.setdefault(entry.part, {})[entry.key] = value
        return tuple(parts.values())

    @cached_property
    def _leaves(self) -> list[list[Leaf]]:
        """The arrays of a sample, by the source that they come from. Reads the first sample of a source that can't tell otherwise."""
        return [entry.leaves() for entry in self._inputs]

    @cached_property
    def spec(self) -> SampleSpec:
        """Names, shapes and dtypes of a sample, from those of all sources."""
        return SampleSpec(tuple(leaf for leaves in self._leaves for leaf in leaves))

    def learn_from(self, index: int) -> None:
        super().learn_from(index)
        vars(self).pop("_leaves", None)
        for entry in self._inputs:
            entry.source.learn_from(index if entry.places is None else int(entry.places[index]))

    def header_spec(self) -> SampleSpec | None:
        return self.spec if all(entry.source.header_spec() is not None for entry in self._inputs) else None

    def members(self) -> Sequence[Source]:
        return [entry.source for entry in self._inputs]

    def read(self, indices: Indices, out: Sequence[Array]) -> None:
        self._read(indices, out, None)

    def read_at(self, indices: Indices, out: Sequence[Array], places: Indices) -> None:
        self._read(indices, out, places)

    def _read(self, indices: Indices, out: Sequence[Array], places: Indices | None) -> None:
        first = 0
        for entry, leaves in zip(self._inputs, self._leaves, strict=True):
            inner = entry.inner(indices)
            try:
                read_into(entry.source, inner, out[first : first + len(leaves)], places)
            except BadSample as bad:
                row = int(np.flatnonzero(inner == bad.index)[0])
                if row and places is None:  # sources that come later are unread in the rows before the bad one, which must be whole
                    self.read(indices[:row], [target[:row] for target in out])
                name = bad.name or name_or_none(entry.source, bad.index)
                raise BadSample(int(indices[row]), entry.name, name) from bad.__cause__
            first += len(leaves)

    def will_read(self, indices: Indices) -> None:
        for entry in self._inputs:
            entry.source.will_read(entry.inner(indices))

    def far_spans(self, indices: Indices) -> FarSpans:
        return [found for entry in self._inputs for found in entry.source.far_spans(entry.inner(indices))]

    def name_of(self, index: int) -> str | None:
        return self._inputs[0].source.name_of(index)

    @property
    def paths(self) -> list[str]:
        """The paths of all samples in the first source, in order, where these are files."""
        return paths_of(self._inputs[0].source)

    def ids(self) -> list[str] | None:
        return self._inputs[0].source.ids()

    def open(self) -> None:
        for entry in self._inputs:
            entry.source.open()

    def shapes_at(self, indices: Indices, look: Callable[[Source, Indices], list[Indices]]) -> list[Indices]:
        return [shapes for entry in self._inputs for shapes in entry.source.shapes_at(entry.inner(indices), look)]

    def labels(self) -> Array | None:
        found = [entry for entry in self._inputs if entry.part == 1]
        source = found[0].source if len(found) == 1 else None
        if not isinstance(source, ColumnSource) or len(source.spec.leaves) > 1 or source.spec.leaves[0].shape:
            return None  # to find them out would take reading samples
        labels = np.empty(len(self), source.spec.leaves[0].dtype)
        source.read(found[0].inner(np.arange(len(self))), [labels])
        return labels

    def __repr__(self) -> str:
        return f"Zip({', '.join(f'{entry.name}={entry.source!r}' for entry in self._inputs)})"


def _inputs_of(part: int, given: object) -> list[_Input]:
    """Return what one argument means: a source, or one for each key of a dict."""
    name = PART_NAMES[part]
    if isinstance(given, Mapping):
        if not given:
            raise ConfigError(f"{name} is an empty dict; give at least one source in it, or leave the part out")
        wrong = [key for key in given if not isinstance(key, str)]
        if wrong:
            raise ConfigError(f"the keys of {name} must be strings, not {wrong[0]!r}")
    entries: Mapping[Any, Any] = given if isinstance(given, Mapping) else {None: given}
    for key, source in entries.items():
        if not isinstance(source, Source):
            where = name if key is None else f"{name}[{key!r}]"
            raise ConfigError(f"{where} is {type(source).__name__}, not a source; for arrays: NpyArrays({where}), for a folder: NpyFiles({where})")
    return [_Input(part, key, source) for key, source in entries.items()]


def _matched(inputs: list[_Input]) -> list[_Input]:
    """Return the inputs with their samples in the order of the first one's."""
    ids = [entry.source.ids() for entry in inputs]
    known = [names for names in ids if names is not None]
    if len(known) == len(inputs):
        wanted = known[0]
        # The same files in the same order need no table; and an ID that all have twice, as a subset may, still pairs by place.
        return [
            entry if names == wanted else replace(entry, places=_places(entry, names, wanted)) for entry, names in zip(inputs, known, strict=True)
        ]
    if len({len(entry.source) for entry in inputs}) > 1:
        counts = "; ".join(f"{entry.name} has {len(entry.source):,} ({entry.source!r})" for entry in inputs)
        without = ", ".join(entry.name for entry, names in zip(inputs, ids, strict=True) if names is None)
        raise ConfigError(f"the numbers of samples differ: {counts}. They are matched by position, because {without} has no IDs")
    return inputs


def _places(entry: _Input, names: list[str], wanted: list[str]) -> Indices:
    """Return where in `names`, the IDs of `entry`, each of the first source's IDs is."""
    table = {name: place for place, name in enumerate(names)}
    missing = [name for name in wanted if name not in table]
    if missing:
        shown = ", ".join(map(repr, missing[:_SHOWN])) + (", ..." if len(missing) > _SHOWN else "")
        there = f"IDs that are there: {', '.join(map(repr, names[:_SHOWN]))}" if names else "it is empty"
        raise LabelError(
            f"{entry.name} lacks {len(missing):,} of the {len(wanted):,} IDs of the first source: {shown}; {there} ({entry.source!r}). "
            "An ID is a file's path relative to root, without extension: rename the files, give another root, or leave these out of the first source"
        )
    if len(table) < len(names):
        doubled = {name for place, name in enumerate(names) if table[name] != place}.intersection(wanted)
        if doubled:
            raise LabelError(
                f"{entry.name} has {len(doubled):,} of the IDs more than once, such as {min(doubled)!r}, so it is not clear which one is meant"
            )
    return np.array([table[name] for name in wanted], np.int64)
