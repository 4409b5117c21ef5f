"""Which workers make no progress. Pure: the clock is an argument.

What follows from the death of a worker: what it held is issued again, and perhaps a sample is to blame.

Workers that make no progress are killed from here as well; they are asked for their stacks first.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from loader.errors import PipelineError
from loader.ipc import last_words
from loader.ipc.board import Board, Cells, SupervisorCell, WorkerCell, WorkerState, write_text
from loader.ipc.records import UNKNOWN_ROW, Exhausted, Resource, TicketKind
from loader.produce.worker import WorkerContext
from loader.supervise.bad_samples import BadSampleTracker
from loader.supervise.memory.control import MemoryControl
from loader.supervise.pool import Death, Pool, death_in_words
from loader.supervise.schedule.schedule import Schedule
from loader.supervise.schedule.suspects import TrackedTicket


@dataclass
class StallDetector:
    """Remembers when each worker was last seen to move.

    Attributes:
        timeout_s: a worker that holds a ticket and did not move for so long is stalled.
    """

    timeout_s: float
    _seen: dict[int, tuple[tuple[int, ...], float]] = field(default_factory=dict)

    def stalled(self, worker: int, cells: Cells, held: int, now: float) -> bool:
        """Return whether `worker`, which holds `held` tickets, is stalled at the time `now` (seconds, monotonic)."""
        moving = (WorkerCell.PID_GAUGE, WorkerCell.TICKET_STARTED_NS_GAUGE, WorkerCell.ROW_GAUGE, WorkerCell.ATTEMPT_GAUGE, WorkerCell.BAD)
        state = tuple(cells[cell] for cell in moving)
        known, since = self._seen.get(worker, (None, now))
        if not held or state != known:
            self._seen[worker] = (state, now)
            return False
        return now - since >= self.timeout_s


_log = logging.getLogger("loader.supervisor")

# A sample that kills its worker is found after at most 13 halvings of a ticket and three deaths alone. More deaths in a row than this, with
# nothing finished in between, mean that no worker can work at all.
_DEATHS_WITHOUT_PROGRESS = 50


class WorkerDeaths:
    """Knows how each worker came to die.

    Args:
        schedule: gets back what a dead one held.
        production: what the workers share.
        board: counters.
        pool: the workers.
        findings: what becomes of bad samples.
        memory: may have been what a worker lacked.
        sample_timeout_s: longest time without progress of a worker that holds a ticket.
    """

    def __init__(
        self,
        *,
        schedule: Schedule,
        production: WorkerContext,
        board: Board,
        pool: Pool,
        findings: BadSampleTracker,
        memory: MemoryControl,
        sample_timeout_s: float,
    ) -> None:
        self._schedule = schedule
        self._production = production
        self._board = board
        self._pool = pool
        self._findings = findings
        self._memory = memory
        self._stalls = StallDetector(sample_timeout_s)
        self._asked: dict[int, float] = {}  # workers that were asked for their stacks, and when
        self._timed_out: set[int] = set()
        self._exhausted: dict[int, Exhausted] = {}  # last reports of workers that are about to exit
        self._deaths = 0
        self._warned = False

    @property
    def asking(self) -> bool:
        """Whether workers have been asked for their stacks, so that `end_stalled` must be called again within `last_words.WRITING_S`."""
        return bool(self._asked)

    def progress(self) -> None:
        """A ticket was finished, so workers can work."""
        self._deaths = 0

    def expect(self, report: Exhausted) -> None:
        """A worker got no more memory, or no descriptor, and is about to exit."""
        self._exhausted[report.worker] = report

    def end_stalled(self, now: float) -> None:
        """Ask workers that make no progress for their stacks, and kill them a little later, unless they have moved since."""
        for number, child in self._pool.children.items():
            if not self._stalls.stalled(number, self._board.workers[number], self._schedule.held(number), now):
                self._asked.pop(number, None)
            elif number not in self._asked.keys() | self._timed_out:
                self._asked[number] = now
                os.kill(child.pid, last_words.ASK)
            elif now - self._asked.get(number, now) >= last_words.WRITING_S:
                del self._asked[number]
                self._timed_out.add(number)
                os.kill(child.pid, signal.SIGKILL)

    def examine(self, number: int, death: Death, target: int) -> None:
        """Find out what follows from the death of worker `number`, which has been reaped.

        Args:
            number: of the worker.
            death: how it died.
            target: how many workers should run.

        Raises:
            PipelineError: workers die and die, and nothing is finished in between.
        """
        self._findings.read_journal()
        timed_out = number in self._timed_out or number in self._asked  # the question kills a process whose handler was taken away
        oom = death.status == signal.SIGKILL and not timed_out and self._memory.killed_by_oom(time.monotonic(), target)
        how = death_in_words(death.status, timed_out=timed_out, out_of_memory=oom)
        if self._schedule.has(number):
            self._board.workers[number].add(WorkerCell.RESTARTS, 1)
            report = self._exhausted.pop(number, None)
            if report is None:
                self._issue_again(number, death, how, timed_out, oom)
            else:
                self._issue_exhausting(report, target)
        else:
            _log.debug("worker %d was dismissed", number)
        self._exhausted.pop(number, None)
        self._asked.pop(number, None)
        self._timed_out.discard(number)
        cells = self._board.workers[number]
        cells[WorkerCell.STATE_GAUGE] = WorkerState.ABSENT
        cells[WorkerCell.TICKET_GAUGE] = 0  # or its successor would seem to be at work on it
        cells[WorkerCell.ATTEMPT_GAUGE] = 0
        if self._deaths > _DEATHS_WITHOUT_PROGRESS:
            words = f"\n\n{death.last_words}" if death.last_words else ""
            raise PipelineError(f"{self._deaths} workers died without finishing a ticket in between; the last one {how}{words}")

    def _issue_again(self, number: int, death: Death, how: str, timed_out: bool, oom: bool) -> None:
        self._deaths += 1
        cells = self._board.workers[number]
        words = f"; its stack:\n{death.last_words}" if death.last_words else ""
        held = self._schedule.held(number)
        again = "1 ticket is issued again" if held == 1 else f"{held} tickets are issued again"
        _log.warning("worker %d (pid %d) died, %s; %s%s", number, cells[WorkerCell.PID_GAUGE], how, again, words)
        self._board.supervisor.add(SupervisorCell.RESTARTS, 1)
        working = cells[WorkerCell.TICKET_GAUGE] == self._schedule.current(number)
        # Where several ran, the one that the kernel killed for want of memory is not the one to blame.
        row = cells[WorkerCell.ROW_GAUGE] if working and not (oom and self._pool.children) else None
        accused = self._schedule.worker_died(number, row, timed_out, cells[WorkerCell.ATTEMPT_GAUGE])
        if accused is not None:
            self._judge(accused, self._findings.accused_of_killing(accused, number, how, death.last_words))

    def _issue_exhausting(self, report: Exhausted, target: int) -> None:
        """Issue again what a worker held that ran out of something. A row that had all there is, with nothing taken before it, is accused."""
        number = report.worker
        cells = self._board.workers[number]
        ticket = self._schedule.tickets(number)[0]
        row = None
        if report.resource is Resource.DESCRIPTORS:
            took_all, why = report.fresh, "its worker was a fresh one, which had opened nothing before"
            self._warn_of_descriptors()
        else:
            waiting = len(self._pool.children) >= self._memory.count(target)
            took_all, why = self._memory.exhausted(report, time.monotonic(), waiting, target), self._memory.arithmetic()
        if took_all and ticket.kind is TicketKind.ROWS:
            self._deaths += 1
            row = -1 if report.row == UNKNOWN_ROW else report.row
        accused = self._schedule.worker_died(number, row, attempt=cells[WorkerCell.ATTEMPT_GAUGE], certain=True)
        if accused is not None:
            told = cells.read_failure(ticket.number)
            self._judge(accused, self._findings.accused_of_exhausting(accused, number, told, why))

    def _warn_of_descriptors(self) -> None:
        self._board.supervisor.add(SupervisorCell.RESTARTS, 1)
        if not self._warned:
            self._warned = True
            likely = "the source or a transform opens files and does not close them"
            print(f"loader: a worker has no file descriptor left and is replaced; likely cause: {likely}", file=sys.stderr, flush=True)

    def _judge(self, accused: TrackedTicket, error: dict[str, Any] | None) -> None:
        """A sample has been accused: have another one tried in its place, or fail its batch with `error`."""
        self._deaths = 0
        if error is None:
            self._schedule.substitute(accused)
        elif self._schedule.give_up(accused):
            write_text(self._production.arena.text(accused.ticket.place), error)
