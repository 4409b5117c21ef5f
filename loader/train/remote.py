"""Batches from the worker pool: the trainer's end of the supervisor.

Everything that must survive the supervisor is made and kept here: the pickled pipeline, the board, the (still empty) arena. The supervisor is a fresh
interpreter that gets descriptors and nothing else; it never runs the user's script.
"""

from __future__ import annotations

import os
import select
import subprocess
import time
import warnings
from collections import deque

from loader.config import Config
from loader.data.layout import aligned_copy
from loader.data.pipeline import Pipeline
from loader.data.plan import EpochPlan
from loader.data.spec import Array, SampleSpec
from loader.errors import LoaderClosed, LoaderError, SupervisorDied, from_record
from loader.ipc import baggage, memfd, payload
from loader.ipc.arena import Arena, ArenaLayout
from loader.ipc.board import Board, Phase, SupervisorCell, TrainerCell, read_text
from loader.ipc.channels import open_pipe, read_records
from loader.ipc.identity import introduce
from loader.ipc.records import ANY_BEFORE_TERM, READY_BYTES, Close, Ready, Released, Resize, Skip, unpack_ready
from loader.train.interrupts import interrupts_later
from loader.train.launch import start_supervisor
from loader.train.lease import Lease, Outbox, collect_young, drop_tensorflow_references

_CLOSE_S = 2.0
_LOOK_MS = 5_000
_SILENCE_S = 60.0

# Copying this much costs less than what a kept slot costs the others.
_SMALL_BYTES = 4096


class Remote:
    """A running supervisor, and the batches that come from it, in order.

    Owns the supervisor process and all descriptors; `close` ends them, once.

    Args:
        pipeline: to send.
        config: settings.
        plan: batches of an epoch.
    """

    def __init__(self, pipeline: Pipeline, config: Config, plan: EpochPlan) -> None:
        self._owner = os.getpid()
        self._born_ns = time.monotonic_ns()
        self._closed = False
        self._plan = plan
        self._term = 0
        self._records: deque[Ready] = deque()
        self._batches: list[tuple[Array, ...]] = []  # of the slot that is being taken, in reverse
        self._error: LoaderError | None = None  # what follows them
        self._starving = self._warned = False
        self._arena: Arena | None = None
        self._payload = payload.dump((pipeline, config))
        try:
            for remark in baggage.remarks(pipeline.parts(), os.fstat(self._payload).st_size):
                warnings.warn(remark, RuntimeWarning, stacklevel=3)  # the caller of Loader(...)
        except Warning:  # who makes errors of warnings gets no loader
            os.close(self._payload)
            raise
        self._board_fd = Board.create(config.worker_ceiling)
        self._arena_fd = memfd.create("arena")
        self.board = Board(self._board_fd, config.worker_ceiling)
        self.board.supervisor[SupervisorCell.LIMIT_BYTES_GAUGE] = config.memory_limit_bytes or 0  # there is no supervisor yet
        self.cells = self.board.trainer
        introduce(self.cells, config.name)
        try:
            with interrupts_later():
                self._start(config.worker_ceiling)
        except KeyboardInterrupt:
            self.close()
            raise

    def _start(self, max_workers: int) -> None:
        inbox_read, inbox_write = open_pipe()
        self._ready, ready_write = open_pipe()
        self._poll = select.poll()
        self._poll.register(self._ready, select.POLLIN)
        self._process = start_supervisor(
            payload=self._payload,
            board=self._board_fd,
            arena=self._arena_fd,
            inbox_read=inbox_read,
            inbox_write=inbox_write,
            ready=ready_write,
            max_workers=max_workers,
        )
        for fd in (inbox_read, ready_write):
            os.close(fd)
        self._outbox = Outbox(inbox_write)
        self._outbox.count = self.cells.cell(TrainerCell.LENT_GAUGE)

    def check_owner(self) -> None:
        """Raise LoaderClosed in a fork of the process that made this: slots and supervisor are the other's."""
        if os.getpid() != self._owner:
            raise LoaderClosed(f"this loader belongs to another process (pid {self._owner}), of which this one is a fork; make a new Loader here")

    @property
    def pid(self) -> int:
        """Process id of the supervisor."""
        return self._process.pid

    @property
    def layout(self) -> ArenaLayout:
        """What lies where in the arena. Blocks until the supervisor has found out, and raises what went wrong while it booted."""
        self.check_owner()
        while self._arena is None:
            self._receive()
        return self._arena.layout

    @property
    def spec(self) -> SampleSpec:
        """Spec of a finished sample. Blocks as `layout` does."""
        return self.layout.slot.spec

    def take(self, epoch: int, batch: int, *, leased: bool) -> tuple[Array, ...]:
        """Return the arrays of a batch, the next one in order.

        Blocks: until it is there, or the supervisor dies or gives no sign of life for a minute.

        Args:
            epoch: it belongs to; checked.
            batch: its number in the epoch; checked.
            leased: whether all arrays may lie in the slot; else small ones are copied, which is cheaper than to keep the slot for them.

        Returns:
            One array per leaf, `(rows, *leaf.shape)`, writable, at a multiple of 64 bytes; valid as long as anyone holds it.

        Raises:
            SampleError: a sample of this batch could not be produced.
            SupervisorDied: nothing will come.
        """
        self.check_owner()
        if self._outbox.interrupted:
            self._outbox.interrupted = False
            raise KeyboardInterrupt
        if not self._batches:
            if self._error is None:
                self._next_slot(epoch, batch, leased)
            if not self._batches:
                error, self._error = self._error, None
                assert error is not None
                raise error
        return self._batches.pop()

    def skip(self, epoch: int) -> None:
        """Go on with the first batch of `epoch`, whatever has been filled for the one before."""
        self._term += 1
        self._outbox.send(Skip(self._term, epoch).pack())
        self._records.clear()
        self._forget_slot()
        if self._arena is not None:
            for slot in set(range(self._arena.layout.slots)) - self._outbox.lent:
                self._outbox.send(Released(slot, ANY_BEFORE_TERM).pack())

    def resize(self, workers: int) -> None:
        """Run `workers` workers from now on."""
        self._outbox.send(Resize(workers).pack())

    def close(self) -> None:
        """End the supervisor and with it the workers; close what is ours. Arrays that were handed out stay valid."""
        if self._closed or os.getpid() != self._owner:
            return
        self._closed = True
        self._forget_slot()
        self._arena = None  # leases keep the mapping as long as they need it
        self._outbox.send(Close().pack())
        if self.board.supervisor[SupervisorCell.PHASE_GAUGE] == Phase.BOOTING:
            self._process.kill()  # it does not listen yet, and has nothing to put in order
        try:
            self._process.wait(_CLOSE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for fd in (self._payload, self._board_fd, self._arena_fd, self._ready):
            os.close(fd)

    # Slots.

    def _next_slot(self, epoch: int, batch: int, leased: bool) -> None:
        while not self._records:
            self._receive()
        assert self._arena is not None
        layout = self._arena.layout
        slot = self._records.popleft()
        assert (slot.epoch, slot.first) == (epoch, batch), f"expected batch {batch} of epoch {epoch}, got {slot}"
        memory = Lease(self._arena.slot(slot.slot), slot.slot, slot.delivery, self._outbox).array()
        if slot.failed:
            self._error = from_record(read_text(self._arena.text(slot.slot)))
        self._starving = len(self._outbox.lent) >= layout.slots and self._starved()
        if self._starving:
            memory = aligned_copy(memory)
        last_rows = self._plan.rows_of(slot.first + slot.batches - 1)
        self._batches = layout.slot.batches(memory, slot.batches, last_rows, () if leased else self._small)
        self._batches.reverse()

    def _forget_slot(self) -> None:
        self._batches = []
        self._error = None

    def _starved(self) -> bool:
        """Try to get slots back that nobody really uses; return whether handing this one out would leave none to fill."""
        assert self._arena is not None
        slots = self._arena.layout.slots
        for remedy in (collect_young, drop_tensorflow_references):
            remedy()
            if len(self._outbox.lent) < slots:
                return False
        if self._starving and not self._warned:  # of two slots, a plain loop needs every other one copied; it keeps none
            self._warned = True
            warnings.warn(
                f"all {slots} slots hold batches that are still in use, so batches are copied from now on while that is so. "
                "Likely cause: batches, or arrays that look into them, are being kept. What to do: keep copies of what you need, or give slots=",
                RuntimeWarning,
                stacklevel=7,  # the caller of EpochIterator.__next__
            )
        self.cells.add(TrainerCell.COPIES, 1)
        return True

    # Records.

    def _receive(self) -> None:
        """Wait until the supervisor has sent something, and read it. Its death ends the stream, because nobody else holds the other end."""
        started = time.perf_counter_ns()
        arrived = self._poll.poll(_LOOK_MS)
        self.cells.add(TrainerCell.WAIT_NS, time.perf_counter_ns() - started)
        if not arrived:
            self._check_life()
            return
        raw = read_records(self._ready, READY_BYTES)
        for record in unpack_ready(raw):
            if isinstance(record, Ready) and record.term == self._term:
                self._records.append(record)
        self._look(ended=not raw)

    def _look(self, ended: bool) -> None:
        phase = self.board.supervisor[SupervisorCell.PHASE_GAUGE]
        if phase == Phase.FAILED:
            raise from_record(self.board.supervisor.read_text())
        if ended:
            raise self._death()
        if phase == Phase.RUNNING and self._arena is None:
            self._arena = Arena(self._arena_fd, ArenaLayout.from_json(self.board.supervisor.read_text()))
            self._small = self._arena.layout.slot.small_leaves(_SMALL_BYTES)

    def _check_life(self) -> None:
        last_ns = max(self._born_ns, self.board.supervisor[SupervisorCell.HEARTBEAT_NS_GAUGE])
        silence_s = (time.monotonic_ns() - last_ns) / 1e9
        if silence_s > _SILENCE_S:
            self._process.kill()
            raise SupervisorDied(f"the supervisor (pid {self.pid}) gave no sign of life for {silence_s:.0f} s and was killed")

    def _death(self) -> SupervisorDied:
        status = self._process.wait()
        how = f"was killed by signal {-status}" if status < 0 else f"exited with status {status}"
        hint = " (perhaps out of memory?)" if status == -9 else ""
        return SupervisorDied(f"the supervisor (pid {self.pid}) {how}{hint}; what it printed before is in the standard error of this process")
