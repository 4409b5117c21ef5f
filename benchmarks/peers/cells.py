"""What follows from the measurements of a peer in a task: a cell of the tables. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from benchmarks.peers.tasks import Task
from benchmarks.pictures import PictureWorkload

Cell = Mapping[str, Any]

_MOST_DIFFERENCE = 3.0  # of 255: decoders and ways of making a picture smaller differ
_MOST_RANDOM_DIFFERENCE = 8.0  # of 255: there are many ways to make pictures brighter


def why_not(cell: Cell) -> str:
    """Return why there are no figures, or nothing if there are."""
    outputs = cell.get("outputs", {})
    if reason := outputs.get("unsupported") or outputs.get("differs"):
        return str(reason)
    trials = trials_of(cell)
    if trials and all("unsupported" in trial for trial in trials.values()):
        return str(next(iter(trials.values()))["unsupported"])
    return ""


def difference(task: Task, got: Cell, expected: Cell) -> str:
    """Return what distinguishes the outputs of a peer from ours, or nothing."""
    if "unsupported" in got or "unsupported" in expected:
        return ""
    if (got["dtype"], got["shape"]) != (expected["dtype"], expected["shape"]):
        return f"delivers {got['dtype']} {got['shape']}, not {expected['dtype']} {expected['shape']}"
    if task.augmented and abs(got["random_mean"] - expected["random_mean"]) > _MOST_RANDOM_DIFFERENCE:
        return f"random pictures have a mean of {got['random_mean']:.1f}, not {expected['random_mean']:.1f}"
    if not isinstance(task.work, PictureWorkload):
        return "" if got["checksum"] == expected["checksum"] else "the batches have other bits"
    most = max(abs(one - other) for one, other in zip(got["means"], expected["means"], strict=True))
    return "" if most <= _MOST_DIFFERENCE else f"the means of samples differ by {most:.3g}"


def trials_of(cell: Cell) -> dict[int, Any]:
    """Return what each number of workers or threads has shown, once."""
    return {int(key.split()[1]): value for key, value in cell.items() if key.startswith("trial ")}


def best_count(cell: Cell) -> int:
    """Return the fastest number of workers or threads."""
    trials = {count: trial for count, trial in trials_of(cell).items() if "unsupported" not in trial}
    return max(trials, key=lambda count: trials[count].get("samples_per_s") or -trials[count]["step_ms"])


def rounds_of(cell: Cell) -> list[Any]:
    """Return the rounds that have succeeded."""
    return [value for key, value in cell.items() if key.startswith("round ") and "unsupported" not in value]


def median(cell: Cell, figure: str) -> float | None:
    """Return the median of a figure over the rounds, or None where there are none."""
    values = [each[figure] for each in rounds_of(cell) if figure in each]
    return statistics.median(values) if values else None


def spread(cell: Cell, figure: str) -> tuple[float, float]:
    """Return the least and the most of a figure over the rounds."""
    values = [each[figure] for each in rounds_of(cell)]
    return min(values), max(values)


def memory(cell: Cell) -> float | None:
    """Return MB beyond the imports, of the one round in an interpreter of its own."""
    first = cell.get("round 1", {})
    return first.get("megabytes")


def same_bits(cell: Cell) -> bool | None:
    """Return whether the first batches were the same for each number of workers; None if there was only one."""
    checksums = [trial["checksum"] for trial in trials_of(cell).values() if "checksum" in trial]
    return len(set(checksums)) == 1 if len(checksums) > 1 else None


def fit_share(cell: Cell, bare: Cell) -> float | None:
    """Return which share of a step of `fit` is the loader's."""
    step, alone = median(cell, "step_ms"), median(bare, "step_ms")
    return 1 - alone / step if step and alone else None
