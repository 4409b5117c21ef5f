"""What the time of those who make batches goes into, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loader.data.stopwatch import READ, WRITE, Timing

_SHOWN = 0.01
_FIRST_STAGE = len(Timing)


@dataclass(frozen=True)
class StageStats:
    """One stage of the pipeline.

    Attributes:
        name: "read", the name of a transform, "write" (into the slot), or "order" (computing which samples come next).
        share: of the time that the workers were busy, 0 to 1.
        ms_per_sample: of one worker, in milliseconds.
    """

    name: str
    share: float
    ms_per_sample: float

    def __str__(self) -> str:
        return f"{self.name} {self.share:.0%}"


def stages(timing: Sequence[int], names: Sequence[str], samples: int) -> list[StageStats]:
    """Return the stages in the order in which they run, those that took no time left out.

    Args:
        timing: what was added to the cells of a stopwatch.
        names: of the stages, READ and WRITE first.
        samples: that were made in that time, timed or not.
    """
    timed = timing[Timing.SAMPLES]
    if not timed or len(names) < 2:
        return []
    in_order = [READ, *range(2, len(names)), WRITE]
    taken = [(names[number], timing[_FIRST_STAGE + number] / timed) for number in in_order]
    taken.append(("order", timing[Timing.ORDER_NS] / max(samples, timed)))
    total = sum(ns for _, ns in taken)
    return [StageStats(name, ns / total, ns / 1e6) for name, ns in taken if ns > 0]


def in_words(given: Sequence[StageStats]) -> str:
    """Return the stages that matter, in one line."""
    return ", ".join(f"{stage} ({stage.ms_per_sample:.3g} ms)" for stage in given if stage.share >= _SHOWN)
