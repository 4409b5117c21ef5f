"""A worker's death, from the pidfd that tells of it to the tickets that are issued again.

    notice          the loop sees the pidfd. It has fed the inbox before, so what the dead worker had reported is done
    reap            its wait status, and the stacks that it left                                                pool
    ask why         it made no progress and was killed from here                                                stalls
                    it ran out of memory or descriptors, and said so in its last report                         produce/worker
                    the kernel killed it for want of memory                                                     memory/control
                    else what its wait status says: a crash, or a signal from elsewhere
    ask where       its counters tell ticket, row and attempt: `DiedAt`; None where nothing that it held is to blame
    issue again     what it held, cut smaller so that a sample that kills is found; a row may be accused        schedule/suspects
    judge           another sample is tried in the place of an accused one, or its batch fails                  bad_samples
    clear           its counters say that nobody is there, and its memory is shared out again
    replace         the loop forks a successor                                                                  scaling

`WorkerDeaths.handle` is these steps from the second to the last but one.
"""

from __future__ import annotations

import logging
import signal
import sys
import time
from typing import Any

from loader.data.rows import UNKNOWN_ROW
from loader.data.transforms.functions.map_function import name_of
from loader.errors import PipelineError
from loader.ipc.board import Board, SupervisorCell, WorkerCell, WorkerState
from loader.ipc.records import Exhausted, Fate, Lost, Resource, Ticket, TicketKind
from loader.ipc.text_area import write_text
from loader.produce.worker import WorkerContext
from loader.supervise.bad_samples import BadSampleTracker
from loader.supervise.memory.control import MemoryControl
from loader.supervise.pool import Death, Pool, death_in_words
from loader.supervise.schedule.schedule import Schedule
from loader.supervise.schedule.suspects import DEATHS_TO_ACCUSE, Accused, DiedAt
from loader.supervise.stalls import StalledWorkers

_log = logging.getLogger("loader.supervisor")

# A sample that kills its worker is found after at most 13 halvings of a ticket and three deaths alone. More deaths in a row than this, with
# nothing finished in between, mean that no worker can work at all.
_DEATHS_WITHOUT_PROGRESS = 50


class WorkerDeaths:
    """Finds out why workers died, and what follows.

    Args:
        schedule: gets back what a dead one held.
        context: what the workers share.
        board: counters.
        pool: the workers.
        stalls: ends those that make no progress.
        bad_samples: what becomes of accused ones.
        memory: may have been what a worker lacked.
    """

    def __init__(
        self,
        *,
        schedule: Schedule,
        context: WorkerContext,
        board: Board,
        pool: Pool,
        stalls: StalledWorkers,
        bad_samples: BadSampleTracker,
        memory: MemoryControl,
    ) -> None:
        self._schedule = schedule
        self._context = context
        self._board = board
        self._pool = pool
        self._stalls = stalls
        self._bad_samples = bad_samples
        self._memory = memory
        self._last_reports: dict[int, Exhausted] = {}
        self._in_a_row = self._reports_before = 0
        self._warned_of_descriptors = False

    def expect(self, report: Exhausted) -> None:
        """A worker got no more memory, or no descriptor, and is about to exit."""
        self._last_reports[report.worker] = report

    def handle(self, number: int, wanted: int) -> None:
        """Handle the death of worker `number`, except for its replacement.

        Args:
            number: of the worker.
            wanted: how many workers should run.

        Raises:
            PipelineError: workers keep dying without finishing anything in between, or in the source's `will_read`.
        """
        death = self._pool.bury(number)
        self._bad_samples.read_journal()
        timed_out = self._stalls.was_ended(number)
        by_kernel = death.status == signal.SIGKILL and not timed_out and self._memory.killed_by_oom(time.monotonic(), wanted)
        how = death_in_words(death.status, timed_out=timed_out, out_of_memory=by_kernel)
        report = self._last_reports.pop(number, None)
        if not self._schedule.has(number):
            _log.debug("worker %d was dismissed", number)
        elif report is None:
            self._died(number, death, how, timed_out, by_kernel)
        else:
            self._ran_out(report, wanted)
        self._clear(number)
        if self._in_a_row > _DEATHS_WITHOUT_PROGRESS:
            words = f"\n\n{death.last_words}" if death.last_words else ""
            raise PipelineError(f"{self._in_a_row} workers died without finishing a ticket in between; the last one {how}{words}")

    def lost(self, report: Lost) -> None:
        """Handle the end of a remote worker. Its process was on another machine, so only the gateway knows how it ended."""
        number = report.worker
        self._bad_samples.read_journal()
        if not self._schedule.has(number):
            _log.debug("remote worker %d was let go, or had not begun", number)
        else:
            self._lost(number, report)
        self._clear_cells(number)

    # Why and where.

    def _lost(self, number: int, report: Lost) -> None:
        held = self._schedule.tickets(number)
        to_blame = next((ticket for ticket in held if ticket.number == report.ticket), None)
        told = {} if to_blame is None else self._board.workers[number].read_failure(to_blame.number)
        how, stack = told.get("how", "has gone"), told.get("last_words", "")
        at = None
        if report.fate in (Fate.DIED, Fate.HUNG) and to_blame is not None:
            at = DiedAt(report.row, to_blame.attempt, report.fate is Fate.HUNG, ticket=to_blame.number)
        if at is not None:
            self._count_in_a_row()
        self._tell(f"remote worker {number}", len(held), how, stack, logging.INFO if at is None else logging.WARNING)
        accused = self._issue_again(number, at, report.ticket if report.fate is Fate.FELL else 0)
        if accused is None:
            return
        words = f"{how}\n\n{stack}" if stack else how
        if accused.ticket.kind is TicketKind.BATCH:
            self._judge(accused, self._of_batch_transforms(accused.ticket, f"{DEATHS_TO_ACCUSE} workers died; the last one {words}"))
        else:
            self._judge(accused, self._bad_samples.accused_of_killing(accused, number, how, stack))

    def _died(self, number: int, death: Death, how: str, timed_out: bool, by_kernel: bool) -> None:
        self._count_in_a_row()
        pid = self._board.workers[number][WorkerCell.PID_GAUGE]
        self._tell(f"worker {number} (pid {pid})", len(self._schedule.tickets(number)), f"died, {how}", death.last_words)
        # If several workers ran, the one that the kernel killed for lack of memory is not to blame.
        at = None if by_kernel and self._pool.children else self._where(number, timed_out)
        accused = self._issue_again(number, at)
        if accused is None:
            return
        words = f"\n\n{death.last_words}" if death.last_words else ""
        if accused.reading_ahead:
            raise PipelineError(f"{self._of_will_read(accused.timed_out)}; the last worker {how}{words}")
        if accused.ticket.kind is TicketKind.BATCH:
            self._judge(accused, self._of_batch_transforms(accused.ticket, f"{DEATHS_TO_ACCUSE} workers died; the last one {how}{words}"))
        else:
            self._judge(accused, self._bad_samples.accused_of_killing(accused, number, how, death.last_words))

    def _where(self, number: int, timed_out: bool) -> DiedAt | None:
        """Return where a worker died; None if it was not at work on the ticket that it had to do first."""
        cells, held = self._board.workers[number], self._schedule.tickets(number)
        if not held or cells[WorkerCell.TICKET_GAUGE] != held[0].number:
            return None
        return DiedAt(cells[WorkerCell.ROW_GAUGE], cells[WorkerCell.ATTEMPT_GAUGE], timed_out)

    def _ran_out(self, report: Exhausted, wanted: int) -> None:
        """A worker exited because it ran out of something. A row is to blame if it had all there is, and nothing was taken before it."""
        number = report.worker
        cells, ticket = self._board.workers[number], self._schedule.tickets(number)[0]
        if report.resource is Resource.DESCRIPTORS:
            took_all, why = report.fresh, "its worker was a fresh one, which had opened nothing before"
            self._warn_of_descriptors()
        else:
            waiting = len(self._pool.children) >= self._memory.count(wanted)
            took_all, why = self._memory.exhausted(report, time.monotonic(), waiting, wanted), self._memory.arithmetic()
        at = None
        if took_all and ticket.kind is not TicketKind.ORDER:
            self._count_in_a_row()
            at = DiedAt(report.row, cells[WorkerCell.ATTEMPT_GAUGE], certain=True)
        accused = self._issue_again(number, at)
        if accused is None:
            return
        if accused.ticket.kind is TicketKind.BATCH:
            self._judge(accused, self._of_batch_transforms(accused.ticket, f"it took all of the {report.resource.name.lower()} that there is; {why}"))
        else:
            self._judge(accused, self._bad_samples.accused_of_exhausting(accused, number, cells.read_failure(ticket.number), why))

    def _of_batch_transforms(self, ticket: Ticket, what: str) -> dict[str, Any]:
        """Return the error of a batch on which the batch transforms do not let a worker live."""
        names = ", ".join(map(name_of, self._context.pipeline.batch_transforms))
        plan = self._context.plan
        _, batch = plan.rank_and_batch(ticket.first // plan.batch_size)
        return PipelineError(f"batch_transforms ({names}) failed on batch {batch} of epoch {ticket.epoch}: {what}").to_record()

    def _of_will_read(self, timed_out: bool) -> str:
        what = f"made no progress for {self._stalls.timeout_s:g} s (sample_timeout_s)" if timed_out else "killed its worker"
        return (
            f"will_read() of the source {what}, {DEATHS_TO_ACCUSE} times in a row before the same samples. It is called before samples are read, to "
            "ask for those that come later. What to do: if the source is your own, let it ask only and return at once, or leave it out; else look "
            "whether the storage answers"
        )

    # What follows.

    def _issue_again(self, number: int, at: DiedAt | None, here: int = 0) -> Accused | None:
        self._board.workers[number].add(WorkerCell.RESTARTS, 1)
        return self._schedule.worker_died(number, at, here)

    def _judge(self, accused: Accused, error: dict[str, Any] | None) -> None:
        """A sample or batch has been accused: have another one tried in its place, or fail its batch with `error`."""
        self._in_a_row = 0
        if error is None:
            self._schedule.substitute(accused)
        elif (slot := self._schedule.give_up(accused)) is not None:
            write_text(self._context.arena.text(slot), error)

    def _clear(self, number: int) -> None:
        self._clear_cells(number)
        self._memory.gone(number)

    def _clear_cells(self, number: int) -> None:
        cells = self._board.workers[number]
        cells[WorkerCell.STATE_GAUGE] = WorkerState.ABSENT
        cells[WorkerCell.ROW_GAUGE] = UNKNOWN_ROW
        cells[WorkerCell.TICKET_GAUGE] = 0  # or its successor would seem to be at work on it
        cells[WorkerCell.ATTEMPT_GAUGE] = 0
        cells[WorkerCell.NODE_GAUGE] = 0

    def _count_in_a_row(self) -> None:
        if self._schedule.reports != self._reports_before:  # so workers can work
            self._reports_before, self._in_a_row = self._schedule.reports, 0
        self._in_a_row += 1

    def _tell(self, who: str, held: int, how: str, stack: str, level: int = logging.WARNING) -> None:
        self._board.supervisor.add(SupervisorCell.RESTARTS, 1)
        again = "1 ticket is issued again" if held == 1 else f"{held} tickets are issued again"
        words = f"; its stack:\n{stack}" if stack else ""
        _log.log(level, "%s %s; %s%s", who, how, again, words)

    def _warn_of_descriptors(self) -> None:
        self._board.supervisor.add(SupervisorCell.RESTARTS, 1)
        if not self._warned_of_descriptors:
            self._warned_of_descriptors = True
            likely = "the source or a transform opens files and does not close them"
            print(f"loader: a worker has no file descriptor left and is replaced; likely cause: {likely}", file=sys.stderr, flush=True)
