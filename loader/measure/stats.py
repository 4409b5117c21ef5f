"""What a loader is doing: rates over the last ten seconds, slots, workers, memory, and a verdict in words. `Meter` makes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from loader.config import mib
from loader.measure.measurements import StageStats, in_words
from loader.measure.network import NetworkStats
from loader.measure.readers import ReaderStats, SharingStats
from loader.measure.remote.nodes import NodeStats, RemoteStats


@dataclass(frozen=True)
class SlotStats:
    """Where the slots are.

    Attributes:
        free: not in use.
        filling: being filled by workers.
        ready: filled, not yet taken by the trainer. Of a shared loader, also those that other readers have.
        lent: in use in the trainer.
    """

    free: int
    filling: int
    ready: int
    lent: int


@dataclass(frozen=True)
class WorkerStats:
    """One worker.

    Attributes:
        pid: process id, on its machine.
        state: "idle" or "busy".
        samples: produced since the loader was made.
        busy_ratio: share of the last 10 s, or of the time since it started, in which it worked, or held a ticket on another machine, 0 to 1.
        number: from 0; those on other machines have the highest ones.
        node: the machine that it is on; None for this one.
    """

    pid: int
    state: str
    samples: int
    busy_ratio: float
    number: int = 0
    node: str | None = None

    def __str__(self) -> str:
        return f"{self.state}, {self.samples:,} samples, busy {self.busy_ratio:.0%}"


@dataclass(frozen=True)
class MemoryStats:
    """Memory, in bytes.

    Attributes:
        arena_bytes: shared memory: slots, order, and arrays that came from the script.
        private_bytes: anonymous memory of supervisor and workers.
        limit_bytes: `memory_limit`, given or derived from what was available at the start (docs/memory.md); None while booting and with `workers=0`.
        limit_is_default: whether it was derived.
        replaced_workers: workers that were replaced because they used too much memory.
        reduced_to: how many workers may run, if memory allows fewer than are wanted; otherwise None.
    """

    arena_bytes: int
    private_bytes: int
    limit_bytes: int | None
    limit_is_default: bool = False
    replaced_workers: int = 0
    reduced_to: int | None = None

    def __str__(self) -> str:
        text = f"{mib(self.arena_bytes)} shared + {mib(self.private_bytes)} private"
        if self.limit_bytes is not None:
            text += f" of {mib(self.limit_bytes)}{' (default limit)' if self.limit_is_default else ''}"
        if self.replaced_workers:
            text += f"; workers replaced: {self.replaced_workers}"
        return text if self.reduced_to is None else f"{text}; reduced to: {self.reduced_to}"


@dataclass(frozen=True)
class Stats:
    """A snapshot of a loader. `print(stats)` shows it as a table; `as_dict()` is for programs.

    Attributes:
        name: of the loader.
        epoch: that the next batch belongs to, from 0.
        batches_delivered: since the loader was made.
        samples_per_s: delivered, over the last 10 s.
        trainer_wait_ratio: share of the last 10 s that the trainer waited for data, 0 to 1.
        slots: where the slots are.
        workers: one entry per worker, on this machine and on others.
        memory: what is used.
        errors: failures of samples; a sample that fails twice counts twice.
        supervisor_restarts: how often the supervisor has died and been replaced.
        substituted: rows that hold another sample because their own was bad.
        quarantined: samples that have been bad, each counted once.
        verdict: which side is the slow one, by how much, and what would help (docs/tuning.md).
        verdict_kind: the same for programs, a `loader.measure.kinds.Kind`.
        verdict_gain: how many times as fast training could be expected to run after that; 1.0 where nothing is to be gained.
        stages: where the time of the workers went, over the last 10 s; of the trainer with `workers=0`.
        network: what comes from afar; None if nothing does.
        batch: number of the next batch in its epoch.
        readers: of a shared loader, one entry per script that reads it.
        sharing: what it saves that they share; None if fewer than two take batches.
        remote: what workers on other machines bring; None without `remote=`.
    """

    name: str
    epoch: int
    batches_delivered: int
    samples_per_s: float
    trainer_wait_ratio: float
    slots: SlotStats
    workers: list[WorkerStats]
    memory: MemoryStats
    errors: int
    supervisor_restarts: int
    substituted: int
    quarantined: int
    verdict: str
    verdict_kind: str = ""
    verdict_gain: float = 1.0
    stages: list[StageStats] = field(default_factory=list)
    network: NetworkStats | None = None
    batch: int = 0
    readers: list[ReaderStats] = field(default_factory=list)
    sharing: SharingStats | None = None
    remote: RemoteStats | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON-able data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Stats:
        """Return the snapshot that `as_dict` gave, perhaps in another version. Raises KeyError, TypeError or AttributeError if `given` is not one."""
        known = _known(cls, given)
        known["slots"] = SlotStats(**_known(SlotStats, known["slots"]))
        known["workers"] = [WorkerStats(**_known(WorkerStats, worker)) for worker in known["workers"]]
        known["stages"] = [StageStats(**_known(StageStats, stage)) for stage in known.get("stages", [])]
        known["network"] = None if known.get("network") is None else NetworkStats(**_known(NetworkStats, known["network"]))
        known["readers"] = [ReaderStats(**_known(ReaderStats, reader)) for reader in known.get("readers", [])]
        known["sharing"] = None if known.get("sharing") is None else SharingStats(**_known(SharingStats, known["sharing"]))
        known["remote"] = None if known.get("remote") is None else _remote(known["remote"])
        known["memory"] = MemoryStats(**_known(MemoryStats, known["memory"]))
        return cls(**known)

    def rows(self) -> list[tuple[str, str]]:
        """Return everything in words, as pairs of a label and a text."""
        slots = self.slots
        return [
            ("loader", self.name),
            ("epoch", f"{self.epoch}"),
            ("delivered", f"{self.batches_delivered:,} batches, {self.samples_per_s:,.0f} samples/s"),
            ("trainer waits", f"{self.trainer_wait_ratio:.0%} of the time"),
            ("slots", f"{slots.free} free, {slots.filling} filling, {slots.ready} ready, {slots.lent} lent"),
            *([("sharing", f"{self.sharing}")] if self.sharing is not None else []),
            *((f"reader {reader.pid}", f"{reader}") for reader in self.readers if len(self.readers) > 1 or reader.number),
            *((f"worker {worker.pid}", f"{worker}") for worker in self.workers if worker.node is None),
            *([("remote", f"{self.remote}")] if self.remote is not None else []),
            *((f"node {node.name}", f"{node}") for node in (self.remote.nodes if self.remote is not None else [])),
            *([("stages", in_words(self.stages))] if self.stages else []),
            *([("network", f"{self.network}")] if self.network is not None else []),
            ("memory", f"{self.memory}"),
            ("errors", f"{self.errors}"),
            *([("supervisor", f"replaced {self.supervisor_restarts} times")] if self.supervisor_restarts else []),
            *([("bad samples", f"{self.quarantined:,}, {self.substituted:,} rows substituted")] if self.quarantined else []),
            ("verdict", self.verdict),
        ]

    def __str__(self) -> str:
        return aligned(self.rows())

    def _repr_html_(self) -> str:
        """Return the same table as HTML, which notebooks show by themselves."""
        return as_html(self.rows())


def aligned(rows: list[tuple[str, str]]) -> str:
    """Return labels and texts as lines of two columns."""
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"{label:<{width}}  {text}" for label, text in rows)


def as_html(rows: list[tuple[str, str]]) -> str:
    """Return labels and texts as a table of two columns. Colours and font are those of the notebook, so it also fits a dark theme."""
    from html import escape

    cell = "padding: 2px 12px 2px 0; text-align: left; vertical-align: top"
    lines = [
        f'<tr><th style="{cell}; white-space: nowrap">{escape(label)}</th><td style="{cell}; max-width: 60em">{escape(text)}</td></tr>'
        for label, text in rows
    ]
    return "\n".join(['<table style="border-collapse: collapse">', *lines, "</table>"])


def _remote(given: Mapping[str, Any]) -> RemoteStats:
    return RemoteStats(**_known(RemoteStats, given) | {"nodes": [NodeStats(**_known(NodeStats, node)) for node in given.get("nodes", [])]})


def _known(kind: type[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in given.items() if name in names}
