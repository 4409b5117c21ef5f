"""One supervisor, from its start to its end, with all that nobody else may touch: process, pipes, arena.

The one that follows it gets everything anew. So a worker of the old one, while it dies, can't write into a slot or an inbox of the new one, and
a lease on an old slot is given back to a pipe that nobody reads.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
from collections import deque

from loader.data.spec import Array
from loader.errors import LoaderError, from_record
from loader.ipc import deaths, memfd
from loader.ipc.arena import Arena, ArenaLayout
from loader.ipc.board import Cells, Phase, SupervisorCell, read_text
from loader.ipc.channels import open_pipe, read_records
from loader.ipc.records import ANY_BEFORE_TERM, READY_BYTES, Close, Ready, Released, Skip, unpack_ready
from loader.ipc.socket_folder import clean_up_after
from loader.supervise import cgroups
from loader.train.launch import start_supervisor
from loader.train.lease import Interrupt, Lease, Outbox

_END_S = 2.0


class Life:
    """A supervisor and what belongs to it alone.

    Owns the process and the descriptors; `end` ends and closes them, once. Leases keep the mapping of the arena as long as they need it.

    Attributes:
        records: slots that the supervisor has handed over and nobody has taken yet, in order.
        arena: None until it has been announced.
        outbox: to the supervisor, and the slots of this life that are lent.
        ended: whether `end` was called.
        death: how the supervisor died, in words, after that.
        failed_to_boot: whether it ended by itself while it booted, so that another one would do the same.

    Args:
        cells: the supervisor's, on the board.
        interrupt: for the outbox.
        lent: the board's cell for how many slots are lent.
    """

    def __init__(self, cells: Cells, interrupt: Interrupt, lent: memoryview) -> None:
        self._cells = cells
        self._heartbeat = self._silence_ms = 0
        self._term = 0
        self._process: subprocess.Popen[bytes] | None = None
        self.records: deque[Ready] = deque()
        self.arena: Arena | None = None
        self.ended = False
        self.death = ""
        self.failed_to_boot = False
        with contextlib.ExitStack() as opened:
            self._arena_fd = memfd.create("arena")
            opened.callback(os.close, self._arena_fd)
            self._inbox, inbox_write = open_pipe()
            opened.callback(os.close, self._inbox)
            opened.callback(os.close, inbox_write)
            self._ready, self._ready_write = open_pipe()
            opened.pop_all()  # all or none
        self._poll = select.poll()
        self._poll.register(self._ready, select.POLLIN)
        self.outbox = Outbox(inbox_write, interrupt, lent)

    def start(self, descriptors: dict[str, int], numbers: dict[str, int]) -> None:
        """Start the process.

        Args:
            descriptors: what the trainer keeps from one supervisor to the next.
            numbers: fields of `loader.supervise.boot.Inheritance`.
        """
        own = {
            "arena": self._arena_fd,
            "inbox_read": self._inbox,
            "inbox_write": self.outbox.fd,
            "ready": self._ready_write,
        }
        self._oom_kills = cgroups.oom_kills()
        try:
            self._process = start_supervisor(descriptors | own, numbers)
        finally:
            os.close(self._inbox)
            os.close(self._ready_write)

    @property
    def pid(self) -> int:
        """Process id of the supervisor."""
        return 0 if self._process is None else self._process.pid

    def wait(self, timeout_ms: int) -> bool:
        """Wait until the supervisor has sent something or has died; return whether that is so."""
        arrived = bool(self._poll.poll(timeout_ms))
        heartbeat = self._cells[SupervisorCell.HEARTBEAT_NS_GAUGE]
        self._silence_ms = 0 if arrived or heartbeat != self._heartbeat else self._silence_ms + timeout_ms
        self._heartbeat = heartbeat
        return arrived

    @property
    def silence_s(self) -> float:
        """How long this process has waited without a sign of life.

        The time since the last one would not do: Ctrl-Z stops trainer and supervisor alike, and whoever is continued first would see a long one.
        """
        return self._silence_ms / 1000

    def read(self) -> bool:
        """Read what the supervisor has sent; return whether it lives. Its death ends the stream, because nobody else holds the other end.

        Blocks: until there is something, so call it after `wait`.

        Raises:
            LoaderError: what the supervisor said before it gave up.
        """
        raw = read_records(self._ready, READY_BYTES)
        for record in unpack_ready(raw):
            if isinstance(record, Ready) and record.term == self._term:
                self.records.append(record)
        phase = self._cells[SupervisorCell.PHASE_GAUGE]
        if phase == Phase.FAILED:
            raise from_record(self._cells.read_text())
        if raw and phase == Phase.RUNNING and self.arena is None:
            self._map_arena()
        return bool(raw)

    def _map_arena(self) -> None:
        """Map the arena, unless its layout is just being overwritten by an error, which follows."""
        try:
            layout = self._cells.read_text()
        except ValueError:
            if self._cells[SupervisorCell.PHASE_GAUGE] == Phase.RUNNING:
                raise
        else:
            if self._cells[SupervisorCell.PHASE_GAUGE] == Phase.RUNNING:
                self.arena = Arena(self._arena_fd, ArenaLayout.from_json(layout))

    # Slots.

    def lend(self, record: Ready) -> tuple[Array, LoaderError | None]:
        """Return the bytes of a slot, which keep it, and the error of the batch after those in it, if that failed."""
        assert self.arena is not None
        error = from_record(read_text(self.arena.text(record.slot))) if record.failed else None
        return Lease(self.arena.slot(record.slot), record.slot, record.delivery, self.outbox).array(), error

    def skip(self, epoch: int, batch: int) -> None:
        """Have the supervisor go on with `batch` of `epoch`; what it has sent before is dropped."""
        self._term += 1
        self.outbox.send(Skip(self._term, epoch, batch).pack())
        self.records.clear()
        if self.arena is not None:
            for slot in set(range(self.arena.layout.slots)) - self.outbox.lent:
                self.outbox.send(Released(slot, ANY_BEFORE_TERM).pack())

    # The end.

    def ask_to_end(self) -> None:
        """Tell the supervisor to end. One that still boots does not listen, and has nothing to put in order: it is killed."""
        self.outbox.send(Close().pack())
        if self._cells[SupervisorCell.PHASE_GAUGE] == Phase.BOOTING:
            self.kill()

    def kill(self) -> None:
        """Kill the supervisor; the workers die with it."""
        if self._process is not None:
            self._process.kill()

    def end(self, reason: str = "") -> None:
        """Wait for the supervisor's death, at most two seconds, or kill it; close what is ours.

        The memory of the arena is given back at once, but for the slots that are lent: those when nobody uses any of them any more.

        Args:
            reason: of its death, in words; the default says what the system does.
        """
        if self.ended:
            return
        self.ended = True
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                if self._process is not None:
                    self._process.wait(_END_S)
        finally:
            self._bury()
        self.death = reason or self._how_it_died()
        self.failed_to_boot = self._ended_by_itself() and self._cells[SupervisorCell.PHASE_GAUGE] == Phase.BOOTING

    def _how_it_died(self) -> str:
        if self._process is None:
            return "it was not started"
        return deaths.in_words(self._process.returncode, cgroups.oom_kills() > self._oom_kills)

    def _ended_by_itself(self) -> bool:
        return self._process is not None and deaths.is_of_itself(self._process.returncode)

    def _bury(self) -> None:
        if self._process is not None:
            self._process.kill()
            if self._process.wait():
                clean_up_after(self._process.pid)
        self._free()
        self.outbox.count = None
        self.arena = None
        self.records.clear()
        os.close(self._arena_fd)
        os.close(self._ready)

    def _free(self) -> None:
        if self.arena is None or not self.outbox.lent:
            return
        layout, start = self.arena.layout, 0
        for slot in sorted(self.outbox.lent):
            used = layout.slot_bytes(slot)
            memfd.free(self._arena_fd, start, used.start)
            start = used.stop
        memfd.free(self._arena_fd, start, layout.nbytes)
