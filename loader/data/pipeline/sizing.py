"""Built-in transforms at the start of a pipeline, on samples that differ in size: one by one until they have one shape, then many rows at once.

Whether samples differ is not asked beforehand. They are read as if they did not, straight into rows, until one does not fit. From then on this
process takes them one by one. Both ways make the same bits, so it does not matter which process found out when.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from loader.data import fork_guard
from loader.data.pipeline.leaf_segment import LeafSegment, SegmentsByShape, Shapes
from loader.data.pipeline.segments import Rows
from loader.data.rng import SampleGenerator
from loader.data.rows import UNKNOWN_ROW, BadSample, is_fault_of_sample
from loader.data.sources.joined import sums_differ
from loader.data.sources.source import Source
from loader.data.spec import Array, SampleSpec
from loader.data.stopwatch import READ
from loader.data.transforms import LeafTransform
from loader.errors import ConfigError

_WHAT_TO_DO = "What to do: Resize, Pad or Crop as the first transform, for all arrays and axes that differ"


def steps_to_one_shape(transforms: Sequence[LeafTransform], spec: SampleSpec) -> int:
    """Return how many transforms it takes until none of the following ones gives a length to an axis that has none by then; 0 if none does.

    Raises:
        ConfigError: a transform names no field of `spec`.
    """
    fixed, steps = [0] * len(spec.leaves), 0
    for number, transform in enumerate(transforms, 1):
        for leaf in spec.select(transform.fields):
            if transform.fixed_axes > fixed[leaf]:
                fixed[leaf], steps = transform.fixed_axes, number
    return steps


def first_segment(members: Sequence[tuple[int, LeafTransform]], source: Source, spec: SampleSpec, generator: SampleGenerator) -> LeafSegment:
    """Return the segment of built-in transforms that take the samples of a source.

    Args:
        members: the transforms, with their places.
        source: where samples come from.
        spec: of its first sample.
        generator: of random draws.
    """
    steps = steps_to_one_shape([transform for _, transform in members], spec)
    return SizingSegment(members, spec, generator, source, steps) if steps else LeafSegment(members, spec, generator, source)


class SizingSegment(LeafSegment):
    """Built-in transforms at the start, some of which give samples one shape.

    Args:
        transforms: with their places.
        spec: of the first sample.
        generator: of random draws.
        source: of the samples.
        steps: how many of them it takes, as `steps_to_one_shape` says.
    """

    def __init__(
        self, transforms: Sequence[tuple[int, LeafTransform]], spec: SampleSpec, generator: SampleGenerator, source: Source, steps: int
    ) -> None:
        super().__init__(transforms, spec, generator, source)
        self._differ = sums_differ(source)
        self._sizing = transforms[:steps]
        self._wanted = LeafSegment(self._sizing, spec, generator).result
        self._rest = LeafSegment(transforms[steps:], self._wanted, generator) if steps < len(transforms) else None
        self._known = SegmentsByShape(self._make)
        self._aligned = [found for _, transform in self._sizing if transform.aligns and (found := _aligned(spec, transform))]

    def run(self, rows: Rows, out: list[Array]) -> None:
        if not self._differ:
            try:
                super().run(rows, out)
                return
            except BadSample as bad:
                if not isinstance(bad.__cause__, ValueError):  # that is what does not fit
                    raise
        self._run_each(rows, out)
        self._differ = True  # or the bad sample would have been bad again

    def _run_each(self, rows: Rows, out: list[Array]) -> None:
        """Bring the samples to one shape one by one, in scratch memory or, where nothing else is done to an array, in its place."""
        rest = self._rest
        made = [
            np.empty((len(rows.indices), *leaf.shape), leaf.dtype) if rest is not None and rest.touches(number) else out[number]
            for number, leaf in enumerate(self._wanted.leaves)
        ]
        one, depth = replace(rows), fork_guard.depth()
        for row, index in enumerate(rows.indices.tolist()):
            rows.progress[0] = rows.first + row
            try:
                leaves = self._spec.flatten(rows.source.fetch(index), any_size=True)
                fork_guard.exit_if_forked(depth)
                if rows.watch is not None:
                    rows.watch.lap(READ)
                segment = self._known.of(leaves)
                one.indices, one.arrays = rows.indices[row : row + 1], [np.asarray(leaf, order="C")[None] for leaf in leaves]
                segment.run(one, [array[row : row + 1] for array in made])
            except BadSample:
                raise
            except BaseException as error:
                if not is_fault_of_sample(error):
                    raise
                raise BadSample(index) from error
        rows.progress[0] = UNKNOWN_ROW
        if rest is not None:
            rest.run(replace(rows, arrays=made), out)

    def _make(self, shapes: Shapes) -> LeafSegment:
        """Return what gives a sample whose arrays have these shapes the one shape. Raises ValueError if nothing does."""
        for axes, numbers in self._aligned:
            sizes = {self._spec.leaves[number].name: shapes[number][:axes] for number in numbers}
            if len(set(sizes.values())) > 1:
                raise ValueError(f"{' and '.join(f'{name}, {size},' for name, size in sizes.items())} differ in size, and are to be cut at one place")
        spec = SampleSpec(tuple(replace(leaf, shape=shape) for leaf, shape in zip(self._spec.leaves, shapes, strict=True)))
        try:
            segment = LeafSegment(self._sizing, spec, self._generator)
        except ConfigError as error:  # it can do this with the first sample
            raise ValueError(str(error)) from None
        for given, found, first, wanted in zip(spec.leaves, segment.result.leaves, self._spec.leaves, self._wanted.leaves, strict=True):
            if found != wanted:
                then = "" if found == given else f", and {found.shape} after {self._names()}"
                there = "" if found == given else f", and then {wanted.shape}"
                raise ValueError(f"{given.name} has shape {given.shape}{then}; the first sample's had {first.shape}{there}. {_WHAT_TO_DO}")
        return segment

    def _names(self) -> str:
        return " and ".join(type(transform).__name__ for _, transform in self._sizing)


def _aligned(spec: SampleSpec, transform: LeafTransform) -> tuple[int, list[int]] | None:
    """Return the arrays that a transform cuts at one place, and how many of their axes must agree; None if not even those of the first sample do."""
    numbers, axes = spec.select(transform.fields), transform.fixed_axes
    return (axes, numbers) if len({spec.leaves[number].shape[:axes] for number in numbers}) == 1 else None
