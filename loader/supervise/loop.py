"""The supervisor's loop: wait, feed the schedule, carry out what it says. Decisions are elsewhere (`schedule`, `sizing`, `budget`)."""

from __future__ import annotations

import os
import select
import signal
import time
from typing import Any

from loader.errors import PipelineError
from loader.ipc.board import Board, SupervisorCell, WorkerCell, WorkerState, write_text
from loader.ipc.channels import Outlet, drain_records
from loader.ipc.records import INBOX_BYTES, Close, Done, Failed, InboxRecord, Ready, Released, Resize, Skip, unpack_inbox
from loader.produce import last_words
from loader.produce.worker import Production, run
from loader.supervise.commands import Command, Dismiss, Issue
from loader.supervise.findings import Findings
from loader.supervise.memory import MemoryRounds
from loader.supervise.pool import Pool, death_in_words
from loader.supervise.schedule import Schedule
from loader.supervise.stalls import Stalls
from loader.supervise.suspects import Issued

_TICK_S = 1.0

_NAP_SHARE = 0.85
_LONGEST_NAP_S = 2e-3
_SHORTEST_NAP_S = 2e-4
_SHORTEST_TICK_S = 0.1

# A worker that hangs writes its stacks at once, if it can run at all.
_STACK_S = 0.05

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
        workers: how many to begin with.
        sample_timeout_s: longest time without progress of a worker that holds a ticket.
        findings: what becomes of bad samples.
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
        workers: int,
        sample_timeout_s: float,
        findings: Findings,
    ) -> None:
        self._schedule = schedule
        self._production = production
        self._board = board
        self._trainer = trainer
        self._inbox, self._inbox_write = inbox
        self._ready = ready
        self._target = workers
        self._findings = findings
        self._stalls = Stalls(sample_timeout_s)
        self._tick_s = min(_TICK_S, max(_SHORTEST_TICK_S, sample_timeout_s / 2))
        self._memory = MemoryRounds()
        self._epoll = select.epoll()
        self._pool = Pool(self._run_worker, [self._inbox, ready.fd, trainer, self._epoll.fileno()])
        self._pid = os.getpid()
        self._leaving: set[int] = set()
        self._asked: dict[int, float] = {}  # workers that were asked for their stacks, and when
        self._timed_out: set[int] = set()
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
                ready = self._epoll.poll(_STACK_S if self._asked else self._tick_s)
                self._drain()
                for fd, _ in ready:
                    self._notice_death(fd)
                if (now := time.monotonic()) >= next_tick:
                    next_tick = now + self._tick_s
                    self._tick(now)
                elif self._asked:
                    self._end_stalled(now)
        finally:
            self._pool.end()
            self._findings.read_journal()
            self._findings.close()

    def _nap(self) -> None:
        """Let messages gather while every worker has enough to do.

        Each wake-up takes a core from a worker for some 50 µs, most of it for reading the supervisor's own code and data into the cache again
        (docs/measurements.md). A batch may be handed over later by a nap, but only while the workers can't keep up: then the trainer's
        speed is theirs.
        """
        nap_s = min(self._schedule.slack_ns() * 1e-9 * _NAP_SHARE, _LONGEST_NAP_S)
        if nap_s > _SHORTEST_NAP_S:
            time.sleep(nap_s)

    def _run_worker(self, number: int, tickets: int, last_words_fd: int) -> None:
        run(number, self._production, self._board.workers[number], tickets, last_words_fd, self._inbox_write, self._pid)

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
                self._done(record) if record.substituted else self._schedule.done(record)
            case Released():
                self._schedule.released(record)
            case Failed():
                self._deaths = 0
                self._fail(record)
            case Skip():
                self._schedule.skip(record)
            case Resize(workers):
                self._target = workers
                self._adjust()
            case Close():
                self._open = False

    def _done(self, report: Done) -> None:
        """A ticket is done, with other samples in the place of bad ones; where that is one too many, it is failed."""
        self._findings.read_journal()
        self._findings.substituted(report.substituted)
        beyond = self._findings.beyond(report.ticket)
        if beyond is None:
            self._schedule.done(report)
        else:
            self._fail_with(Failed(report.worker, report.ticket, beyond.slot_row), beyond.error)

    def _fail(self, report: Failed) -> None:
        self._findings.read_journal()
        error = self._board.workers[report.worker].read_failure(report.ticket)
        self._findings.failed(error)
        beyond = self._findings.beyond(report.ticket)
        if beyond is not None and beyond.slot_row < report.good_rows:
            report, error = report._replace(good_rows=beyond.slot_row), beyond.error
        self._fail_with(report, error)

    def _fail_with(self, report: Failed, error: dict[str, Any]) -> None:
        slot = self._schedule.slot_of(report)
        if self._schedule.failed(report):
            write_text(self._production.arena.text(slot), error)

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
        death = self._pool.bury(number)
        self._findings.read_journal()
        timed_out = number in self._timed_out or number in self._asked  # the question kills a process whose handler was taken away
        self._asked.pop(number, None)
        how = death_in_words(death.status, timed_out)
        cells = self._board.workers[number]
        if number in self._leaving:
            self._leaving.remove(number)
        if self._schedule.has(number):
            self._deaths += 1
            self._board.supervisor.add(SupervisorCell.RESTARTS, 1)
            working = cells[WorkerCell.TICKET_GAUGE] == self._schedule.current(number)
            row = cells[WorkerCell.ROW_GAUGE] if working else None
            accused = self._schedule.worker_died(number, row, timed_out, cells[WorkerCell.ATTEMPT_GAUGE])
            if accused is not None:
                self._judge(accused, number, how, death.last_words)
        self._timed_out.discard(number)
        cells[WorkerCell.STATE_GAUGE] = WorkerState.ABSENT
        cells[WorkerCell.TICKET_GAUGE] = 0  # or its successor would seem to be at work on it
        cells[WorkerCell.ATTEMPT_GAUGE] = 0
        if self._deaths > _DEATHS_WITHOUT_PROGRESS:
            words = f"\n\n{death.last_words}" if death.last_words else ""
            raise PipelineError(f"{self._deaths} workers died without finishing a ticket in between; the last one {how}{words}")
        self._adjust()

    def _judge(self, accused: Issued, worker: int, how: str, words: str) -> None:
        """A sample has been accused: have another one tried in its place, or fail its batch."""
        self._deaths = 0
        error = self._findings.accused(accused, worker, how, words)
        if error is None:
            self._schedule.substitute(accused)
        elif self._schedule.give_up(accused):
            write_text(self._production.arena.text(accused.ticket.place), error)

    def _end_stalled(self, now: float) -> None:
        """Ask workers that make no progress for their stacks, and kill them a little later, unless they have moved since."""
        for number, child in self._pool.children.items():
            if not self._stalls.stalled(number, self._board.workers[number], self._schedule.held(number), now):
                self._asked.pop(number, None)
            elif number not in self._asked.keys() | self._timed_out:
                self._asked[number] = now
                os.kill(child.pid, last_words.ASK)
            elif now - self._asked.get(number, now) >= _STACK_S:
                del self._asked[number]
                self._timed_out.add(number)
                os.kill(child.pid, signal.SIGKILL)

    def _tick(self, now: float) -> None:
        self._end_stalled(now)
        self._board.supervisor[SupervisorCell.HEARTBEAT_NS_GAUGE] = time.monotonic_ns()
        pids = [child.pid for child in self._pool.children.values()]
        self._board.supervisor[SupervisorCell.PRIVATE_BYTES_GAUGE] = self._memory.total([self._pid, *pids])
        self._ready.flush()

    def _adjust(self) -> None:
        """Start or dismiss workers until as many stay as are wanted."""
        staying = [number for number in self._pool.children if number not in self._leaving]
        for number in sorted(staying)[self._target :]:
            self._leaving.add(number)
            self._schedule.worker_leaving(number)
        unused = [number for number in range(len(self._board.workers)) if number not in self._pool.children]
        for number in unused[: max(0, self._target - len(staying))]:
            child = self._pool.start(number)
            self._epoll.register(child.pidfd, select.EPOLLIN)
            self._schedule.worker_joined(number)
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
            case Dismiss(worker):
                self._pool.children[worker].tickets.close()
