"""The supervisor's loop: wait, feed the schedule, carry out what it says. Decisions are elsewhere (`schedule`, `scaling`, `memory`, `tuning`)."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator
from typing import Any

from loader.ipc import last_words
from loader.ipc.board import Board, Phase, SupervisorCell
from loader.ipc.channels import Outlet, drain_records
from loader.ipc.line_file import LineFile
from loader.ipc.records import INBOX_BYTES, Close, Done, Exhausted, Failed, Joined, Leave, Lost, Ready, Released, Resize, Skip, unpack_inbox
from loader.ipc.text_area import write_text
from loader.produce.remote.context import RemoteContext
from loader.produce.worker import WorkerContext, run
from loader.supervise.bad_samples import BadSampleTracker
from loader.supervise.deaths import WorkerDeaths
from loader.supervise.large_pages import LargePages
from loader.supervise.memory.control import MemoryControl
from loader.supervise.operate.control import Control
from loader.supervise.operate.requests import RequestHandler, memory_setting, workers_setting
from loader.supervise.operate.status import Status
from loader.supervise.pool import Pool
from loader.supervise.remote.remote_workers import RemoteWorkers
from loader.supervise.sample_names import SampleNames
from loader.supervise.scaling import Scaling
from loader.supervise.schedule.assignments import Dismiss, SendTicket
from loader.supervise.schedule.schedule import Schedule
from loader.supervise.schedule.slots import SlotClock
from loader.supervise.sharing.readers import Readers
from loader.supervise.sharing.shared_pool import SharedPool
from loader.supervise.stalls import StalledWorkers
from loader.supervise.threads_at_fork import ThreadsAtFork
from loader.supervise.tuning.crew import Crew
from loader.supervise.tuning.tuning import Tuning

_TICK_S = 1.0
_SHORTEST_TICK_S = 0.1
_NAP_SHARE = 0.85
_LONGEST_NAP_S = 4e-3
_SHORTEST_NAP_S = 2e-4


class Supervisor:
    """Keeps the workers busy until it is told to stop or the trainer dies, and nobody else reads.

    Args:
        schedule: decides.
        context: what the workers share.
        board: counters.
        trainer: pidfd of the trainer.
        inbox: reading and writing end of the inbox.
        ready: to the trainer.
        pages: makes those of the arena, step by step, while the workers fill the first slots.
        outputs: what all processes print, to be kept short.
        crew: who is to work at first.
        sample_timeout_s: longest time without progress of a worker that holds a ticket.
        tuning: may change their number.
        memory: keeps the limit; may allow fewer workers than are wanted.
        bad_samples: what becomes of them.
        names: of samples.
        threads: of this process, which should have none.
        shared: what other trainers that attach are told.
        remote: what workers on other machines need; None where there are none.
    """

    def __init__(
        self,
        *,
        schedule: Schedule,
        context: WorkerContext,
        board: Board,
        trainer: int,
        inbox: tuple[int, int],
        ready: Outlet,
        pages: Iterator[bool],
        outputs: list[LineFile],
        crew: Crew,
        sample_timeout_s: float,
        tuning: Tuning,
        memory: MemoryControl,
        bad_samples: BadSampleTracker,
        names: SampleNames,
        threads: ThreadsAtFork,
        shared: SharedPool,
        remote: RemoteContext | None,
    ) -> None:
        self._schedule = schedule
        self._context = context
        self._board = board
        self._trainer = trainer
        self._inbox, self._inbox_write = inbox
        self._ready = ready
        self._pages = pages
        self._outputs = outputs
        self._bad_samples = bad_samples
        self._memory = memory
        self._tick_s = min(_TICK_S, max(_SHORTEST_TICK_S, sample_timeout_s / 2))
        self._pid = os.getpid()
        self._epoll = select.epoll()
        self._readers = Readers(shared, board, schedule, self._epoll, ready)
        self._pool = Pool(self._run_worker, lambda: [*self._private, *self._gateways.descriptors], threads.look, self._epoll)
        self._gateways = Pool(self._run_gateway, lambda: [*self._private, *self._pool.descriptors], threads.look, self._epoll)
        self._remote_context = remote
        self._stalls = StalledWorkers(schedule, board, self._pool, sample_timeout_s)
        self._deaths = WorkerDeaths(
            schedule=schedule, context=context, board=board, pool=self._pool, stalls=self._stalls, bad_samples=bad_samples, memory=memory
        )
        self._remote = RemoteWorkers(
            schedule=schedule, board=board, deaths=self._deaths, pool=self._pool, gateways=self._gateways, memory=memory, timeout_s=sample_timeout_s
        )
        self._scaling = Scaling(schedule=schedule, board=board, pool=self._pool, memory=memory, tuning=tuning, crew=crew, remote=self._remote)
        self._large_pages = LargePages(context.arena.memory, self._epoll)
        self._slot_clock = SlotClock(board.supervisor)
        self._status = Status(board=board, context=context, schedule=schedule, memory=memory, tuning=tuning, names=names)
        settings = {
            "workers": workers_setting(board.first_remote, self._scaling.in_words, self._resize),
            "memory_limit": memory_setting(lambda: memory.limit, memory.check, lambda nbytes: self._scaling.limit_memory(nbytes, time.monotonic())),
        }
        handler = RequestHandler(lambda: self._status.answer(self._scaling.wanted), settings)
        self._control = Control(self._epoll, handler.answer, self._readers.attach)
        self._open = True

    def run(self) -> None:
        """Work until closed. Raises PipelineError when no worker can work."""
        os.set_blocking(self._inbox, False)
        self._epoll.register(self._inbox, select.EPOLLIN)
        self._epoll.register(self._trainer, select.EPOLLIN)
        next_tick = 0.0
        self._control.open()
        try:
            self._scaling.adjust()
            self._carry_out()
            next(self._pages, False)  # for the first slots; the first worker comes to life meanwhile
            while self._open and not self._readers.over:
                self._carry_out()
                if starting := self._scaling.short:
                    self._scaling.adjust()
                elif not (starting := next(self._pages, False)):
                    self._nap()
                ready = [fd for fd, _ in self._epoll.poll(0 if starting else self._patience_s())]
                others = self._readers.notice(ready)  # before anything is opened that may get the number of what this closes
                self._feed()  # before a death is: what a dead worker has reported is done
                for fd in others:
                    self._notice(fd)
                if (now := time.monotonic()) >= next_tick:
                    self._tick(now)
                    if not starting:
                        self._large_pages.look(now)
                    next_tick = now + min(self._tick_s, self._memory.pause_s)
                elif self._stalls.asking:
                    self._stalls.end(now)
                self._scaling.tune(now)
                self._readers.look(now)
            self._board.supervisor[SupervisorCell.PHASE_GAUGE] = Phase.ENDED
        finally:
            self._control.close()
            self._gateways.end()
            self._pool.end()
            self._large_pages.end()
            self._bad_samples.read_journal()
            self._bad_samples.close()

    def _patience_s(self) -> float:
        """Return how long to wait for messages."""
        tick_s = last_words.WRITING_S if self._stalls.asking else min(self._tick_s, self._memory.pause_s)
        return self._readers.patience_s(self._control.patience_s(tick_s))

    def _nap(self) -> None:
        """Let messages gather while every worker has enough to do.

        Each wake-up takes a core from a worker for some 50 µs, most of it for reading the supervisor's own code and data into the cache again
        (docs/measurements.md). A nap may delay the handing over of a batch, but only while the workers can't keep up, and then the trainer is only as
        fast as they are.
        """
        nap_s = min(self._schedule.slack_ns() * 1e-9 * _NAP_SHARE, _LONGEST_NAP_S)
        if nap_s > _SHORTEST_NAP_S:
            time.sleep(nap_s)

    def _run_worker(self, number: int, tickets: int, last_words_fd: int) -> None:
        self._control.leave()
        run(number, self._context, self._board.workers[number], tickets, last_words_fd, self._inbox_write, self._pid)

    def _run_gateway(self, number: int, pipe: int, last_words_fd: int) -> None:
        from loader.produce.remote import gateway  # here, as only a gateway needs it

        assert self._remote_context is not None
        self._control.leave()
        gateway.run(self._remote_context, self._context, self._board, pipe, last_words_fd, self._inbox_write, self._pid, self._remote.in_vain)

    @property
    def _private(self) -> list[int]:
        """Descriptors that none of the forks may hold."""
        return [self._inbox, self._ready.fd, self._trainer, *self._readers.descriptors]

    # Events.

    def _feed(self) -> None:
        """Feed everything that has been sent."""
        for raw in drain_records(self._inbox, INBOX_BYTES):
            for record in unpack_inbox(raw):
                match record:
                    case Done() | Failed() if record.worker >= self._board.first_remote and self._remote.is_wrong(record):
                        continue
                    case Done(substituted=0):
                        self._schedule.done(record)
                    case Done():
                        self._done_with_substitutes(record)
                    case Released():
                        self._schedule.released(record)
                    case Failed():
                        self._failed(record)
                    case Exhausted():
                        self._deaths.expect(record)
                    case Joined():
                        self._remote.joined(record)
                    case Lost():
                        self._remote.lost(record)
                        self._scaling.adjust()
                    case Skip():
                        self._schedule.skip(record)
                    case Resize(workers, number):
                        self._resize(workers, "the script")
                        self._board.supervisor[SupervisorCell.RESIZES] = number  # last: whoever sees it also sees its effects
                    case Leave():
                        self._readers.owner.serve()
                    case Close():
                        self._open = self._readers.owner_ends(died=False)

    def _done_with_substitutes(self, report: Done) -> None:
        """A ticket is done, with other samples in place of bad ones; if there is one too many, it counts as failed."""
        self._bad_samples.read_journal()
        self._bad_samples.substituted(report.substituted)
        beyond = self._bad_samples.beyond(report.ticket)
        if beyond is None:
            self._schedule.done(report)
        else:
            self._fail(Failed(report.worker, report.ticket, beyond.slot_row), beyond.error)

    def _failed(self, report: Failed) -> None:
        self._bad_samples.read_journal()
        error = self._board.workers[report.worker].read_failure(report.ticket)
        self._bad_samples.failed(error)
        beyond = self._bad_samples.beyond(report.ticket)
        if beyond is not None and beyond.slot_row < report.good_rows:
            report, error = report._replace(good_rows=beyond.slot_row), beyond.error
        self._fail(report, error)

    def _fail(self, report: Failed, error: dict[str, Any]) -> None:
        if (slot := self._schedule.failed(report)) is not None:
            write_text(self._context.arena.text(slot), error)

    def _notice(self, fd: int) -> None:
        if fd == self._trainer:
            self._epoll.unregister(fd)
            self._open = self._readers.owner_ends(died=True)
        elif fd == self._control.fd:
            self._control.turn()
        elif fd == self._large_pages.fd:
            self._large_pages.end()
        elif (number := self._pool.owner(fd)) is not None:
            self._deaths.handle(number, self._scaling.wanted)
            self._scaling.adjust()
        elif self._remote.owns(fd):
            self._remote.gateway_died(time.monotonic())
            self._scaling.adjust()

    def _tick(self, now: float) -> None:
        self._stalls.end(now)
        self._remote.end_if_stuck(now)
        self._scaling.watch_memory(now)
        self._board.supervisor[SupervisorCell.HEARTBEAT_NS_GAUGE] = time.monotonic_ns()
        self._ready.flush()
        self._readers.flush()
        self._readers.publish()
        for output in self._outputs:
            output.trim()
        self._status.look(now)
        self._control.tick(now)

    def _resize(self, workers: int | str, by: str = "an operator") -> None:
        self._status.note(time.monotonic(), f"workers set to {workers} by {by}")
        self._scaling.resize(workers)

    # Commands.

    def _carry_out(self) -> None:
        for command in self._schedule.commands():
            match command:
                case SendTicket(worker, ticket):
                    self._pool.outlets[worker].send(ticket.pack())
                case Ready():
                    self._readers.hand(command)
                case Dismiss(worker):
                    self._pool.outlets[worker].close()
        self._slot_clock.note(*self._schedule.counts(), time.monotonic_ns())
