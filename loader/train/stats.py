"""What a loader is doing: rates over the last ten seconds, slots, workers, memory, and a verdict in words."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from loader.config import Config
from loader.ipc.board import Cells, SupervisorCell, TrainerCell, WorkerCell, WorkerState
from loader.train.inline import Inline
from loader.train.verdict import verdict

if TYPE_CHECKING:
    from loader.train.remote import Remote

_WINDOW_S = 10.0
_STEP_S = 0.5

# Looked up once: an enum's member costs as much as writing the cell.
_BATCHES, _SAMPLES = int(TrainerCell.BATCHES), int(TrainerCell.SAMPLES)


@dataclass(frozen=True)
class SlotStats:
    """Where the slots are.

    Attributes:
        free: nobody's.
        filling: with the workers, or waiting for the slots before them.
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
        busy_ratio: share of the last 10 s in which it worked, 0 to 1.
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
        replaced_workers: workers that were replaced because of the memory that they took.
        reduced_to: how many workers may run, where memory allows fewer than are wanted, else None.
    """

    arena_bytes: int
    private_bytes: int
    limit_bytes: int | None
    limit_is_default: bool = False
    replaced_workers: int = 0
    reduced_to: int | None = None

    def __str__(self) -> str:
        text = f"{self.arena_bytes / 2**20:,.1f} MiB shared + {self.private_bytes / 2**20:,.1f} MiB private"
        if self.limit_bytes is not None:
            text += f" of {self.limit_bytes / 2**20:,.1f}{' (default limit)' if self.limit_is_default else ''}"
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
        errors: samples that failed.
        supervisor_restarts: how often the supervisor has died and been replaced.
        errors: samples that failed, each time that they did.
        substituted: rows that hold another sample than their own, which was bad.
        quarantined: different samples that have been bad.
        verdict: which side is the slow one, by how much, and what would help.
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

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON-able data."""
        return asdict(self)

    def __str__(self) -> str:
        slots = self.slots
        rows = [
            ("loader", self.name),
            ("epoch", f"{self.epoch}"),
            ("delivered", f"{self.batches_delivered:,} batches, {self.samples_per_s:,.0f} samples/s"),
            ("trainer waits", f"{self.trainer_wait_ratio:.0%} of the time"),
            ("slots", f"{slots.free} free, {slots.filling} filling, {slots.ready} ready, {slots.lent} lent"),
            *((f"worker {worker.pid}", f"{worker.state}, {worker.samples:,} samples, busy {worker.busy_ratio:.0%}") for worker in self.workers),
            ("memory", f"{self.memory}"),
            ("errors", f"{self.errors}"),
            *([("supervisor", f"replaced {self.supervisor_restarts} times")] if self.supervisor_restarts else []),
            *([("bad samples", f"{self.quarantined:,}, {self.substituted:,} rows substituted")] if self.quarantined else []),
            ("verdict", self.verdict),
        ]
        width = max(len(label) for label, _ in rows)
        return "\n".join(f"{label:<{width}}  {text}" for label, text in rows)


@dataclass(frozen=True)
class _Moment:
    at: float
    samples: int
    wait_ns: int
    busy_ns: tuple[int, ...]


class Meter:
    """Counts what is handed out and remembers the last ten seconds.

    Args:
        producer: whose counters to read.
        config: of the loader.
    """

    def __init__(self, producer: Remote | Inline, config: Config) -> None:
        self._producer = producer
        self._config = config
        self._board = None if isinstance(producer, Inline) else producer.board
        self._cells: Cells = producer.cells
        self._batches = self._samples = 0
        self._next = 0.0
        self._moments: deque[_Moment] = deque()
        self._remember()

    def count(self, rows: int) -> None:
        """Count one batch of `rows` rows."""
        if not self._batches:
            self._moments.clear()  # the wait for the first batch is the start of the workers, not their speed
            self._next = 0.0
        self._batches += 1
        self._samples += rows
        self._cells[_BATCHES] = self._batches
        self._cells[_SAMPLES] = self._samples
        if time.monotonic() >= self._next:
            self._remember()

    def stats(self, name: str, epoch: int) -> Stats:
        """Return a snapshot."""
        then, now = self._moments[0], self._moment()
        elapsed = max(now.at - then.at, 1e-9)
        wait_ratio = min(1.0, (now.wait_ns - then.wait_ns) / 1e9 / elapsed)
        samples_per_s = (now.samples - then.samples) / elapsed
        workers = self._workers(now, then, elapsed)
        busy = [worker.busy_ratio for worker in workers]
        return Stats(
            name=name,
            epoch=epoch,
            batches_delivered=self._batches,
            samples_per_s=samples_per_s,
            trainer_wait_ratio=wait_ratio,
            slots=self._slots(),
            workers=workers,
            memory=self._memory(),
            errors=self._supervisor(SupervisorCell.ERRORS) + self._cells[TrainerCell.ERRORS],
            supervisor_restarts=self._cells[TrainerCell.SUPERVISOR_RESTARTS],
            substituted=self._supervisor(SupervisorCell.SUBSTITUTED) + self._cells[TrainerCell.SUBSTITUTED],
            quarantined=self._supervisor(SupervisorCell.QUARANTINED) + self._cells[TrainerCell.QUARANTINED],
            verdict=verdict(wait_ratio, busy, delivered=now.samples > then.samples, inline=self._board is None),
        )

    def _remember(self) -> None:
        moment = self._moment()
        self._moments.append(moment)
        self._next = moment.at + _STEP_S
        while len(self._moments) > 1 and self._moments[1].at <= moment.at - _WINDOW_S:
            self._moments.popleft()

    def _moment(self) -> _Moment:
        rows = [] if self._board is None else self._board.workers
        busy = tuple(cells[WorkerCell.BUSY_NS] for cells in rows)
        return _Moment(time.monotonic(), self._samples, self._cells[TrainerCell.WAIT_NS], busy)

    def _supervisor(self, cell: SupervisorCell) -> int:
        return 0 if self._board is None else self._board.supervisor[cell]

    def _slots(self) -> SlotStats:
        free, filling, handed = (self._supervisor(SupervisorCell(cell)) for cell in range(3))
        lent = self._producer.lent
        return SlotStats(free, filling, max(0, handed - lent), lent)

    def _workers(self, now: _Moment, then: _Moment, elapsed: float) -> list[WorkerStats]:
        rows = [] if self._board is None else self._board.workers
        return [
            WorkerStats(
                pid=cells[WorkerCell.PID_GAUGE],
                state=WorkerState(cells[WorkerCell.STATE_GAUGE]).name.lower(),
                samples=cells[WorkerCell.SAMPLES],
                busy_ratio=min(1.0, (now.busy_ns[number] - then.busy_ns[number]) / 1e9 / elapsed),
            )
            for number, cells in enumerate(rows)
            if cells[WorkerCell.STATE_GAUGE] != WorkerState.ABSENT
        ]

    def _memory(self) -> MemoryStats:
        arena = self._supervisor(SupervisorCell.ARENA_BYTES_GAUGE) + self._supervisor(SupervisorCell.PAYLOAD_BYTES_GAUGE)
        return MemoryStats(
            arena,
            self._supervisor(SupervisorCell.PRIVATE_BYTES_GAUGE),
            self._supervisor(SupervisorCell.LIMIT_BYTES_GAUGE) or self._config.memory_limit_bytes,
            bool(self._supervisor(SupervisorCell.LIMIT_IS_DEFAULT_GAUGE)),
            self._supervisor(SupervisorCell.MEMORY_REPLACED),
            self._supervisor(SupervisorCell.MEMORY_WORKERS_GAUGE) or None,
        )
