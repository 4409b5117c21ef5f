"""`source.statistics()`: one pass over all samples, by a loader's own pool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from loader.data.pipeline.segments import Transform
from loader.data.sources.arrays.column_source import is_of_rows
from loader.data.sources.source import Source
from loader.data.spec import Array, Sample, SampleSpec
from loader.data.statistics.row_moments import width_of
from loader.data.statistics.statistics import Statistics
from loader.data.statistics.totals import Totals
from loader.produce.measuring import RowMeasure, SampleMeasure
from loader.train.loader import Loader

# Rows of a block: few enough that a progress bar moves, but not so few that handing over the blocks is what takes the time.
_BLOCKS = 64
_BLOCK_BYTES = 16 << 20
_MOST_ROWS = 4096
_FEWEST_ROWS = 16


def measure(
    source: Source, transforms: Sequence[Transform] = (), *, seed: int = 0, workers: int | Literal["auto"] = "auto", progress: bool = True
) -> Statistics:
    """Return statistics of all samples; see `Source.statistics`. The first sample is made in this process, to see what it is like."""
    with Loader(source, 1, transforms=[*transforms, _as_it_is], seed=seed, workers=0) as first:
        spec = first.spec
    step = RowMeasure(spec) if not transforms and is_of_rows(source) else SampleMeasure(spec)
    totals = [Totals(leaf) for leaf in spec.leaves]
    rows = _block_rows(spec, len(source))
    with Loader(source, rows, transforms=[*transforms, step], seed=seed, workers=workers, name="statistics") as loader:
        for batch in loader.progress(disable=not progress):
            for total, words in zip(totals, _arrays_of(batch), strict=True):
                total.add(words)
    return Statistics(len(source), tuple(total.result() for total in totals))


def _as_it_is(sample: Sample, rng: np.random.Generator) -> Sample:
    """Return the sample: a function as the last transform, behind which samples may differ in size."""
    return sample


def _arrays_of(batch: Sample) -> list[Array]:
    return [array for part in batch for array in (part.values() if isinstance(part, dict) else (part,))]


def _block_rows(spec: SampleSpec, samples: int) -> int:
    """Return the rows of a block. It is the same for any number of workers, as the last bits of the sums of floats depend on it."""
    words = sum(8 * width_of(leaf.shape) for leaf in spec.leaves)
    return min(samples, max(_FEWEST_ROWS, min(_MOST_ROWS, _BLOCK_BYTES // (spec.nbytes + words), samples // _BLOCKS)))
