"""The supervisor's loop: wait, feed the schedule, carry out what it says. Decisions are elsewhere (`schedule`, `sizing`, `budget`)."""

from __future__ import annotations

import os
import select
import signal
import time

from loader.errors import PipelineError
from loader.ipc.board import Board, SupervisorCell, WorkerCell, WorkerState, write_text
from loader.ipc.channels import Outlet, drain_records
from loader.ipc.output import Output
from loader.ipc.records import (
    INBOX_BYTES,
    UNKNOWN_ROW,
    Close,
    Done,
    Exhausted,
    Failed,
    InboxRecord,
    Ready,
    Released,
    Resize,
    Skip,
    TicketKind,
    unpack_inbox,
)
from loader.produce.worker import Production, run
from loader.supervise.accusations import accuse, accuse_of_memory
from loader.supervise.commands import Accuse, Command, Dismiss, Issue
from loader.supervise.memory_control import MemoryControl
from loader.supervise.pool import Pool, death_in_words
from loader.supervise.schedule import Schedule
from loader.supervise.stalls import Stalls
from loader.supervise.tuning import Tuning

_TICK_S = 1.0

_NAP_SHARE = 0.85
_LONGEST_NAP_S = 2e-3
_SHORTEST_NAP_S = 2e-4
_SHORTEST_TICK_S = 0.1

# A sample that kills its worker is found after at most 13 halvings of a ticket and three deaths alone. More deaths in a row than this, with
# nothing finished in between, mean that no worker can work at all.
_DEATHS_WITHOUT_PROGRESS = 50


class Supervisor:
    """Keeps the workers busy until it is told to stop or the trainer dies.

    Args:
        schedule: decides.
        production: what the workers share.
        board: counters.
        trainer: pidfd of the trainer.
        inbox: reading and writing end of the inbox.
        ready: to the trainer.
        outputs: what all processes print, to be kept short.
        workers: how many to begin with.
        sample_timeout_s: longest time without progress of a worker that holds a ticket.
        tuning: may change their number.
        memory: keeps the limit; may allow fewer workers than are wanted.
    """

    def __init__(
        self,
        *,
        schedule: Schedule,
        production: Production,
        board: Board,
        trainer: int,
        inbox: tuple[int, int],
        ready: Outlet,
        outputs: list[Output],
        workers: int,
        sample_timeout_s: float,
        tuning: Tuning,
        memory: MemoryControl,
    ) -> None:
        self._schedule = schedule
        self._production = production
        self._board = board
        self._trainer = trainer
        self._inbox, self._inbox_write = inbox
        self._ready = ready
        self._outputs = outputs
        self._target = workers
        self._tuning = tuning
        self._stalls = Stalls(sample_timeout_s)
        self._tick_s = min(_TICK_S, max(_SHORTEST_TICK_S, sample_timeout_s / 2))
        self._memory = memory
        self._epoll = select.epoll()
        self._pool = Pool(self._run_worker, [self._inbox, ready.fd, trainer, self._epoll.fileno()])
        self._pid = os.getpid()
        self._leaving: set[int] = set()
        self._timed_out: set[int] = set()
        self._exhausted: dict[int, Exhausted] = {}  # last words of workers that are about to exit
        self._deaths = 0
        self._open = True

    def run(self) -> None:
        """Work until closed. Raises PipelineError when no worker can work."""
        os.set_blocking(self._inbox, False)
        self._epoll.register(self._inbox, select.EPOLLIN)
        self._epoll.register(self._trainer, select.EPOLLIN)
        next_tick = 0.0
        try:
            self._adjust()
            while self._open:
                self._carry_out()
                self._nap()
                ready = self._epoll.poll(min(self._tick_s, self._memory.pause_s))
                self._drain()
                for fd, _ in ready:
                    self._notice_death(fd)
                if (now := time.monotonic()) >= next_tick:
                    self._tick(now)
                    next_tick = now + min(self._tick_s, self._memory.pause_s)
                self._tune(now)
        finally:
            self._pool.end()

    def set_memory_limit(self, nbytes: int) -> None:
        """Change the limit. Raises MemoryLimitError, with the arithmetic, for less than one worker needs."""
        self._memory.set_limit(nbytes, time.monotonic())
        self._adjust()

    def _nap(self) -> None:
        """Let messages gather while every worker has enough to do.

        Each wake-up takes a core from a worker for some 50 µs, most of it for reading the supervisor's own code and data into the cache again
        (docs/measurements.md). A batch may be handed over later by a nap, but only while the workers can't keep up: then the trainer's
        speed is theirs.
        """
        nap_s = min(self._schedule.slack_ns() * 1e-9 * _NAP_SHARE, _LONGEST_NAP_S)
        if nap_s > _SHORTEST_NAP_S:
            time.sleep(nap_s)

    def _run_worker(self, number: int, tickets: int) -> None:
        run(number, self._production, self._board.workers[number], tickets, self._inbox_write, self._pid)

    # Events.

    def _drain(self) -> None:
        """Feed everything that has been sent. It comes before a death is fed: what a dead worker reported is done."""
        for raw in drain_records(self._inbox, INBOX_BYTES):
            for record in unpack_inbox(raw):
                self._feed(record)

    def _feed(self, record: InboxRecord) -> None:
        match record:
            case Done():
                self._deaths = 0
                self._schedule.done(record)
            case Exhausted(worker):
                self._exhausted[worker] = record
            case Released():
                self._schedule.released(record)
            case Failed():
                self._deaths = 0
                self._fail(record)
            case Skip():
                self._schedule.skip(record)
            case Resize(workers):
                self._tuning.active = False
                self._target = workers
                self._adjust()
            case Close():
                self._open = False

    def _fail(self, report: Failed) -> None:
        self._board.supervisor.add(SupervisorCell.ERRORS, 1)
        slot = self._schedule.slot_of(report)
        if self._schedule.failed(report):
            write_text(self._production.arena.text(slot), self._board.workers[report.worker].read_failure(report.ticket))

    def _notice_death(self, fd: int) -> None:
        if fd == self._trainer:
            self._open = False
            return
        for number, child in list(self._pool.children.items()):
            if child.pidfd == fd:
                self._bury(number)

    def _bury(self, number: int) -> None:
        # Before it is closed: a worker that is just being forked may hold a copy, and a closed descriptor with a living copy stays in the epoll set.
        self._epoll.unregister(self._pool.children[number].pidfd)
        status = self._pool.bury(number)
        cells = self._board.workers[number]
        self._leaving.discard(number)
        oom = status == signal.SIGKILL and number not in self._timed_out and self._memory.killed_by_oom(time.monotonic(), self._target)
        if self._schedule.has(number):
            self._issue_again(number, oom)
        self._memory.gone(number)
        cells[WorkerCell.STATE_GAUGE] = WorkerState.ABSENT
        cells[WorkerCell.TICKET_GAUGE] = 0  # or its successor would seem to be at work on it
        if self._deaths > _DEATHS_WITHOUT_PROGRESS:
            raise PipelineError(f"{self._deaths} workers died without finishing a ticket in between; the last one {death_in_words(status, oom)}")
        self._adjust()

    def _issue_again(self, number: int, oom: bool) -> None:
        """Give the schedule back what a dead worker held. `oom`: the kernel killed it for want of memory."""
        cells = self._board.workers[number]
        last_words = self._exhausted.pop(number, None)
        if last_words is not None:
            row = self._judge(last_words)
        else:
            self._deaths += 1
            self._board.supervisor.add(SupervisorCell.RESTARTS, 1)
            working = cells[WorkerCell.TICKET_GAUGE] == self._schedule.current(number)
            # Where several ran, the one that was killed is not the one to blame.
            row = cells[WorkerCell.ROW_GAUGE] if working and not (oom and self._pool.children) else None
        self._schedule.worker_died(number, row, number in self._timed_out)
        self._timed_out.discard(number)

    def _judge(self, report: Exhausted) -> int | None:
        """Return the row that took all the memory there is, -1 where it is not known, or None if no sample is to blame."""
        waiting = len(self._pool.children) >= self._memory.count(self._target)
        ticket = self._schedule.first_ticket(report.worker)
        if not self._memory.exhausted(report, time.monotonic(), waiting, self._target) or ticket.kind != TicketKind.ROWS:
            return None
        self._deaths += 1
        if ticket.rows > 1:
            return -1 if report.row == UNKNOWN_ROW else report.row
        self._deaths = 0
        self._board.supervisor.add(SupervisorCell.ERRORS, 1)
        if self._schedule.failed(Failed(report.worker, ticket.number, ticket.slot_row)):
            told = self._board.workers[report.worker].read_failure(ticket.number)
            accuse_of_memory(ticket, told, self._memory.arithmetic(), self._production)
        return None

    def _tick(self, now: float) -> None:
        for number, child in self._pool.children.items():
            if self._stalls.stalled(number, self._board.workers[number], self._schedule.held(number), now):
                self._timed_out.add(number)
                os.kill(child.pid, signal.SIGKILL)
        for number in self._memory.look(now, self._leaving, self._target):
            self._leaving.add(number)
            self._schedule.worker_leaving(number)
        self._adjust()
        self._board.supervisor[SupervisorCell.HEARTBEAT_NS_GAUGE] = time.monotonic_ns()
        self._ready.flush()
        for output in self._outputs:
            output.trim()

    def _tune(self, now: float) -> None:
        if workers := self._tuning.look(now, self._target, self._schedule.counts()[1]):
            self._target = workers
            self._adjust()

    def _adjust(self) -> None:
        """Start or dismiss workers until as many stay as are wanted and memory allows. One that leaves has its place until it has gone."""
        count = self._memory.count(self._target)
        staying = [number for number in self._pool.children if number not in self._leaving]
        for number in sorted(staying)[count:]:
            self._leaving.add(number)
            self._schedule.worker_leaving(number)
        unused = [number for number in range(len(self._board.workers)) if number not in self._pool.children]
        for number in unused[: max(0, count - len(self._pool.children))]:
            child = self._pool.start(number)
            self._memory.born(number, child.pid)
            self._epoll.register(child.pidfd, select.EPOLLIN)
            self._schedule.worker_joined(number)
        self._memory.share_out(self._target)
        self._board.supervisor[SupervisorCell.WORKERS_GAUGE] = self._target

    # Commands.

    def _carry_out(self) -> None:
        for command in self._schedule.commands():
            self._carry_out_one(command)
        free, filling, handed = self._schedule.counts()
        cells = self._board.supervisor
        cells[SupervisorCell.SLOTS_FREE_GAUGE] = free
        cells[SupervisorCell.SLOTS_FILLING_GAUGE] = filling
        cells[SupervisorCell.SLOTS_HANDED_GAUGE] = handed

    def _carry_out_one(self, command: Command) -> None:
        match command:
            case Issue(worker, ticket):
                self._pool.children[worker].tickets.send(ticket.pack())
            case Ready():
                self._ready.send(command.pack())
            case Accuse():
                self._deaths = 0
                self._board.supervisor.add(SupervisorCell.ERRORS, 1)
                accuse(command, self._production)
            case Dismiss(worker):
                self._pool.children[worker].tickets.close()
