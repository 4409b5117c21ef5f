"""Samples that differ in length, each padded to the length of its batch (`bucket_by=`): all transforms of a pipeline, and then the padding.

The transforms run sample by sample, the built-in ones as well, since their arrays have different sizes. The rows that are to be filled have the
length of the bucket, so nothing else has to say which bucket it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np

from loader.data.pipeline.leaf_segment import LeafSegment, SegmentsByShape, Shapes
from loader.data.pipeline.segments import CallSegment, Transform
from loader.data.plans.buckets import Buckets
from loader.data.rng import SampleGenerator
from loader.data.spec import Array, Leaf, Sample, SampleSpec
from loader.data.stopwatch import Stopwatch
from loader.data.transforms import LeafTransform
from loader.errors import ConfigError, PipelineError


class BuiltIn(CallSegment):
    """Built-in transforms on one sample at a time. What they do to arrays of certain shapes is found out once."""

    def __init__(self, transforms: Sequence[tuple[int, LeafTransform]], spec: SampleSpec, generator: SampleGenerator) -> None:
        super().__init__(transforms, spec, generator)
        self._own = transforms
        self._given: SampleSpec | None = None  # what a sample is like, but for its sizes
        self._known = SegmentsByShape(self._make)
        for _, transform in transforms:
            transform.open()

    def call(self, sample: Sample, epoch: int, index: int, watch: Stopwatch | None) -> Sample:
        if self._given is None:
            self._given = SampleSpec.of(sample)
        try:
            leaves = self._given.flatten(sample, any_size=True)
        except (TypeError, ValueError):  # another kind of sample than before; whether that is an error, shows when it is written
            return super().call(sample, epoch, index, watch)
        return self._given.unflatten(self._known.of(leaves).run_sample(leaves, epoch, index, watch))

    def _make(self, shapes: Shapes) -> LeafSegment:
        assert self._given is not None
        leaves = [replace(leaf, shape=shape) for leaf, shape in zip(self._given.leaves, shapes, strict=True)]
        return LeafSegment(self._own, SampleSpec(tuple(leaves)), self._generator)


class PaddedSegment(CallSegment):
    """All transforms of a pipeline, sample by sample, and the padding of what they make.

    Args:
        transforms: as of a `CallSegment`; there may be none.
        spec: of a sample of the source.
        generator: of random draws.
        buckets: what to pad, and to which lengths.

    Attributes:
        made: spec of what the transforms made of the first sample; see `expect`.
        results: specs of what comes out, one for each bucket.
    """

    made: SampleSpec
    results: tuple[SampleSpec, ...]

    def __init__(self, transforms: Sequence[tuple[int, Transform]], spec: SampleSpec, generator: SampleGenerator, buckets: Buckets) -> None:
        super().__init__(transforms, spec, generator)
        self._buckets = buckets
        self._steps: list[CallSegment] = []
        for built_in, members in groupby(transforms, lambda member: isinstance(member[1], LeafTransform)):
            given: list[tuple[int, Any]] = list(members)
            self._steps.append(BuiltIn(given, spec, generator) if built_in else CallSegment(given, spec, generator))

    def probe(self, sample: Sample) -> tuple[Sample, SampleSpec]:
        if self._transforms:
            return super().probe(sample)
        try:
            return sample, SampleSpec.of(sample)
        except (TypeError, ValueError) as error:
            raise PipelineError(f"the source returned something that is not a sample: {error}") from None

    def expect(self, made: SampleSpec) -> None:
        """Prepare for samples that are as `made` is, but for their length. Raises ConfigError if they can't be padded."""
        buckets = self._buckets
        self.made = made
        self._padded = frozenset(made.select(buckets.fields))
        for number in sorted(self._padded):
            if len(made.leaves[number].shape) <= buckets.axis:
                raise ConfigError(
                    f"{buckets.setting} pads axis {buckets.axis} of {made.leaves[number]}, which has no such axis (the batch axis does not count). "
                    f"What to do: {buckets.name}(..., axis=..., fields=...)"
                )
            _check_value(buckets.pad_value, made.leaves[number], f"{buckets.name}: {buckets.value_name}")
        self.results = tuple(self._of_length(edge) for edge in buckets.edges)
        self.result = self.results[-1]
        places = [_place_of(leaf, self.result) for leaf in made.leaves]
        own = [number for number in range(len(self.result.leaves)) if number not in places]
        self._mask = own[0] if buckets.mask is not None else None
        self._weight = next((n for n, leaf in enumerate(self.result.leaves) if leaf.part == 2), None) if buckets.weights else None
        self._targets = [(leaf, place, number in self._padded) for number, (leaf, place) in enumerate(zip(made.leaves, places, strict=True))]

    def _of_length(self, length: int) -> SampleSpec:
        """Return the spec of samples that are padded to a length."""
        buckets, axis = self._buckets, self._buckets.axis
        leaves = [
            replace(leaf, shape=(*leaf.shape[:axis], length, *leaf.shape[axis + 1 :])) if number in self._padded else leaf
            for number, leaf in enumerate(self.made.leaves)
        ]
        if buckets.mask is not None:
            if any(leaf.part == 0 and leaf.key == buckets.mask for leaf in leaves):
                raise ConfigError(f"{buckets.name}: mask={buckets.mask!r} is a key that x has already; give another name")
            leaves = [replace(leaf, key="x") if leaf.part == 0 and leaf.key is None else leaf for leaf in leaves]
            end = sum(leaf.part == 0 for leaf in leaves)
            leaves.insert(end, Leaf(0, buckets.mask, (length,), np.dtype(bool)))
        if buckets.weights:
            weights = [leaf for leaf in leaves if leaf.part == 2]
            if leaves[-1].part == 0 or (weights and (weights[0].key is not None or weights[0].shape)):
                raise ConfigError(
                    f"Buckets: weights=True needs samples (x, y), or (x, y, sample_weight) whose weight is one number; these are {self.made}. "
                    "What to do: pad weights of your own, Buckets(..., fields=('x', 'sample_weight'))"
                )
            leaves = [*(leaf for leaf in leaves if leaf.part != 2), Leaf(2, None, (length,), np.dtype(np.float32))]
        return SampleSpec(tuple(leaves))

    def call(self, sample: Sample, epoch: int, index: int, watch: Stopwatch | None) -> Sample:
        for step in self._steps:
            sample = step.call(sample, epoch, index, watch)
        return sample

    def _put(self, out: Sequence[Array], row: int, made: Sample) -> None:
        """Write what the transforms made of a sample to a row of `out`, padded. Raises ValueError if it does not fit."""
        arrays, lengths = self._arrays(made), []
        weight: Any = 1
        for array, (leaf, place, padded) in zip(arrays, self._targets, strict=True):
            if padded:
                lengths.append(self._pad(array, out[place][row], leaf))
            elif array.shape != leaf.shape:
                raise ValueError(
                    f"{leaf.name} has shape {array.shape}, but the first sample's had shape {leaf.shape}, and {self._buckets.setting} pads only "
                    f"{self._names()}"
                )
            elif place == self._weight:
                weight = array
            else:
                out[place][row] = array
        if self._mask is None and self._weight is None:
            return
        if len(set(lengths)) > 1:
            raise ValueError(f"{' and '.join(self._names())} have lengths {lengths}; a mask, or weights, can tell of one length only")
        for added, value in ((self._mask, True), (self._weight, weight)):
            if added is not None:
                target = out[added][row]
                target[: lengths[0]] = value
                target[lengths[0] :] = 0

    def _arrays(self, made: Sample) -> list[Array]:
        try:
            return self.made.flatten(made, any_size=True)
        except (TypeError, ValueError) as error:
            last = self._describe(self._transforms[-1][0]) if self._transforms else "the source"
            raise PipelineError(f"{last} returned a different kind of sample than for the first one: {error}") from None

    def _pad(self, array: Array, target: Array, leaf: Leaf) -> int:
        """Write an array of any length to `target`, and fill up what is left of it; return the length."""
        axis, shape, room = self._buckets.axis, array.shape, target.shape
        if _without(shape, axis) != _without(room, axis):
            raise ValueError(f"{leaf.name} has shape {shape}, but the first sample's had shape {leaf.shape}; only axis {axis} may differ")
        length, most = shape[axis], room[axis]
        if axis:  # what is padded comes first
            array, target = array.swapaxes(0, axis), target.swapaxes(0, axis)
        if length > most:
            if most < self._buckets.edges[-1] or self._buckets.longer == "error":
                raise ValueError(
                    f"{leaf.name} has length {length}, and is in a batch that is padded to {most}. Likely cause: a transform changes the length. "
                    f"What to do: {self._buckets.name}(..., lengths=...) with the lengths that samples have after the transforms, or at most"
                )
            array, length = array[:most], most
        target[:length] = array
        if length < most:
            target[length:] = self._buckets.pad_value
        return int(length)

    def _names(self) -> list[str]:
        return [self.made.leaves[number].name for number in sorted(self._padded)]


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


def _check_value(value: float, leaf: Leaf, name: str) -> None:
    """Raise ConfigError unless an array can hold the value that it is to be filled up with."""
    try:
        with np.errstate(all="ignore"):
            held = np.full(1, value, leaf.dtype)
        fits = leaf.dtype.kind not in "biu" or held[0] == value
    except (OverflowError, ValueError):
        fits = False
    if not fits:
        raise ConfigError(f"{name}={value!r} does not fit into {leaf}; give a value that it can hold")


def _place_of(leaf: Leaf, spec: SampleSpec) -> int:
    """Return the number that an array has where a mask and weights may have been added; one that is x alone may have become `x['x']`."""
    return next(
        number
        for number, other in enumerate(spec.leaves)
        if other.part == leaf.part and (other.key == leaf.key or (leaf.key is None and other.key == "x"))
    )
