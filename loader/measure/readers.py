"""What each reader of a shared loader does, which of them is slow, and what it saves that they share. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from loader.measure.moments import Moment, between, read_by

# A reader that could take less than this share of what the fastest one could is slow, unless it waits for data itself for more of its time than that.
_AS_FAST, _WAITS = 0.9, 0.05
# Fewer batches than these tell nothing about who is faster, nor what is made for them.
_ENOUGH_BATCHES = 10
# One that has taken nothing for so long, and does not wait, validates, saves, or is stopped.
_PAUSE_S = 3.0

State = Literal["reads", "slow", "paused"]


@dataclass(frozen=True)
class ReaderStats:
    """A script that reads a shared loader.

    Attributes:
        number: 0 is the script that made the loader.
        pid: process id.
        epoch, batch: of its next batch.
        samples_per_s: that it took, over the last 10 s, or since it came.
        wait_ratio: share of that time that it waited for data, 0 to 1.
        shares_with: numbers of the readers that are handed the same batches; if there are none, its batches are made for it alone.
        rank: of a data-parallel job, which gets batches of its own; None if there are no others.
        state: "slow" if it needs more time for a batch than the fastest reader, and its data is there; "paused" if it takes none, and does not wait.
    """

    number: int
    pid: int
    epoch: int
    batch: int
    samples_per_s: float
    wait_ratio: float
    shares_with: list[int]
    state: State = "reads"
    rank: int | None = None

    @property
    def pace(self) -> float:
        """Samples that it would take per second if it never waited."""
        return self.samples_per_s / max(1e-9, 1 - self.wait_ratio)

    @property
    def sharing(self) -> str:
        """Whether it shares its batches, in words."""
        others = len(self.shares_with)
        if self.rank is not None:
            return f"rank {self.rank}" + f", shares with {others}" * bool(others)
        return f"shares with {others} other{'s' * (others != 1)}" if others else "a stream of its own"

    def __str__(self) -> str:
        words = f"epoch {self.epoch}, batch {self.batch:,}, {self.samples_per_s:,.0f} samples/s, waits {self.wait_ratio:.0%}, {self.sharing}"
        return words if self.state == "reads" else f"{words}, {self.state}"


@dataclass(frozen=True)
class SharingStats:
    """What the readers of a shared loader save by sharing, over the last 10 s, or since one came or went.

    Attributes:
        readers: how many took batches.
        work: samples that the workers made, as a multiple of those that the fastest reader took: 1.0 is the work of one reader.
        alone: the same if each reader had a loader of its own.
    """

    readers: int
    work: float
    alone: float

    def __str__(self) -> str:
        return f"{self.readers} readers, {self.work:.2f} × the work of one; without sharing, {self.alone:.2f} ×"


def readers_of(moments: Sequence[Moment], places: Sequence[tuple[int, int]], companies: Sequence[int], waiting: Collection[int]) -> list[ReaderStats]:
    """Return what the readers do that are there at the last moment.

    Args:
        moments: of the last seconds.
        places: epoch and batch of each of them, in their order.
        companies: of each of them: those with the same number are handed the same batches.
        waiting: numbers of those that wait for a batch just now.
    """
    found, taken = [], []
    for reading, (epoch, batch), company in zip(moments[-1].readers, places, companies, strict=True):
        seen = read_by(reading, moments)
        pace = between(*(moment.seen_by(one) for moment, one in (seen[0], seen[-1])))
        others = [one.number for one, other in zip(moments[-1].readers, companies, strict=True) if other == company and one is not reading]
        paused = not pace.samples and pace.elapsed_s >= _PAUSE_S and reading.number not in waiting
        state: State = "paused" if paused else "reads"
        found.append(ReaderStats(reading.number, reading.pid, epoch, batch, pace.samples_per_s, pace.wait_ratio, others, state, reading.rank))
        taken.append(reading.batches - seen[0][1].batches)
    fastest = max((one.pace for one, batches in zip(found, taken, strict=True) if batches >= _ENOUGH_BATCHES), default=0.0)
    return [
        replace(one, state="slow") if one.state == "reads" and one.wait_ratio < _WAITS and 0 < one.pace < _AS_FAST * fastest else one for one in found
    ]


def sharing_of(moments: Sequence[Moment]) -> SharingStats | None:
    """Return what sharing saves; None if fewer than two readers take batches, or too few to tell, or they are ranks, each with its own batches."""
    now = moments[-1]
    same = _once_full([moment for moment in moments if [one[:2] for one in moment.readers] == [one[:2] for one in now.readers]])
    seen = [read_by(reading, same) for reading in now.readers]
    taken = [one[-1][1].samples - one[0][1].samples for one in seen]
    readers = sum(samples > 0 for samples in taken)
    if readers < 2 or any(one.rank is not None for one in now.readers):
        return None
    fastest = seen[taken.index(max(taken))]
    if fastest[-1][1].batches - fastest[0][1].batches < _ENOUGH_BATCHES:
        return None
    work = _slope([(reading.samples, moment.made) for moment, reading in fastest])
    return SharingStats(readers, max(1.0, work), sum(taken) / max(taken))


def _once_full(moments: Sequence[Moment]) -> Sequence[Moment]:
    """Return the moments from the first one on before which all slots were full: what fills them is made once, and taken later.

    All of them if the slots never were: then the readers take what is made at once.
    """
    return moments[next((number for number, (then, now) in enumerate(pairwise(moments), 1) if now.nothing_to_fill_ns > then.nothing_to_fill_ns), 0) :]


def _slope(points: Sequence[tuple[int, int]]) -> float:
    """Return by how much the second number grows with the first one, by least squares.

    Many small batches share a slot, which is made at once and taken bit by bit: from the first point to the last would be wrong by a slot.
    """
    mean_x, mean_y = (sum(column) / len(points) for column in zip(*points, strict=True))
    slope: float = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
    return slope


def held_up_by(number: int, readers: Sequence[ReaderStats]) -> ReaderStats | None:
    """Return the reader for which reader `number` waits, if it waits: one that is handed the same batches, and is slow.

    Its data is always there, so the workers are fast enough, and the other one can only wait for it.
    """
    shared = [other for reader in readers if reader.number == number for other in reader.shares_with]
    return min((one for one in readers if one.number in shared and one.state == "slow"), key=lambda one: one.pace, default=None)
