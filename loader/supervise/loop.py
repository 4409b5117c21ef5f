"""The supervisor's loop: wait, feed the schedule, carry out what it says. Decisions are elsewhere (`schedule`, `sizing`, `budget`)."""

from __future__ import annotations

import os
import select
import time
from typing import Any

from loader.ipc import last_words
from loader.ipc.board import Board, SupervisorCell, write_text
from loader.ipc.channels import Outlet, drain_records
from loader.ipc.line_file import LineFile
from loader.ipc.records import INBOX_BYTES, Close, Done, Exhausted, Failed, InboxRecord, Ready, Released, Resize, Skip, unpack_inbox
from loader.produce.worker import WorkerContext, run
from loader.supervise.bad_samples import BadSampleTracker
from loader.supervise.deaths import WorkerDeaths
from loader.supervise.memory.control import MemoryControl
from loader.supervise.operate.control import Control
from loader.supervise.operate.requests import RequestHandler, memory_setting, workers_setting
from loader.supervise.operate.status import Status
from loader.supervise.pool import Pool
from loader.supervise.sample_names import Names
from loader.supervise.schedule.assignments import Command, Dismiss, SendTicket
from loader.supervise.schedule.schedule import Schedule
from loader.supervise.schedule.slots import SlotClock
from loader.supervise.threads import Threads
from loader.supervise.tuning.tuning import Tuning

_TICK_S = 1.0

_NAP_SHARE = 0.85
_LONGEST_NAP_S = 2e-3
_SHORTEST_NAP_S = 2e-4
_SHORTEST_TICK_S = 0.1


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
        findings: what becomes of bad samples.
        names: of samples.
        threads: of this process, which should have none.
    """

    def __init__(
        self,
        *,
        schedule: Schedule,
        production: WorkerContext,
        board: Board,
        trainer: int,
        inbox: tuple[int, int],
        ready: Outlet,
        outputs: list[LineFile],
        workers: int,
        sample_timeout_s: float,
        tuning: Tuning,
        memory: MemoryControl,
        findings: BadSampleTracker,
        names: Names,
        threads: Threads,
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
        self._findings = findings
        self._tick_s = min(_TICK_S, max(_SHORTEST_TICK_S, sample_timeout_s / 2))
        self._memory = memory
        self._epoll = select.epoll()
        self._pool = Pool(self._run_worker, [self._inbox, ready.fd, trainer, self._epoll.fileno()], threads.look)
        self._pid = os.getpid()
        self._slot_clock = SlotClock(board.supervisor)
        self._status = Status(board=board, production=production, schedule=schedule, memory=memory, tuning=tuning, names=names)
        settings = {
            "workers": workers_setting(len(board.workers), self._workers_in_words, self._resize),
            "memory_limit": memory_setting(lambda: memory.limit, memory.check, self._set_memory_limit),
        }
        self._control = Control(self._epoll, RequestHandler(lambda: self._status.answer(self._target), settings).answer)
        self._leaving: set[int] = set()
        self._postmortem = WorkerDeaths(
            schedule=schedule,
            production=production,
            board=board,
            pool=self._pool,
            findings=findings,
            memory=memory,
            sample_timeout_s=sample_timeout_s,
        )
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
                ready = self._epoll.poll(self._patience_s())
                self._drain()
                for fd, _ in ready:
                    self._notice(fd)
                if (now := time.monotonic()) >= next_tick:
                    self._tick(now)
                    next_tick = now + min(self._tick_s, self._memory.pause_s)
                elif self._postmortem.asking:
                    self._postmortem.end_stalled(now)
                self._tune(now)
        finally:
            self._control.close()
            self._pool.end()
            self._findings.read_journal()
            self._findings.close()

    def _patience_s(self) -> float:
        """Return how long to wait for messages."""
        return self._control.patience_s(last_words.WRITING_S if self._postmortem.asking else min(self._tick_s, self._memory.pause_s))

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
        self._control.leave()
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
                self._postmortem.progress()
                self._done(record) if record.substituted else self._schedule.done(record)
            case Exhausted():
                self._postmortem.expect(record)
            case Released():
                self._schedule.released(record)
            case Failed():
                self._postmortem.progress()
                self._fail(record)
            case Skip():
                self._schedule.skip(record)
            case Resize(workers, number):
                self._resize(workers, "the script")
                self._board.supervisor[SupervisorCell.RESIZES] = number  # last: whoever sees it sees what came of it
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
        death = self._pool.bury(number)
        self._leaving.discard(number)
        self._postmortem.examine(number, death, self._target)
        self._memory.gone(number)
        self._adjust()

    def _tick(self, now: float) -> None:
        self._postmortem.end_stalled(now)
        for number in self._memory.look(now, self._leaving, self._target):
            self._leaving.add(number)
            self._schedule.worker_leaving(number)
        self._adjust()
        self._board.supervisor[SupervisorCell.HEARTBEAT_NS_GAUGE] = time.monotonic_ns()
        self._ready.flush()
        for output in self._outputs:
            output.trim()
        self._status.look(now)
        self._control.tick(now)

    def _resize(self, workers: int | str, by: str = "an operator") -> None:
        self._status.note(time.monotonic(), f"workers set to {workers} by {by}")
        self._tuning.active = workers == "auto"
        if isinstance(workers, int):
            self._target = workers
        self._adjust()

    def _workers_in_words(self) -> int | str:
        return f"auto ({self._target} now)" if self._tuning.active else self._target

    def _set_memory_limit(self, nbytes: int) -> None:
        self._memory.set_limit(nbytes, time.monotonic())
        self._adjust()

    def _tune(self, now: float) -> None:
        self._tuning.ceiling = self._memory.count(len(self._board.workers))
        if workers := self._tuning.look(now, self._target):
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
        self._board.supervisor[SupervisorCell.AUTO_GAUGE] = self._tuning.active
        self._board.supervisor[SupervisorCell.WORKERS_GAUGE] = self._target

    # Commands.

    def _carry_out(self) -> None:
        for command in self._schedule.commands():
            self._carry_out_one(command)
        self._slot_clock.note(*self._schedule.counts(), time.monotonic_ns())

    def _carry_out_one(self, command: Command) -> None:
        match command:
            case SendTicket(worker, ticket):
                self._pool.children[worker].tickets.send(ticket.pack())
            case Ready():
                self._ready.send(command.pack())
            case Dismiss(worker):
                self._pool.children[worker].tickets.close()
