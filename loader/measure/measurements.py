"""Where the time of whoever makes the batches goes, stage by stage.

Also what a verdict needs to know, and what follows from that by arithmetic alone. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loader.data.stopwatch import DECODE, READ, WRITE, Timing
from loader.measure.network import NetworkStats
from loader.measure.readers import ReaderStats
from loader.measure.remote.nodes import RemoteStats
from loader.measure.worker_count import Load, most_gain

_SHOWN = 0.01
_FIRST_STAGE = len(Timing)


@dataclass(frozen=True)
class StageStats:
    """One stage of the pipeline.

    Attributes:
        name: "read", "decode" (from the content of a file to arrays), the name of a transform, "write" (into the slot), the name of a batch transform
            ("batch_transforms" for several together), or "order" (computing which samples come next).
        share: of the time that the workers were busy, 0 to 1.
        ms_per_sample: of one worker, in milliseconds.
        ms_per_batch: the same for a batch, of batch transforms; None for all else.
    """

    name: str
    share: float
    ms_per_sample: float
    ms_per_batch: float | None = None

    @property
    def cost(self) -> str:
        """What it takes, in words."""
        return f"{self.ms_per_sample:.3g} ms per sample" if self.ms_per_batch is None else f"{self.ms_per_batch:.3g} ms per batch"

    def __str__(self) -> str:
        return f"{self.name} {self.share:.0%}"


def stages(timing: Sequence[int], names: Sequence[str], samples: int, batch_name: str = "batch_transforms") -> list[StageStats]:
    """Return the stages in the order in which they run, without those that took no time.

    Args:
        timing: what was added to the cells of a stopwatch.
        names: of the stages, READ, WRITE and DECODE first.
        samples: that were made in that time, timed or not.
        batch_name: of the batch transforms.
    """
    timed = timing[Timing.SAMPLES]
    if not timed or len(names) <= DECODE:
        return []
    in_order = [READ, *range(DECODE, len(names)), WRITE]
    made, batches = max(samples, timed), timing[Timing.BATCHES]
    batch_ms = timing[Timing.BATCH_NS] / batches / 1e6 if batches else None
    taken: list[tuple[str, float, float | None]] = [(names[number], timing[_FIRST_STAGE + number] / timed, None) for number in in_order]
    taken += [(batch_name, timing[Timing.BATCH_NS] / made, batch_ms), ("order", timing[Timing.ORDER_NS] / made, None)]
    total = sum(ns for _, ns, _ in taken)
    return [StageStats(name, ns / total, ns / 1e6, per_batch) for name, ns, per_batch in taken if ns > 0]


def in_words(given: Sequence[StageStats]) -> str:
    """Return the stages that matter, in one line."""
    return ", ".join(f"{stage} ({stage.cost.removesuffix(' per sample')})" for stage in given if stage.share >= _SHOWN)


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """What is known about some seconds in which the trainer took batches, without its pauses. Shares are from 0 to 1.

    Workers are those of this machine; those on other machines are in `remote` alone.

    Attributes:
        begun: whether anything was ever handed out.
        delivered: whether anything was, in these seconds or in the pauses between them.
        elapsed_s: seconds, pauses included.
        taking_s: seconds without the pauses.
        batches: handed out in them.
        inline: whether the trainer makes the batches itself.
        wait: share of the time that the trainer waited for data.
        step_s: of the trainer, from batch to batch.
        busy: share of the time that each worker was busy.
        present: workers that ran, on average; fewer than there are where some have just started. None: all of them all the time.
        work_s: of all workers together, for one batch.
        computing: share of their busy time that the workers had a core.
        queueing: share of their busy time that they were ready to run and had none.
        cores: that the loader may use.
        ceiling: most workers that may be asked for.
        wanted: workers that are asked for.
        reduced_to: workers that memory allows, where these are fewer.
        nothing_to_fill: share of the time in which all slots were filled, and taken or not.
        slots: in all.
        lent: slots that the trainer kept, on average.
        copied: batches that were copied because all slots were kept, per batch.
        slow_share: of the busy time that slow tickets took longer than usual.
        slow_samples: slow tickets per sample.
        slow_ms: how much longer than usual one of them takes.
        slow_sample: index of one, if one is known.
        stages: what the busy time went into.
        network: what comes from afar; None if nothing does.
        slow_reader: one that is handed the same batches, and takes longer for them; None if there is none.
        remote: what workers on other machines bring; None if there can be none.
    """

    begun: bool = True
    delivered: bool = True
    elapsed_s: float = 10.0
    taking_s: float = 10.0
    batches: int = 100
    inline: bool = False
    wait: float = 0.0
    step_s: float = 0.1
    busy: tuple[float, ...] = ()
    present: float | None = None
    work_s: float = 0.01
    computing: float = 0.0
    queueing: float = 0.0
    cores: int = 1
    ceiling: int = 1
    wanted: int = 1
    reduced_to: int | None = None
    nothing_to_fill: float = 0.0
    slots: int = 0
    lent: float = 0.0
    copied: float = 0.0
    slow_share: float = 0.0
    slow_samples: float = 0.0
    slow_ms: float = 0.0
    slow_sample: int | None = None
    stages: tuple[StageStats, ...] = ()
    network: NetworkStats | None = None
    slow_reader: ReaderStats | None = None
    remote: RemoteStats | None = None

    @property
    def share(self) -> float:
        """Average share of their running time in which the workers were busy."""
        present = len(self.busy) if self.present is None else self.present
        return min(1.0, sum(self.busy) / max(present, 1e-9)) if self.busy else 0.0

    @property
    def pressed(self) -> float:
        """The same as a share of the time in which there was something to do: while the trainer pauses, there is nothing."""
        return min(1.0, self.share / max(1 - self.nothing_to_fill, 1e-9))

    @property
    def load(self) -> Load:
        """The input of the law about numbers of workers."""
        served = max(1 - self.queueing, self.computing, 1e-9)
        return Load(
            workers=len(self.busy),
            busy=sum(self.busy),
            work=sum(self.busy) * served,
            wait=self.wait,
            computing=self.computing / served,
            cores_used=sum(self.busy) * self.computing,
            cores=self.cores,
            ceiling=self.ceiling,
        )

    @property
    def most_gain(self) -> float:
        """How many times as fast training would run with data always there."""
        return most_gain(self.wait)

    @property
    def largest(self) -> StageStats | None:
        """The stage that takes most of the time."""
        return max(self.stages, key=lambda stage: stage.share, default=None)
