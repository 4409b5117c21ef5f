"""`source.shapes()`: the shapes of all samples, found out by a loader's own pool."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

import numpy as np

from loader.config import Config
from loader.data.rows import Indices, is_fault_of_sample
from loader.data.sources.examples import places_of_examples
from loader.data.sources.shapes.shape_source import ShapeSource
from loader.data.sources.shapes.shape_table import UNKNOWN, split_by_leaf, width_of
from loader.data.sources.source import Source, is_in_order
from loader.errors import ConfigError, SampleError, in_words
from loader.train.loader import Loader

# A pool takes a second to start, in which a process looks at 20,000 headers that are in memory (docs/measurements.md). So this one begins, and
# the pool does what would take it longer.
_BEGIN_S = 0.5
_POOL_S = 3.0
_BLOCK_ROWS = 256
_SHOWN = 20


def scan(
    source: Source, *, workers: int | Literal["auto"] = "auto", progress: bool = True, on_error: Literal["raise", "unknown"] = "raise"
) -> dict[str, Indices]:
    """Return the shapes of all samples; see `Source.shapes`."""
    Config(batch_size=1, workers=workers)  # refuses what is no number of workers, also where no pool is needed
    if on_error not in ("raise", "unknown"):
        raise ConfigError(f"on_error={on_error!r}: must be 'raise' or 'unknown'")
    if not len(source):
        raise ConfigError(f"{source!r} has no samples")
    _learn(source)

    def look(part: Source, indices: Indices) -> list[Indices]:
        return _look(part, indices, workers, progress, on_error == "unknown")

    found = source.shapes_at(np.arange(len(source)), look)
    return {leaf.name: shapes for leaf, shapes in zip(source.spec.leaves, found, strict=True)}


def _learn(source: Source) -> None:
    """Learn from the first sample, or if that is bad, from another one, what all look like: so that all that are bad are named."""
    problem: Exception | None = None
    for index in places_of_examples(len(source)):
        if index != source._example:
            source.learn_from(index)
        try:
            source.spec  # noqa: B018  asks for it
        except Exception as error:
            if not is_fault_of_sample(error):
                raise
            problem = problem or error
        else:
            return
    assert problem is not None
    raise problem


def _look(source: Source, indices: Indices, workers: int | Literal["auto"], progress: bool, unknown: bool) -> list[Indices]:
    """Return the shapes of some samples, for each array. Raises SampleError, which names all samples that have none, unless these may be unknown."""
    leaves = source.spec.leaves
    table = np.full((len(indices), width_of(leaves)), UNKNOWN, np.int64)
    if table.size:
        rows = ShapeSource(source, indices)
        done, seconds = (0, 0.0) if is_in_order(source) else _begin(rows, table)
        left = len(rows) - done
        if left:
            soon = done and left * seconds / done < _POOL_S
            rest = ShapeSource(source, indices[done:])
            with Loader(rest, min(left, _BLOCK_ROWS), workers=0 if soon else workers, name="shapes") as loader:
                for (batch,) in loader.progress(disable=not progress):
                    table[done : done + len(batch)] = batch
                    done += len(batch)
        errors = _ask_again(rows, indices, table)
        if errors and not unknown:
            raise _of_all(errors, len(np.flatnonzero((table == UNKNOWN).any(1))), len(indices))
    return split_by_leaf(table, leaves)


def _begin(rows: ShapeSource, table: Indices) -> tuple[int, float]:
    """Look at the first samples for some time; return how many it were, and the seconds."""
    began, done, seconds = time.monotonic(), 0, 0.0
    while done < len(rows) and seconds < _BEGIN_S:
        (table[done],) = rows.sample(done)
        done, seconds = done + 1, time.monotonic() - began
    return done, seconds


def _ask_again(rows: ShapeSource, indices: Indices, table: Indices) -> list[SampleError]:
    """Return what is wrong with the samples that have no shapes, the first ones of them; nothing may be by now."""
    errors: list[SampleError] = []
    for place in np.flatnonzero((table == UNKNOWN).any(1)).tolist():
        try:
            table[place] = rows.row(place)
        except Exception as error:
            if not is_fault_of_sample(error):
                raise
            errors.append(SampleError(index=int(indices[place]), name=rows.name_of(place), reason=in_words(error)))
            if len(errors) == _SHOWN:
                break
    return errors


def _of_all(errors: Sequence[SampleError], count: int, samples: int) -> SampleError:
    """Return one error for several bad samples, `count` of `samples`."""
    first, *others = errors
    if count == 1:
        return first
    rest = f"\n  and {count - len(errors):,} more" if count > len(errors) else ""
    listed = "".join(f"\n  {error}" for error in others)
    reason = f"{first.reason}\n{count:,} samples of {samples:,} are bad; the others:{listed}{rest}"
    return SampleError(index=first.index, name=first.name, reason=reason)
