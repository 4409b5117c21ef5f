"""The worker: take a ticket, produce its rows straight into the slot, report.

A worker is a fork of the supervisor and inherits everything that is large, mapped and ready. It holds no lock, ignores SIGINT, sleeps in
`read` while it has no ticket, and dies with its supervisor. A worker that gets no more memory, or no descriptor, says so and exits. That frees
whatever it holds, and its tickets are issued again, to a successor or to fewer workers that may have more.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from loader.data import fork_guard
from loader.data.global_rng import set_at_random
from loader.data.pipeline.batch_transforms import BatchTransforms
from loader.data.pipeline.pipeline import Pipeline
from loader.data.pipeline.substitution import CAPACITY, KnownKillers, Substitution, stand_in
from loader.data.plans.epoch_plan import EpochPlan
from loader.data.remote.fetcher import expecting
from loader.data.rows import READING_AHEAD, UNKNOWN_ROW, BadSample, Indices
from loader.data.spec import Array
from loader.data.stopwatch import Stopwatch
from loader.errors import LoaderError, PipelineError, remote_traceback
from loader.ipc import last_words, memfd
from loader.ipc.arena import Arena
from loader.ipc.board import Cells, WorkerCell, WorkerState
from loader.ipc.line_file import LineFile, flush_stdout
from loader.ipc.logs import LogWriter
from loader.ipc.records import Done, Exhausted, Failed, Resource, Ticket, TicketKind
from loader.produce.allocator import keep_freed_memory
from loader.produce.failures import BadRows, ResourceExhausted, exhaustion
from loader.produce.fetch_counts import FetchCounts
from loader.produce.fill_ahead import FillAhead
from loader.produce.read_ahead import ReadAhead
from loader.produce.ticket_queue import TicketQueue

_PR_SET_PDEATHSIG = 1

# Bound before the fork, because looking it up costs a millisecond.
_prctl = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None


def _killers_of_all_workers() -> KnownKillers:
    return KnownKillers(memfd.shared_with_forks("known killers", 8 * (1 + CAPACITY)).view(np.int64))


@dataclass(frozen=True)
class WorkerContext:
    """What all workers share: made by the supervisor, inherited by fork.

    Attributes:
        pipeline, plan, arena: what to produce, and where.
        logs: for log records.
        substitute: whether other samples take the place of bad ones.
        journal: for what a report has no room for.
        known_killers: samples that are not to be tried again.
    """

    pipeline: Pipeline
    plan: EpochPlan
    arena: Arena
    logs: LogWriter
    substitute: bool = False
    journal: LineFile = field(default_factory=lambda: LineFile.create("journal"))
    known_killers: KnownKillers = field(default_factory=_killers_of_all_workers)

    def sample_at(self, ticket: Ticket, row: int, attempt: int) -> int:
        """Return the index of the sample that is tried in a row of a ticket: its own at attempt 0. Works out the order at that one position."""
        own = int(self.plan.indices(ticket.epoch, ticket.first + row, ticket.first + row + 1)[0])
        return stand_in(self.plan, self.pipeline.seed, ticket.epoch, own, attempt)


def run(number: int, context: WorkerContext, cells: Cells, tickets: int, last_words_fd: int, inbox: int, supervisor: int) -> None:
    """Work until the ticket pipe ends. The caller exits the process afterwards.

    Args:
        number: of this worker.
        context: what to produce and where.
        cells: this worker's counters.
        tickets: descriptor to read tickets from.
        last_words_fd: descriptor to leave stacks in.
        inbox: descriptor to write reports to.
        supervisor: pid of the supervisor; the worker ends when it is no longer its child.
    """
    die_with(supervisor)
    keep_freed_memory()
    fork_guard.count()
    last_words.leave_in(last_words_fd)
    set_at_random()
    worker = Worker(number, context, cells)
    context.logs.enter(f"worker {number}", worker.whereabouts)
    cells[WorkerCell.PID_GAUGE] = os.getpid()
    cells[WorkerCell.STATE_GAUGE] = WorkerState.IDLE
    queue = TicketQueue(tickets, worker.expect if worker.expects else None, worker.idle if worker.fills else None)
    while queue.wait():
        cells[WorkerCell.STATE_GAUGE] = WorkerState.BUSY
        while (ticket := queue.next()) is not None:
            report = worker.work(ticket)
            fork_guard.exit_if_forked(0)
            cells[WorkerCell.TICKET_GAUGE] = 0
            flush_stdout()  # before the report: what was printed for a batch is there when the batch is
            try:
                os.write(inbox, report.pack())
            except BrokenPipeError:  # the supervisor has died, and this process is about to
                return
            except OSError:  # the user's code has closed the descriptor: the sample that did so is to be found
                cells[WorkerCell.TICKET_GAUGE] = ticket.number
                raise
            if isinstance(report, Exhausted):
                return
        cells[WorkerCell.STATE_GAUGE] = WorkerState.IDLE


def die_with(supervisor: int) -> None:
    """Ignore SIGINT, and have the kernel kill this process when its supervisor dies.

    The signal follows the thread that forked (prctl(2)); the supervisor has only one. It may have died before: then this process has another parent.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if _prctl is not None and _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != supervisor:
        os._exit(1)


class Worker:
    """Does tickets: those of a worker of this machine, and what the gateway does itself for remote ones."""

    def __init__(self, number: int, context: WorkerContext, cells: Cells) -> None:
        self._number = number
        self._pipeline = context.pipeline
        self._plan = context.plan
        self._arena = context.arena
        self._layouts = context.arena.layout.layouts
        self._cells = cells
        self._progress = cells.cell(WorkerCell.ROW_GAUGE)
        self._fresh = True
        self._journal = BadRows(number, context.pipeline, context.journal, cells)
        self._substitution = Substitution(context.pipeline, context.plan, self._journal, context.known_killers) if context.substitute else None
        self._batch_transforms = BatchTransforms(context.pipeline.batch_transforms, context.pipeline.seed, context.plan.world)
        self._substituted = 0
        self._ticket: Ticket | None = None
        self._stopwatch = Stopwatch(cells.timing(), clocks=True)
        self._fetch_counts = FetchCounts(context.pipeline.source, cells)
        self.expects = context.pipeline.source.rows_at_once > 0  # samples that are far away
        self._fetchers = context.pipeline.source.fetchers()
        self._fill_ahead = FillAhead(context.pipeline.source, context.plan)
        self.fills = self._fill_ahead.useful
        self._read_ahead = ReadAhead(context.pipeline.source, context.plan, context.arena, cells)

    def whereabouts(self) -> dict[str, Any]:
        """Return the attributes that a log record of this moment gets: the worker, and the sample that a function of the user is at."""
        ticket, row = self._ticket, self._progress[0]
        if ticket is None or row < 0:
            return {"worker": self._number}
        sample = int(self._indices(ticket)[row])
        if attempt := self._cells[WorkerCell.ATTEMPT_GAUGE]:
            sample = stand_in(self._plan, self._pipeline.seed, ticket.epoch, sample, attempt)
        return {"worker": self._number, "sample": sample, "path": self._pipeline.name_of(sample)}

    def expect(self, tickets: Iterable[Ticket]) -> None:
        """Begin to fetch the samples of tickets that will be worked on, each of them once."""
        with expecting(self._fetchers):
            for ticket in tickets:
                if ticket.kind == TicketKind.ROWS:
                    self._pipeline.source.will_read(self._indices(ticket))
                    self._fill_ahead.follow(ticket)

    def idle(self) -> bool:
        """Fill the caches of what is far away, a little; return whether there may be more to do."""
        more = self._fill_ahead.step()
        self._fetch_counts.note()
        return more

    def work(self, ticket: Ticket) -> Done | Failed | Exhausted:
        """Do what a ticket asks for and return the report."""
        try:
            report = self._work(ticket)
        except MemoryError:  # not in the code of a sample: the row is not known
            return Exhausted(self._number, UNKNOWN_ROW, self._fresh, Resource.MEMORY)
        except ResourceExhausted as failure:
            return Exhausted(self._number, failure.row, self._fresh, failure.resource)
        self._fresh = self._fresh and ticket.kind == TicketKind.ORDER
        return report

    def _work(self, ticket: Ticket) -> Done | Failed:
        started = time.monotonic_ns()
        self._cells[WorkerCell.TICKET_STARTED_NS_GAUGE] = started
        self._cells[WorkerCell.TICKET_GAUGE] = ticket.number
        self._substituted = 0
        self._ticket = ticket if ticket.kind == TicketKind.ROWS else None
        if ticket.kind == TicketKind.ORDER:
            self._make_order(ticket)
            self._stopwatch.ordered(time.monotonic_ns() - started)
        elif ticket.kind == TicketKind.BATCH:
            if (failed := self._transform_batches(ticket)) is not None:
                return failed
        else:
            watch = self._pipeline.watch = self._stopwatch.begin(started, ticket.rows)
            if self._read_ahead.active:
                self._progress[0] = READING_AHEAD
                self._read_ahead.begin(ticket)
                self._progress[0] = UNKNOWN_ROW
            try:
                self._fill(ticket)
            except BadSample as bad:
                self._cells.write_failure(ticket.number, self._pipeline.error(bad, self._number).to_record())
                if (resource := exhaustion(bad)) is not None:
                    raise ResourceExhausted(self._row(ticket, bad), resource) from bad
                return Failed(self._number, ticket.number, self._good_rows(ticket, bad))
            self._cells.add(WorkerCell.SAMPLES, ticket.rows)
        busy = time.monotonic_ns() - started
        self._cells.add(WorkerCell.BUSY_NS, busy)
        if self.expects:
            self._fetch_counts.note()
        if ticket.kind == TicketKind.ROWS:
            if watch is not None:
                watch.end(busy, ticket.rows)
                self._read_ahead.look()
            if busy > self._stopwatch.limit_ns * ticket.rows:
                self._stopwatch.slow(busy, ticket.rows, lambda: int(self._indices(ticket)[0]))
        return Done(self._number, ticket.number, busy, self._substituted)

    def _transform_batches(self, ticket: Ticket) -> Failed | None:
        """Run the batch transforms on the batches of a ticket; return the report if they fail on one, or its rows, made again, do."""
        layout, size = self._layouts[ticket.layout], self._plan.batch_size
        row = ticket.slot_row
        try:
            if ticket.attempt:
                self._fill(ticket._replace(attempt=0))
                self._substituted = 0  # they have been counted
            for row in range(ticket.slot_row, ticket.slot_row + ticket.rows, size):
                rows = min(size, ticket.slot_row + ticket.rows - row)
                rank, batch = self._plan.rank_and_batch((ticket.first + row - ticket.slot_row) // size)
                ((_, arrays),) = layout.runs(self._arena.slot(ticket.place), row, rows)
                started = time.monotonic_ns()
                self._batch_transforms.apply(layout.spec, ticket.epoch, rank, batch, arrays)
                self._stopwatch.mixed(time.monotonic_ns() - started)
        except BadSample as bad:
            if (resource := exhaustion(bad)) is not None:
                raise ResourceExhausted(UNKNOWN_ROW, resource) from bad
            error: LoaderError = self._pipeline.error(bad, self._number)
        except PipelineError as failure:
            trace = "" if failure.__cause__ is None else f"\n\n{remote_traceback(failure.__cause__).rstrip()}"
            error = PipelineError(f"{failure}{trace}")
        else:
            return None
        self._cells.write_failure(ticket.number, error.to_record())
        return Failed(self._number, ticket.number, row)

    def _make_order(self, ticket: Ticket) -> None:
        self._arena.block(ticket.place)[: ticket.rows] = self._plan.indices(ticket.epoch, ticket.first, ticket.first + ticket.rows)

    def _indices(self, ticket: Ticket) -> Indices:
        if self._plan.in_blocks:
            start = ticket.first - ticket.block_first
            return self._arena.block(ticket.block)[start : start + ticket.rows]
        return self._plan.indices(ticket.epoch, ticket.first, ticket.first + ticket.rows)

    def _fill(self, ticket: Ticket) -> None:
        indices = self._indices(ticket)
        done = 0
        for rows, leaves in self._layouts[ticket.layout].runs(self._arena.slot(ticket.place), ticket.slot_row, ticket.rows):
            self._fill_run(indices[done : done + rows], ticket, leaves, ticket.slot_row + done)
            done += rows

    def _fill_run(self, indices: Indices, ticket: Ticket, leaves: list[Array], slot_row: int) -> None:
        first = slot_row - ticket.slot_row
        if self._substitution is None:
            self._pipeline.fill(indices, ticket.epoch, leaves, self._progress, first)
        else:
            self._journal.ticket = ticket
            self._substituted += self._substitution.fill(indices, ticket.epoch, leaves, self._progress, first, ticket.attempt)

    def _row(self, ticket: Ticket, bad: BadSample) -> int:
        return int(np.flatnonzero(self._indices(ticket) == bad.index)[0])

    def _good_rows(self, ticket: Ticket, bad: BadSample) -> int:
        """Produce what comes before the bad sample again, batch by batch, so that the batches before its own are complete; return their end."""
        row = self._row(ticket, bad)
        size = self._layouts[ticket.layout].batch_size
        batch_start = (ticket.slot_row + row) // size * size
        rows = batch_start - ticket.slot_row
        if rows <= 0:
            return ticket.slot_row
        try:
            self._fill(ticket._replace(rows=rows))
        except BadSample:
            return ticket.slot_row
        return batch_start
