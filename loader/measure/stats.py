"""What a loader is doing: rates over the last ten seconds, slots, workers, memory, and a verdict in words.

All of it comes from the board. Reading that costs the other processes nothing. So trainer and supervisor make the same snapshot, each with its own
meter, and the supervisor can make one even while the trainer hangs.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from html import escape
from typing import Any

from loader.config import mib
from loader.ipc.board import SLOT_GAUGES, Board, SupervisorCell, TrainerCell, WorkerCell, WorkerState
from loader.machine import available_cores
from loader.measure.measurements import StageStats, in_words
from loader.measure.moments import Moment
from loader.measure.verdict import judge
from loader.measure.window import Window

_WINDOW_S = 10.0
_STEP_S = 0.5


@dataclass(frozen=True)
class SlotStats:
    """Where the slots are.

    Attributes:
        free: not in use.
        filling: being filled by workers, or waiting for the slots before them.
        ready: filled, not yet taken by the trainer.
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
        pid: process id.
        state: "idle" or "busy".
        samples: produced since the loader was made.
        busy_ratio: share of the last 10 s, or of the time since it started, in which it worked, 0 to 1.
    """

    pid: int
    state: str
    samples: int
    busy_ratio: float


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
        workers: one entry per worker process.
        memory: what is used.
        errors: failures of samples; a sample that fails twice counts twice.
        supervisor_restarts: how often the supervisor has died and been replaced.
        substituted: rows that hold another sample because their own was bad.
        quarantined: samples that have been bad, each counted once.
        verdict: which side is the slow one, by how much, and what would help (docs/tuning.md).
        verdict_kind: the same for programs, a `loader.measure.verdict.Kind`.
        verdict_gain: how many times as fast training could be expected to run after that; 1.0 where nothing is to be gained.
        stages: where the time of the workers went, over the last 10 s; of the trainer with `workers=0`.
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
            *((f"worker {worker.pid}", f"{worker.state}, {worker.samples:,} samples, busy {worker.busy_ratio:.0%}") for worker in self.workers),
            *([("stages", in_words(self.stages))] if self.stages else []),
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
    cell = "padding: 2px 12px 2px 0; text-align: left; vertical-align: top"
    lines = [
        f'<tr><th style="{cell}; white-space: nowrap">{escape(label)}</th><td style="{cell}; max-width: 60em">{escape(text)}</td></tr>'
        for label, text in rows
    ]
    return "\n".join(['<table style="border-collapse: collapse">', *lines, "</table>"])


def _known(kind: type[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in given.items() if name in names}


class Meter:
    """Reads a board and remembers the last ten seconds of it. It takes no part in the counting, so any process may have one.

    Args:
        board: whose counters to read.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._cores = available_cores()
        self._begun = False  # whether anything had been handed out at the first moment
        self._next = 0.0
        self._moments: deque[Moment] = deque()
        self.look(time.monotonic())

    def look(self, now: float) -> float:
        """Remember the counters, unless that was done less than half a second ago. To be called about twice a second.

        The wait for the first batch is not remembered: it is the start of the workers, not their speed.

        Returns:
            When to look again, by the monotonic clock; before that, nothing would happen.
        """
        if self._begun and now < self._next:
            return self._next
        moment = Moment.of(self._board, now)
        if not self._begun:
            self._moments.clear()
            self._begun = moment.batches > 0
        self._moments.append(moment)
        self._next = now + _STEP_S
        while len(self._moments) > 1 and self._moments[1].at_s <= now - _WINDOW_S:
            self._moments.popleft()
        return self._next if self._begun else now

    @property
    def latest(self) -> Moment:
        """What the counters were at the last look."""
        return self._moments[-1]

    def stats(self, name: str) -> Stats:
        """Return a snapshot of the loader called `name`."""
        at = time.monotonic()
        self.look(at)
        now = Moment.of(self._board, at)
        window = Window(self._board, [*self._moments, now], self._cores)
        running = [number for number, runs in enumerate(now.running) if runs]
        stages = window.stages()
        verdict = judge(window.measurements(running, stages))
        return Stats(
            name=name,
            epoch=self._board.trainer[TrainerCell.EPOCH_GAUGE],
            batches_delivered=now.batches,
            samples_per_s=window.pace.samples_per_s,
            trainer_wait_ratio=window.pace.wait_ratio,
            slots=self._slots(),
            workers=[self._worker(number, window.busy_ratio(number)) for number in running],
            memory=self._memory(),
            errors=self._supervisor(SupervisorCell.ERRORS) + self._board.trainer[TrainerCell.ERRORS],
            supervisor_restarts=self._board.trainer[TrainerCell.SUPERVISOR_RESTARTS],
            substituted=self._supervisor(SupervisorCell.SUBSTITUTED) + self._board.trainer[TrainerCell.SUBSTITUTED],
            quarantined=self._supervisor(SupervisorCell.QUARANTINED) + self._board.trainer[TrainerCell.QUARANTINED],
            verdict=verdict.sentence,
            verdict_kind=verdict.kind.value,
            verdict_gain=verdict.gain,
            stages=stages,
        )

    def _supervisor(self, cell: SupervisorCell) -> int:
        return self._board.supervisor[cell]

    def _slots(self) -> SlotStats:
        free, filling, handed = map(self._supervisor, SLOT_GAUGES)
        lent = self._board.trainer[TrainerCell.LENT_GAUGE]
        return SlotStats(free, filling, max(0, handed - lent), lent)

    def _worker(self, number: int, busy_ratio: float) -> WorkerStats:
        cells = self._board.workers[number]
        state = WorkerState(cells[WorkerCell.STATE_GAUGE])
        return WorkerStats(cells[WorkerCell.PID_GAUGE], state.name.lower(), cells[WorkerCell.SAMPLES], busy_ratio)

    def _memory(self) -> MemoryStats:
        arena = self._supervisor(SupervisorCell.ARENA_BYTES_GAUGE) + self._supervisor(SupervisorCell.PAYLOAD_BYTES_GAUGE)
        return MemoryStats(
            arena,
            self._supervisor(SupervisorCell.PRIVATE_BYTES_GAUGE),
            self._supervisor(SupervisorCell.LIMIT_BYTES_GAUGE) or None,
            bool(self._supervisor(SupervisorCell.LIMIT_IS_DEFAULT_GAUGE)),
            self._supervisor(SupervisorCell.MEMORY_REPLACED),
            self._supervisor(SupervisorCell.MEMORY_WORKERS_GAUGE) or None,
        )
