"""The step of a pipeline in which built-in transforms work on many rows at once, array by array."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from loader.data.pipeline.segments import Rows, Segment, read_rows
from loader.data.rng import SampleGenerator
from loader.data.rows import BadSample, RowGauge
from loader.data.sources.source import Source
from loader.data.spec import Array, Leaf, SampleSpec
from loader.data.stopwatch import READ, WRITE, Stopwatch, stage_of
from loader.data.transforms import LeafTransform, RowError
from loader.data.transforms.leaf_transform import Change

# Smaller rows are gathered faster than they are looked at one by one (docs/measurements.md).
_SEEN_BYTES = 32 * 1024

_MOST_SHAPES = 1024  # that are remembered

Shapes = tuple[tuple[int, ...], ...]
"""Of the arrays of a sample."""


class _Link(NamedTuple):
    """What a transform does to an array.

    Attributes:
        place: of the transform in the list.
        transform: does it.
        leaf: what it makes.
        change: does it to one row; None if it is for many at once.
    """

    place: int
    transform: LeafTransform
    leaf: Leaf
    change: Change | None


Run = list[_Link]
"""What is done to an array row by row, each of them through all of it; or a single transform of many rows."""


class LeafSegment(Segment):
    """Built-in transforms, applied array by array.

    Args:
        transforms: with their places.
        spec: of what comes in.
        generator: of random draws.
        source: where it comes from, if it may be looked at there.

    Attributes:
        chains: for each array what is done to it, one run after the other.
        random: the transforms that draw, with their places.
    """

    def __init__(
        self, transforms: Sequence[tuple[int, LeafTransform]], spec: SampleSpec, generator: SampleGenerator, source: Source | None = None
    ) -> None:
        self._generator = generator
        self.chains: list[list[Run]] = [[] for _ in spec.leaves]
        leaves = list(spec.leaves)
        for place, transform in transforms:
            for number, step, leaf in transform.steps(SampleSpec(tuple(leaves))):
                step.open()
                _append(self.chains[number], _Link(place, step, leaf, step.change(leaves[number])))
                leaves[number] = leaf
        self.random = [(place, transform) for place, transform in transforms if transform.random]
        self._spec = spec
        self.result = SampleSpec(tuple(leaves))
        self._looks = [
            source is not None and leaf.nbytes >= _SEEN_BYTES and _cuts(chain) for leaf, chain in zip(spec.leaves, self.chains, strict=True)
        ]
        if source is None or not any(self._looks) or source.views(np.array([source._example])) is None:
            self._looks = [False] * len(leaves)
        self.scratch_bytes = sum(map(_scratch_bytes, spec.leaves, self.chains, self._looks))

    def touches(self, leaf: int) -> bool:
        return bool(self.chains[leaf])

    def run(self, rows: Rows, out: list[Array]) -> None:
        draws = self._draw(rows)
        arrays: list[Any] = rows.arrays or self._views(rows, out) or self._read(rows, out)
        for number, chain in enumerate(self.chains):
            if chain:
                try:
                    _run_chain(chain, arrays[number], out[number], draws, rows.watch)
                except RowError as error:
                    raise BadSample(int(rows.indices[error.row]), self.result.leaves[number].name) from error
            elif arrays[number] is not out[number]:
                out[number][...] = arrays[number]
                if rows.watch is not None:
                    rows.watch.lap(WRITE)

    def _draw(self, rows: Rows) -> dict[int, list[Any]]:
        at, indices = self._generator.at, rows.indices.tolist()
        draws = {}
        for place, transform in self.random:
            draws[place] = [transform.draw(at(rows.epoch, index, place)) for index in indices]
            if rows.watch is not None:
                rows.watch.lap(stage_of(place))
        return draws

    def _views(self, rows: Rows, out: list[Array]) -> list[Any] | None:
        """Return large rows that are to be cut where they lie, so that what is cut off is not copied; None if they must be read, as others are."""
        views = rows.source.views(rows.indices) if any(self._looks) else None
        if views is None:
            return None
        arrays: list[Any] = []
        for found, looks, chain, leaf, target in zip(views, self._looks, self.chains, self._spec.leaves, out, strict=True):
            if looks:
                arrays.append(found)
            else:
                arrays.append(np.empty((len(found), *leaf.shape), leaf.dtype) if chain else target)
                for place, row in enumerate(found):
                    arrays[-1][place] = row
        if rows.watch is not None:
            rows.watch.lap(READ)
        return arrays

    def _read(self, rows: Rows, out: list[Array]) -> list[Array]:
        """Read the rows from the source: to scratch what will be transformed, the rest to its place."""
        count = len(rows.indices)
        targets = [
            np.empty((count, *leaf.shape), leaf.dtype) if chain else target
            for leaf, chain, target in zip(self._spec.leaves, self.chains, out, strict=True)
        ]
        read_rows(rows.source, rows.indices, targets, RowGauge(rows.progress, rows.first))
        if rows.watch is not None:
            rows.watch.lap(READ)
        return targets

    def run_sample(self, leaves: Sequence[Array], epoch: int, index: int, watch: Stopwatch | None) -> list[Array]:
        """Return what becomes of the arrays of one sample. Raises RowError."""
        draws: dict[int, list[Any]] = {}
        for place, transform in self.random:
            draws[place] = [transform.draw(self._generator.at(epoch, index, place))]
        made = list(leaves)
        for number, chain in enumerate(self.chains):
            if chain:
                leaf = self.result.leaves[number]
                out = np.empty((1, *leaf.shape), leaf.dtype)
                _run_chain(chain, np.asarray(leaves[number], order="C")[None], out, draws, watch)
                made[number] = out[0]
        return made


class SegmentsByShape:
    """A segment for each combination of shapes that samples have had.

    Args:
        make: makes it, from the shapes of the arrays of a sample.
    """

    def __init__(self, make: Callable[[Shapes], LeafSegment]) -> None:
        self._make = make
        self._known: dict[Shapes, LeafSegment] = {}

    def of(self, leaves: Sequence[Array]) -> LeafSegment:
        """Return that of a sample with these arrays."""
        shapes = tuple([leaf.shape for leaf in leaves])
        segment = self._known.get(shapes)
        if segment is None:
            if len(self._known) >= _MOST_SHAPES:
                self._known.clear()
            segment = self._known[shapes] = self._make(shapes)
        return segment


def _run_chain(chain: Sequence[Run], array: Any, out: Array, draws: Mapping[int, list[Any]], watch: Stopwatch | None) -> None:
    for step, run in enumerate(chain, 1):
        place, transform, leaf, _ = run[-1]
        target = out if step == len(chain) else np.empty((len(out), *leaf.shape), leaf.dtype)
        if run[0].change is not None and (len(run) > 1 or len(out) == 1 or isinstance(array, list)):
            _run_row_by_row(run, array, target, draws, watch)
        else:
            transform.apply(array, target, draws.get(place, ()))
            if watch is not None:
                watch.lap(stage_of(place))
        array = target


def _append(chain: list[Run], link: _Link) -> None:
    if chain and chain[-1][-1].change and link.change:
        chain[-1].append(link)
    else:
        chain.append([link])


def _cuts(chain: Sequence[Run]) -> bool:
    """Whether a part of each row is all that is used of it."""
    return bool(chain) and chain[0][0].change is not None and chain[0][0].transform.aligns


def _scratch_bytes(leaf: Leaf, chain: Sequence[Run], looks: bool) -> int:
    """Return what a row needs on its way through a chain."""
    if looks:
        return max((run[-1].leaf.nbytes for run in chain[:-1]), default=0)
    return leaf.nbytes if chain else 0


def _run_row_by_row(run: Run, array: Any, out: Array, draws: Mapping[int, list[Any]], watch: Stopwatch | None) -> None:
    """Take each row through a whole run before the next one: what is made of it on the way stays in the caches."""
    none, apart = [None] * len(out), isinstance(array, list)
    steps = [(link.change, draws.get(link.place, none), stage_of(link.place)) for link in run if link.change]
    scratch = [np.empty(link.leaf.shape, link.leaf.dtype) for link in run[:-1]]
    for number, target in enumerate(out):
        row = array[number]
        if watch is not None and apart:  # or reading it would be taken for a part of what the first transform does
            row = row.copy()
            watch.lap(READ)
        for (change, drawn, stage), made in zip(steps, (*scratch, target), strict=True):
            row = change(row, made, drawn[number])
            if watch is not None:
                watch.lap(stage)
        if row is not target:
            target[...] = row
