"""The supervisor's loop: wait, feed the schedule, carry out what it says. Decisions are elsewhere (`schedule`, `sizing`, `budget`)."""

from __future__ import annotations

import os
import select
import signal
import time
from dataclasses import asdict
from typing import Any

from loader.errors import PipelineError, SampleError, SampleTimeout
from loader.ipc.board import Board, SupervisorCell, WorkerCell, WorkerState, write_text
from loader.ipc.channels import Outlet, drain_records
from loader.ipc.identity import identity
from loader.ipc.records import INBOX_BYTES, Close, Done, Failed, InboxRecord, Ready, Released, Resize, Skip, unpack_inbox
from loader.ipc.stats import Meter
from loader.produce.worker import Production, run
from loader.supervise.commands import Accuse, Command, Dismiss, Issue
from loader.supervise.control import Control
from loader.supervise.memory import MemoryRounds
from loader.supervise.pool import Pool, death_in_words
from loader.supervise.requests import Desk, workers_setting
from loader.supervise.schedule import Schedule
from loader.supervise.stalls import Stalls
from loader.supervise.suspects import DEATHS_TO_ACCUSE

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
        workers: how many to begin with.
        sample_timeout_s: longest time without progress of a worker that holds a ticket.
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
    ) -> None:
        self._schedule = schedule
        self._production = production
        self._board = board
        self._trainer = trainer
        self._inbox, self._inbox_write = inbox
        self._ready = ready
        self._target = workers
        self._stalls = Stalls(sample_timeout_s)
        self._tick_s = min(_TICK_S, max(_SHORTEST_TICK_S, sample_timeout_s / 2))
        self._memory = MemoryRounds()
        self._epoll = select.epoll()
        self._pool = Pool(self._run_worker, [self._inbox, ready.fd, trainer, self._epoll.fileno()])
        self._pid, self._trainer_pid = os.getpid(), os.getppid()
        self._meter = Meter(board)
        settings = {"workers": workers_setting(len(board.workers), lambda: self._target, self._resize)}
        self._control = Control(self._epoll, Desk(self._status, settings).answer)
        self._leaving: set[int] = set()
        self._timed_out: set[int] = set()
        self._deaths = 0
        self._open = True

    def run(self) -> None:
        """Work until closed. Raises PipelineError when no worker can work."""
        os.set_blocking(self._inbox, False)
        self._epoll.register(self._inbox, select.EPOLLIN)
        self._epoll.register(self._trainer, select.EPOLLIN)
        next_tick = 0.0
        self._control.open()
        try:
            self._adjust()
            while self._open:
                self._carry_out()
                self._nap()
                ready = self._epoll.poll(self._control.patience_s(self._tick_s))
                self._drain()
                for fd, _ in ready:
                    self._notice(fd)
                if (now := time.monotonic()) >= next_tick:
                    next_tick = now + self._tick_s
                    self._tick(now)
        finally:
            self._control.close()
            self._pool.end()

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
        self._control.leave()
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
            case Released():
                self._schedule.released(record)
            case Failed():
                self._deaths = 0
                self._fail(record)
            case Skip():
                self._schedule.skip(record)
            case Resize(workers):
                self._resize(workers)
            case Close():
                self._open = False

    def _fail(self, report: Failed) -> None:
        self._board.supervisor.add(SupervisorCell.ERRORS, 1)
        slot = self._schedule.slot_of(report)
        if self._schedule.failed(report):
            write_text(self._production.arena.text(slot), self._board.workers[report.worker].read_failure(report.ticket))

    def _notice(self, fd: int) -> None:
        if fd == self._trainer:
            self._open = False
            return
        if fd == self._control.fd:
            self._control.turn()
            return
        for number, child in list(self._pool.children.items()):
            if child.pidfd == fd:
                self._bury(number)

    def _bury(self, number: int) -> None:
        # Before it is closed: a worker that is just being forked may hold a copy, and a closed descriptor with a living copy stays in the epoll set.
        self._epoll.unregister(self._pool.children[number].pidfd)
        status = self._pool.bury(number)
        cells = self._board.workers[number]
        if number in self._leaving:
            self._leaving.remove(number)
        if self._schedule.has(number):
            self._deaths += 1
            self._board.supervisor.add(SupervisorCell.RESTARTS, 1)
            working = cells[WorkerCell.TICKET_GAUGE] == self._schedule.current(number)
            self._schedule.worker_died(number, cells[WorkerCell.ROW_GAUGE] if working else None, number in self._timed_out)
            self._timed_out.discard(number)
        cells[WorkerCell.STATE_GAUGE] = WorkerState.ABSENT
        cells[WorkerCell.TICKET_GAUGE] = 0  # or its successor would seem to be at work on it
        if self._deaths > _DEATHS_WITHOUT_PROGRESS:
            raise PipelineError(f"{self._deaths} workers died without finishing a ticket in between; the last one {death_in_words(status)}")
        self._adjust()

    def _tick(self, now: float) -> None:
        for number, child in self._pool.children.items():
            if self._stalls.stalled(number, self._board.workers[number], self._schedule.held(number), now):
                self._timed_out.add(number)
                os.kill(child.pid, signal.SIGKILL)
        self._board.supervisor[SupervisorCell.HEARTBEAT_NS_GAUGE] = time.monotonic_ns()
        pids = [child.pid for child in self._pool.children.values()]
        self._board.supervisor[SupervisorCell.PRIVATE_BYTES_GAUGE] = self._memory.total([self._pid, *pids])
        self._ready.flush()
        self._meter.look(now)
        self._control.tick(now)

    def _resize(self, workers: int) -> None:
        self._target = workers
        self._adjust()

    def _status(self) -> dict[str, Any]:
        who = asdict(identity(self._board.trainer))
        return {**self._meter.stats(who.pop("name")).as_dict(), "pid": self._pid, "trainer_pid": self._trainer_pid, **who}

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
            case Accuse():
                self._accuse(command)
            case Dismiss(worker):
                self._pool.children[worker].tickets.close()

    def _accuse(self, accused: Accuse) -> None:
        production = self._production
        position = production.plan.positions(accused.row, accused.row + 1)
        index = int(production.order.indices(accused.epoch, position)[0])
        name = production.pipeline.source.name_of(index)
        how = "made no progress for sample_timeout_s" if accused.timed_out else "killed its worker"
        reason = f"it {how}, {DEATHS_TO_ACCUSE} times in a row while it was the only one in its ticket"
        kind = SampleTimeout if accused.timed_out else SampleError
        self._deaths = 0
        self._board.supervisor.add(SupervisorCell.ERRORS, 1)
        write_text(production.arena.text(accused.slot), kind(index=index, name=name, reason=reason).to_record())
