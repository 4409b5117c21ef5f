"""Which samples are shown, and what they hold: those that a loader hands out first, in one epoch or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loader.config import brief_size, plain
from loader.data.pipeline.pipeline import Pipeline
from loader.data.pipeline.segments import Transform
from loader.data.plans.epoch_plan import EpochPlan
from loader.data.rows import BadSample, Indices, is_fault_of_sample
from loader.data.sources.source import Source, is_in_order, name_or_none, with_members
from loader.data.spec import Array, Leaf, SampleSpec
from loader.errors import ConfigError
from loader.ipc.board import TrainerCell
from loader.supervise.memory.budget import available_bytes
from loader.train.inline import Inline


@dataclass(frozen=True)
class Taken:
    """Some samples of a source, in some epochs.

    Attributes:
        whose: what they are samples of, in words.
        source: where they come from.
        indices: their numbers in it.
        epochs: in how many epochs each of them is there, from the first one on.
        leaves: the arrays of a sample. Their shape is that of the first sample; without transforms, others may differ.
        arrays: the arrays themselves: `arrays[leaf][epoch][sample]`.
        transforms: what the samples went through.
        bad: how many of them are bad, so that others are in their place.
    """

    whose: str
    source: Source
    indices: Indices
    epochs: int
    leaves: tuple[Leaf, ...]
    arrays: Sequence[Sequence[Sequence[Array]]]
    transforms: Sequence[Transform] = ()
    bad: int = 0

    def name(self, sample: int) -> str | None:
        """Return the path or ID of a sample; None if it has none."""
        return name_or_none(self.source, int(self.indices[sample]))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; empty if the labels of the source are numbers."""
        return next((tuple(found) for one in with_members(self.source) if (found := getattr(one, "classes", None))), ())


def take_from_loader(
    whose: str, source: Source, transforms: Sequence[Transform], plan: EpochPlan, producer: Inline, samples: Any, epochs: Any
) -> Taken:
    """Make the first samples of the first epoch, and the same ones as they are in the epochs after it. Raises SampleError, ConfigError.

    Args:
        whose: name of the loader.
        source: of the loader.
        transforms: of the loader.
        plan: batches of an epoch.
        producer: makes the samples, in this process.
        samples: how many, if there are so many.
        epochs: how many.
    """
    samples, epochs = _count(samples, "samples"), _count(epochs, "epochs")
    batches = _first(plan, samples, whole=producer.mixes)
    indices, leaves = np.concatenate([batch.indices[: batch.shown] for batch in batches]), producer.specs[-1].leaves
    _check_memory(producer.specs[-1], sum(len(batch.indices) for batch in batches), epochs)
    arrays: list[list[list[Array]]] = [[[] for _ in range(epochs)] for _ in leaves]
    for epoch in range(epochs):
        for batch in batches:
            for number, array in enumerate(producer.make(batch.indices, epoch, batch.number, batch.layout)):
                arrays[number][epoch].extend(map(np.asarray, array[: batch.shown]))  # of one axis, rows would be no arrays
    return Taken(whose, source, indices, epochs, leaves, arrays, transforms, producer.cells[TrainerCell.QUARANTINED])


def take_from_source(whose: str, source: Source, samples: Any) -> Taken:
    """Read samples from everywhere in a source, as they are without transforms. They may differ in size. Raises LoaderError."""
    wanted = min(_count(samples, "samples"), len(source))
    if not wanted:
        raise ConfigError("the source has no samples")
    indices = np.arange(wanted) if is_in_order(source) else np.linspace(0, len(source) - 1, wanted).astype(np.int64)
    specs: list[SampleSpec] = []
    arrays: list[list[Array]] = []
    for index in indices.tolist():
        spec, leaves_of_sample = _read(source, index)
        specs.append(spec)
        arrays.append(leaves_of_sample)
    leaves = specs[0].leaves
    for index, spec in zip(indices.tolist(), specs, strict=True):
        if [leaf.name for leaf in spec.leaves] != [leaf.name for leaf in leaves]:
            raise ConfigError(f"the samples differ in their parts: sample {indices[0]} is {specs[0]}, sample {index} is {spec}")
    by_leaf: list[list[list[Array]]] = [[[each[number] for each in arrays]] for number in range(len(leaves))]
    return Taken(whose, source, indices, 1, leaves, by_leaf)


def _read(source: Source, index: int) -> tuple[SampleSpec, list[Array]]:
    """Return a sample of a source, and what it is like. Raises SampleError."""
    try:
        sample = source[index]
        spec = SampleSpec.of(sample)
        return spec, spec.flatten(sample)
    except BaseException as error:
        if not is_fault_of_sample(error):
            raise
        bad = BadSample(index)
        bad.__cause__ = error
        raise Pipeline(source, (), 0).sample_error(bad) from error


@dataclass(frozen=True)
class _Batch:
    """Samples that are made together, of which the first `shown` are shown."""

    number: int
    indices: Indices
    layout: int
    shown: int


def _first(plan: EpochPlan, samples: int, *, whole: bool) -> list[_Batch]:
    """Return the first samples that an epoch delivers, in its order, by batch.

    Args:
        plan: batches of an epoch.
        samples: how many are shown.
        whole: whether the rest of the last batch is needed to make them.
    """
    found: list[_Batch] = []
    for number in range(plan.batches):
        missing = samples - sum(batch.shown for batch in found)
        if not missing:
            break
        first, rows = number * plan.batch_size, plan.rows_of(0, number)
        shown = min(missing, rows)
        indices = plan.indices(0, first, first + (rows if whole else shown))
        found.append(_Batch(number, indices, plan.layout_of(0, number), shown))
    return found


def _check_memory(spec: SampleSpec, samples: int, epochs: int) -> None:
    needed, available = samples * epochs * spec.nbytes, available_bytes()
    if needed > available:
        fit = available // (epochs * spec.nbytes)
        raise ConfigError(
            f"{samples * epochs} samples of {brief_size(spec.nbytes)} do not fit in the {brief_size(available)} of memory that are left; "
            f"show fewer: samples={max(1, fit)}"
        )


def _count(given: Any, name: str) -> int:
    count = plain(given)
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ConfigError(f"{name}={given!r}: must be a whole number from 1 up")
    return count
