"""The sum of sources, and whether its samples are of one kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain

import numpy as np

from loader.data.copy_rows import by_part
from loader.data.rows import BadSample, Indices, is_fault_of_sample
from loader.data.sources.examples import places_of_examples
from loader.data.sources.far_data import FarSpans
from loader.data.sources.members import paths_of, read_into
from loader.data.sources.source import Source
from loader.data.spec import Array, Leaf, Sample, SampleSpec
from loader.errors import ConfigError


class Joined(Source):
    """The samples of several sources, one source after the other.

    All must have the same spec, unless functions take them apart from the start: `check_sums`.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        flat: list[Source] = []
        for source in sources:
            flat.extend(source._sources if isinstance(source, Joined) else [source])
        self._sources: list[Source] = flat
        self._ends: Indices = np.cumsum([len(source) for source in flat], dtype=np.int64)

    def __len__(self) -> int:
        return int(self._ends[-1])

    @cached_property
    def spec(self) -> SampleSpec:
        """Names, shapes and dtypes of a sample: those of the first source, or of the one with the sample to learn from."""
        return self._locate(self._example)[0].spec

    def learn_from(self, index: int) -> None:
        super().learn_from(index)
        source, inner = self._locate(index)
        source.learn_from(inner)

    def _start(self, number: int) -> int:
        return int(self._ends[number - 1]) if number else 0

    def _locate(self, index: int) -> tuple[Source, int]:
        number = int(np.searchsorted(self._ends, index, side="right"))
        return self._sources[number], index - self._start(number)

    def sample(self, index: int) -> Sample:
        source, inner = self._locate(index)
        return source.sample(inner)

    def fetch(self, index: int) -> Sample:
        source, inner = self._locate(index)
        try:
            return source.fetch(inner)
        except BadSample as bad:
            raise bad.at(index) from bad.__cause__

    def read(self, indices: Indices, out: Sequence[Array]) -> None:
        try:
            for number, inner, places in by_part(self._ends, indices):
                self._read_part(number, inner, out, None if len(places) == len(indices) else places)
        except BadSample as bad:
            # Other sources may be unread in rows before the bad one, or have a bad one there.
            row = int(np.flatnonzero(indices == bad.index)[0])
            if row:
                self.read(indices[:row], [target[:row] for target in out])
            raise

    def _read_part(self, number: int, inner: Indices, out: Sequence[Array], places: Indices | None) -> None:
        try:
            read_into(self._sources[number], inner, out, places)
        except BadSample as bad:
            raise bad.at(bad.index + self._start(number)) from bad.__cause__

    def will_read(self, indices: Indices) -> None:
        for number, inner, _ in by_part(self._ends, indices):
            self._sources[number].will_read(inner)

    def far_spans(self, indices: Indices) -> FarSpans:
        return [found for number, inner, _ in by_part(self._ends, indices) for found in self._sources[number].far_spans(inner)]

    def header_spec(self) -> SampleSpec | None:
        return self._locate(self._example)[0].header_spec()

    def members(self) -> Sequence[Source]:
        return self._sources

    def name_of(self, index: int) -> str | None:
        source, inner = self._locate(index)
        return source.name_of(inner)

    @property
    def paths(self) -> list[str]:
        """The paths of all samples, in order, where these are files."""
        return [path for source in self._sources for path in paths_of(source)]

    def ids(self) -> list[str] | None:
        ids = [source.ids() for source in self._sources]
        known = [names for names in ids if names is not None]
        return list(chain.from_iterable(known)) if len(known) == len(ids) else None

    def open(self) -> None:
        for source in self._sources:
            source.open()

    def shape_of(self, index: int) -> Sequence[tuple[int, ...]]:
        source, inner = self._locate(index)
        return source.shape_of(inner)

    def shapes_at(self, indices: Indices, look: Callable[[Source, Indices], list[Indices]]) -> list[Indices]:
        axes = [len(leaf.shape) for leaf in self.spec.leaves]
        shapes = [np.empty((len(indices), count), np.int64) for count in axes]
        for number, inner, places in by_part(self._ends, indices):
            source = self._sources[number]
            if [len(leaf.shape) for leaf in source.spec.leaves] != axes:
                raise ConfigError(_unlike(self, source, source.spec, self._sources[0], self.spec))
            for table, found in zip(shapes, source.shapes_at(inner, look), strict=True):
                table[places] = found
        return shapes

    def file_rows(self) -> Indices | None:
        rows = [source.file_rows() for source in self._sources]
        known = [array for array in rows if array is not None]
        return np.concatenate(known) if len(known) == len(rows) else None

    def labels(self) -> Array | None:
        labels = [source.labels() for source in self._sources]
        known = [array for array in labels if array is not None]
        return np.concatenate(known) if len(known) == len(labels) else None

    def __repr__(self) -> str:
        return " + ".join(map(repr, self._sources))


def check_sums(source: Source, *, reading: bool, any_size: bool = False) -> None:
    """Raise ConfigError if a sum that `source` is, or is made of, has samples of different specs.

    Args:
        source: to look at.
        reading: also read first samples, of sources that tell their spec in no other way, or others where these are bad. What can't be read is left
            to whoever needs it.
        any_size: allow them to differ in size, as long as they have as many axes.
    """
    for member in source.members():
        check_sums(member, reading=reading, any_size=any_size)
    if not isinstance(source, Joined):
        return
    known = [(member, spec) for member in source.members() if (spec := _known_spec(member, reading)) is not None]
    for member, spec in known[1:]:
        first, expected = known[0]
        if spec != expected and not (any_size and _without_sizes(spec) == _without_sizes(expected)):
            raise ConfigError(_unlike(source, member, spec, first, expected))


def sums_differ(source: Source) -> bool:
    """Whether a sum that `source` is, or is made of, may have samples of different specs, as far as is known by now: nothing is read."""
    if any(map(sums_differ, source.members())):
        return True
    specs = [vars(member).get("spec") or _known_spec(member, reading=False) for member in source.members()] if isinstance(source, Joined) else []
    return any(spec is None or spec != specs[0] for spec in specs)


def _without_sizes(spec: SampleSpec) -> list[Leaf]:
    return [replace(leaf, shape=(0,) * len(leaf.shape)) for leaf in spec.leaves]


def _unlike(source: Source, member: Source, spec: SampleSpec, first: Source, expected: SampleSpec) -> str:
    return (
        f"{source!r}: the samples of {member!r} are {spec}, those of {first!r} are {expected}. What is added must have samples of one kind, "
        "unless the first transform is a function that makes them alike; or Resize, Pad or Crop, where only sizes differ"
    )


def _known_spec(source: Source, reading: bool) -> SampleSpec | None:
    others = places_of_examples(len(source)) if reading else []
    for place in dict.fromkeys([source._example, *others]):
        if place != source._example:
            source.learn_from(place)
        try:
            return source.spec if reading else source.header_spec()
        except BaseException as error:
            if not is_fault_of_sample(error):
                raise
    return None
