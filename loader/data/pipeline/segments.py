"""The steps of a pipeline: reading rows from the source, and the two ways in which transforms run, array by array on many rows or sample by sample.

Source and transforms may be the user's own and raise what they like; here it is found out which sample that was.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np

from loader.data import fork_guard
from loader.data.pipeline.transform_mistakes import misunderstanding
from loader.data.rng import SampleGenerator
from loader.data.rows import UNKNOWN_ROW, BadSample, Indices, RowGauge, Targets, is_fault_of_sample
from loader.data.sources.source import Source
from loader.data.spec import Array, Sample, SampleSpec
from loader.data.stopwatch import READ, WRITE, Stopwatch, stage_of
from loader.data.transforms import Batch, LeafTransform
from loader.errors import PipelineError


def read_rows(source: Source, indices: Indices, out: Sequence[Array], gauge: RowGauge) -> None:
    """Read the samples `indices` into the rows of `out`, as `Source.read` does.

    `read` has to say which sample failed. One that raises anything else is asked again, row by row, and the first row that fails alone is to
    blame. If none does, all are there: how many rows are read at once depends on the time that they take, and must not decide what is an error.

    `gauge` shows the row that is being read, where the source tells; `UNKNOWN_ROW` afterwards.

    Raises:
        BadSample: names the sample that failed, from its cause.
    """
    depth = fork_guard.depth()
    try:
        source.read(indices, Targets(out, gauge))
    except BaseException as error:
        fork_guard.exit_if_forked(depth)
        if not is_fault_of_sample(error) or (isinstance(error, BadSample) and error.index in indices):
            raise
        if len(indices) == 1:
            raise BadSample(int(indices[0])) from error
    else:
        gauge.cell[0] = UNKNOWN_ROW
        return
    for row in range(len(indices)):
        read_rows(source, indices[row : row + 1], [leaf[row : row + 1] for leaf in out], RowGauge(gauge.cell, gauge.first + row))


Transform = Callable[[Sample, "np.random.Generator"], Sample]


@dataclass
class Rows:
    """Some samples on their way through a pipeline.

    Attributes:
        source: where they come from.
        indices: which they are, of shape `(n,)`.
        epoch: of the random draws.
        progress: one writable cell for the row that is being read or that a user's function is at, so that a death names it.
        first: number of the first of these rows in the whole work.
        arrays: what the segments before made of them, one array per leaf; None while they are still in the source.
        watch: to be told what was done, where these rows are timed.
    """

    source: Source
    indices: Indices
    epoch: int
    progress: memoryview
    first: int
    arrays: list[Array] | None = None
    watch: Stopwatch | None = None


class Segment(ABC):
    """Neighbouring transforms that run in the same way.

    Attributes:
        result: spec of what comes out.
        scratch_bytes: memory that one row needs on its way, besides its place in the output.
    """

    result: SampleSpec
    scratch_bytes: int

    @abstractmethod
    def run(self, rows: Rows, out: list[Array]) -> None:
        """Write the transformed `rows` to `out`. Raises BadSample."""

    @abstractmethod
    def touches(self, leaf: int) -> bool:
        """Whether the array number `leaf` of the result can differ from the one that came in."""


def gathered(rows: Rows, spec: SampleSpec) -> list[Array]:
    """Return rows that are still in the source, read together into new arrays. Raises BadSample."""
    arrays: list[Array] = [np.empty((len(rows.indices), *leaf.shape), leaf.dtype) for leaf in spec.leaves]
    read_rows(rows.source, rows.indices, arrays, RowGauge(rows.progress, rows.first))
    if rows.watch is not None:
        rows.watch.lap(READ)
    return arrays


class CallSegment(Segment):
    """Callables of the user, applied sample by sample.

    Args:
        transforms: with their places.
        spec: of what comes in.
        generator: of random draws.
        gathers: whether rows that are still in the source are read together, and not each when its turn comes.
    """

    def __init__(self, transforms: Sequence[tuple[int, Transform]], spec: SampleSpec, generator: SampleGenerator, gathers: bool = False) -> None:
        self._transforms = transforms
        self._spec = spec
        self._generator = generator
        self._gathers = gathers
        self.scratch_bytes = spec.nbytes if gathers else 0

    def touches(self, leaf: int) -> bool:
        return True

    def probe(self, sample: Sample) -> tuple[Sample, SampleSpec]:
        """Run the first sample and return what comes out, with its spec."""
        *_, (last, function) = self._transforms
        made = sample
        for place, transform in self._transforms:
            given = made
            try:
                made = CallSegment([(place, transform)], self._spec, self._generator).call(given, 0, 0, None)
            except Exception as error:
                words = misunderstanding(transform, given, error)
                if words is None:
                    raise
                raise PipelineError(f"{describe(place, transform)} {words}") from error
        try:
            return made, SampleSpec.of(made)
        except (TypeError, ValueError) as error:
            raise PipelineError(f"{describe(last, function)} returned something that is not a sample: {error}") from None

    def run(self, rows: Rows, out: list[Array]) -> None:
        watch, depth = rows.watch, fork_guard.depth()
        if self._gathers and rows.arrays is None:
            rows = replace(rows, arrays=gathered(rows, self._spec))
        for row, index in enumerate(rows.indices.tolist()):
            rows.progress[0] = rows.first + row
            try:
                sample = self._sample(rows, row, index)
                if watch is not None:
                    watch.lap(READ if rows.arrays is None else WRITE)
                made = self.call(sample, rows.epoch, index, watch)
                fork_guard.exit_if_forked(depth)
                self._put(out, row, made)
                if watch is not None:
                    watch.lap(WRITE)
            except BadSample:
                raise
            except BaseException as error:
                if not is_fault_of_sample(error):
                    raise
                raise BadSample(index) from error
        rows.progress[0] = UNKNOWN_ROW

    def _sample(self, rows: Rows, row: int, index: int) -> Sample:
        # A copy: the function may change its arguments or keep them, and scratch rows are used again.
        return rows.source.fetch(index) if rows.arrays is None else self._spec.unflatten([array[row].copy() for array in rows.arrays])

    def call(self, sample: Sample, epoch: int, index: int, watch: Stopwatch | None) -> Sample:
        """Return what the transforms make of a sample."""
        at = self._generator.at
        for place, transform in self._transforms:
            sample = transform(sample, at(epoch, index, place))
            if sample is None:
                raise PipelineError(f"{self._describe(place)} returned None; it must return the sample: (x,), (x, y) or (x, y, sample_weight)")
            if watch is not None:
                watch.lap(stage_of(place))
        return sample

    def _put(self, out: Sequence[Array], row: int, made: Sample) -> None:
        """Write what the functions made of a sample to a row of `out`."""
        try:
            leaves = self.result.flatten(made)
        except (TypeError, ValueError) as error:
            *_, (last, _) = self._transforms
            raise PipelineError(f"{self._describe(last)} returned a different kind of sample than for the first one: {error}") from None
        for target, leaf in zip(out, leaves, strict=True):
            target[row] = leaf

    def _describe(self, place: int) -> str:
        return describe(place, dict(self._transforms)[place])


def grouped(transforms: Sequence[Transform], start: int = 0) -> Iterator[tuple[type | None, list[tuple[int, Any]]]]:
    """Yield transforms that make a segment together, each with its place, and what they are: `LeafTransform`, `Batch`, or None for any callable.

    Args:
        transforms: all of them.
        start: place of the first one.
    """

    def kind(item: tuple[int, Transform]) -> tuple[type | None, int]:
        place, transform = item
        if isinstance(transform, Batch):
            return Batch, place
        return (LeafTransform if isinstance(transform, LeafTransform) else None), -1

    for (found, _), members in groupby(enumerate(transforms[start:], start), key=kind):
        yield found, list(members)


def describe(place: int, function: Transform) -> str:
    """Return a transform in words."""
    return f"transform {place}, {getattr(function, '__qualname__', type(function).__qualname__)},"
