"""What an actor does: it takes the numbers of a ticket, and makes a block that is laid out like the rows of the slot.

    block    the rows of leaf 0 of the ticket, one after the other; then those of leaf 1 …; each leaf begins at a multiple of 64 bytes

That is a slot which holds one batch of all rows of the ticket, so `SlotLayout` says where they lie. An actor computes the order of its samples by
itself, and writes nothing but the block: what it has to tell goes with it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from loader.data import fork_guard
from loader.data.global_rng import set_at_random
from loader.data.layout import SlotLayout, aligned_empty
from loader.data.pipeline.substitution import KnownKillers, Substitution, stand_in
from loader.data.pipeline.told_specs import FirstSample
from loader.data.plans.choice import pool_plan_of
from loader.data.plans.epoch_plan import EpochPlan
from loader.data.remote.fetcher import expecting
from loader.data.rows import UNKNOWN_ROW, BadSample, Indices
from loader.data.spec import Array
from loader.ipc.arena import ArenaLayout
from loader.ipc.board import Cells, WorkerCell
from loader.ipc.logs import LogWriter
from loader.ipc.payload import arrival
from loader.ipc.records import Ticket
from loader.measure.network import FETCH_CELLS
from loader.produce.allocator import keep_freed_memory
from loader.produce.failures import BadRows, ResourceExhausted, exhaustion
from loader.produce.fetch_counts import FetchCounts
from loader.produce.remote.actors.checks import Facts

# Threads of NumPy's libraries would take cores that Ray has given to others; and no worker needs a GPU.
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMEXPR_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu"}

_KEPT_BLOCKS = 4
_MOST_LOGS = 1000  # of a ticket; the latest

# What an actor counts, beside what the gateway can count by itself.
_COUNTED = (WorkerCell.BAD, *FETCH_CELLS)


@dataclass(frozen=True)
class Told:
    """What an actor is told at its start, beside the pipeline.

    Attributes:
        found: what the first sample showed, as JSON-able data.
        arena: the layout of the arena, as JSON-able data.
        substitute: whether other samples take the place of bad ones.
        levels: of the trainer's loggers, by name.
        modules: whose versions are compared.
    """

    found: Mapping[str, Any]
    arena: Mapping[str, Any]
    substitute: bool
    levels: Mapping[str, int]
    modules: Sequence[str]


class Outcome(NamedTuple):
    """What became of a ticket of rows.

    Attributes:
        busy_ns: how long it took.
        substituted: how many rows hold another sample than their own.
        good_rows: how many rows the block has: all of them, or those of the batches before the one that failed.
        counted: by how much counters grew, by their cell.
        journal: records about bad samples.
        logs: what was logged, as `LogWriter` writes it.
        error: why it failed; None if it did not.
        exhausted: whether it failed because memory, or something else of that machine, ran out.
    """

    busy_ns: int
    substituted: int
    good_rows: int
    counted: Sequence[tuple[int, int]]
    journal: Sequence[dict[str, Any]]
    logs: Sequence[dict[str, Any]]
    error: dict[str, Any] | None = None
    exhausted: bool = False


class Progress(NamedTuple):
    """Where an actor is.

    Attributes:
        state: changes when it gets on.
        row: of its ticket, or `UNKNOWN_ROW`.
        stack: of the thread that works.
    """

    state: tuple[int, ...]
    row: int
    stack: str


@lru_cache(64)
def block_layout(layout: SlotLayout, rows: int) -> SlotLayout:
    """Return where the rows of a ticket lie in its block."""
    return SlotLayout(layout.spec, rows, 1)


def prepare_process() -> None:
    """Let this process be a worker. Runs in: an actor, before the pipeline is there."""
    os.environ.update(_ENVIRONMENT)
    with contextlib.suppress(ValueError):  # not in the main thread: Ray decides in which one calls are carried out
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_freed_memory()
    fork_guard.count()


class ActorWork:
    """The pipeline of an actor, and its work on tickets.

    Args:
        number: of the worker, for messages.
        payload: what the supervisor got from the trainer, uint8; arrays in it are looked at where they lie.
        told: see there.
    """

    def __init__(self, number: int, payload: Array, told: Told) -> None:
        self._number = number
        self._pipeline, config = arrival.unpack(payload.data)
        self._plan: EpochPlan = pool_plan_of(self._pipeline.source, config)  # as the supervisor makes it: of a source that has learned nothing yet
        self._far, self._fetchers = self._pipeline.source.rows_at_once > 0, self._pipeline.source.fetchers()
        self._pipeline.compile(FirstSample.from_json(dict(told.found)))
        if "cv2" in sys.modules:
            sys.modules["cv2"].setNumThreads(0)
        set_at_random()
        self._logs: deque[dict[str, Any]] = deque(maxlen=_MOST_LOGS)
        arena = ArenaLayout.from_json(dict(told.arena))
        self._layouts = arena.layouts
        self._block_rows = arena.block_rows
        self._cells = Cells.private()
        self._progress = self._cells.cell(WorkerCell.ROW_GAUGE)
        self._progress[0] = UNKNOWN_ROW
        self._journal: list[dict[str, Any]] = []
        self._bad_rows = BadRows(number, self._pipeline, self._journal, self._cells)
        self._killers = KnownKillers()
        self._substitution = Substitution(self._pipeline, self._plan, self._bad_rows, self._killers) if told.substitute else None
        self._fetch_counts = FetchCounts(self._pipeline.source, self._cells)
        self._orders: dict[tuple[int, int], Indices] = {}
        self._memory = deque(aligned_empty((0,), np.dtype(np.uint8)) for _ in range(2))
        self._at: tuple[Ticket, Indices] | None = None
        self._thread = threading.get_ident()
        self._report_to_trainer(told.levels)
        self.facts = Facts.here(self._pipeline, told.modules)

    def expect(self, tickets: Sequence[Ticket]) -> None:
        """Begin to fetch the samples of tickets that will be worked on, each of them once, if they are far away."""
        if self._far:
            with expecting(self._fetchers):
                for ticket in tickets:
                    self._pipeline.source.will_read(self._indices(ticket))

    def answer(self, ticket: Ticket, killers: Sequence[int]) -> tuple[int, bytes, list[Array]]:
        """Do `work`; return what the gateway is sent: how many rows there are, what became of the ticket as JSON, and the rows."""
        outcome, leaves = self.work(ticket, killers)
        return outcome.good_rows, json.dumps(outcome).encode(), leaves

    def work(self, ticket: Ticket, killers: Sequence[int]) -> tuple[Outcome, list[Array]]:
        """Produce the rows of a ticket; return what became of it, and the good rows, array by array, which are valid until the call after the next.

        Args:
            ticket: of kind ROWS.
            killers: samples that are known by now to kill, and were not when the last call was made.
        """
        for index in killers:
            self._killers.add(index)
        before = [self._cells[cell] for cell in _COUNTED]
        started = time.monotonic_ns()
        layout = block_layout(self._layouts[ticket.layout], ticket.rows)
        block = self._block(layout.nbytes)
        ((_, targets),) = layout.runs(block, 0, ticket.rows)
        self._journal.clear()
        indices = self._indices(ticket)
        self._at = ticket, indices
        substituted, good_rows, error, exhausted = 0, ticket.rows, None, False
        try:
            substituted = self._fill(indices, ticket, targets)
        except BadSample as bad:
            error = self._pipeline.error(bad, self._number).to_record()
            exhausted = exhaustion(bad) is not None
            good_rows = 0 if exhausted else self._good_rows(indices, ticket, bad, targets)
        except (MemoryError, ResourceExhausted) as failure:
            error = self._cells.read_failure(ticket.number) or {"reason": f"{type(failure).__name__}: {failure}"}
            good_rows, exhausted = 0, True
        busy = time.monotonic_ns() - started
        self._fetch_counts.note()
        self._at = None
        self._progress[0] = UNKNOWN_ROW
        outcome = Outcome(busy, substituted, good_rows, self._counted(before), tuple(self._journal), tuple(self._logs), error, exhausted)
        self._logs.clear()
        return outcome, [leaf[:good_rows] for leaf in targets]

    def progress(self) -> Progress:
        """Return how far the work is. Runs in: another thread of the actor."""
        at, frame = self._at, sys._current_frames().get(self._thread)
        stack = "" if frame is None or at is None else "".join(traceback.format_stack(frame))
        state = (0 if at is None else at[0].number, *(self._cells[cell] for cell in (WorkerCell.ROW_GAUGE, WorkerCell.ATTEMPT_GAUGE, WorkerCell.BAD)))
        return Progress(state, self._progress[0], stack)

    def _report_to_trainer(self, levels: Mapping[str, int]) -> None:
        """Have what is logged here go with the blocks, instead of to Ray's files."""
        writer = LogWriter(self._logs)
        writer.enter(f"remote worker {self._number}", self._whereabouts)
        logging.getLogger().handlers[:] = [writer]
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)

    def _whereabouts(self) -> dict[str, Any]:
        """Return the attributes that a log record of this moment gets, as in a worker of the trainer's machine."""
        at, row = self._at, self._progress[0]
        if at is None or row < 0:
            return {"worker": self._number}
        ticket, indices = at
        sample = int(indices[row])
        if attempt := self._cells[WorkerCell.ATTEMPT_GAUGE]:
            sample = stand_in(self._plan, self._pipeline.seed, ticket.epoch, sample, attempt)
        return {"worker": self._number, "sample": sample, "path": self._pipeline.name_of(sample)}

    def _block(self, nbytes: int) -> Array:
        """Return memory for a block: by turns, as the one before it may still be on its way."""
        self._memory.rotate()
        if len(self._memory[0]) < nbytes:
            self._memory[0] = aligned_empty((nbytes,), np.dtype(np.uint8))
        return self._memory[0][:nbytes]

    def _indices(self, ticket: Ticket) -> Indices:
        if not self._plan.in_blocks:
            return self._plan.indices(ticket.epoch, ticket.first, ticket.first + ticket.rows)
        key = (ticket.epoch, ticket.block_first)
        if key not in self._orders:
            while len(self._orders) >= _KEPT_BLOCKS:
                del self._orders[next(iter(self._orders))]
            end = min(ticket.block_first + self._block_rows, self._plan.rows)
            self._orders[key] = self._plan.indices(ticket.epoch, ticket.block_first, end)
        start = ticket.first - ticket.block_first
        return self._orders[key][start : start + ticket.rows]

    def _fill(self, indices: Indices, ticket: Ticket, targets: list[Array]) -> int:
        if self._substitution is None:
            self._pipeline.fill(indices, ticket.epoch, targets, self._progress)
            return 0
        self._bad_rows.ticket = ticket
        return self._substitution.fill(indices, ticket.epoch, targets, self._progress, 0, ticket.attempt)

    def _good_rows(self, indices: Indices, ticket: Ticket, bad: BadSample, targets: list[Array]) -> int:
        """Produce what comes before the batch of the bad sample again; return how many rows that is."""
        size = self._layouts[ticket.layout].batch_size
        row = ticket.slot_row + int(np.flatnonzero(indices == bad.index)[0])
        rows = row // size * size - ticket.slot_row
        if rows <= 0:
            return 0
        try:
            self._fill(indices[:rows], ticket._replace(rows=rows), [leaf[:rows] for leaf in targets])
        except BadSample:
            return 0
        return rows

    def _counted(self, before: Sequence[int]) -> list[tuple[int, int]]:
        now = [self._cells[cell] for cell in _COUNTED]
        return [(int(cell), new - old) for cell, new, old in zip(_COUNTED, now, before, strict=True) if new != old]
