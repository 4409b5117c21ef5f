"""Trainers that have attached to a shared loader: who they are, what they say, and what follows when they end.

Each has pipes of its own, so what one sends can't be taken for what a worker or another trainer says. One that sends anything but its releases and
jumps, or nonsense, is let go: it sees the end of its pipe. What it claims to release spoils only what it was handed itself.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from loader.data.npy.file_io import is_descriptor_limit
from loader.errors import ProtocolError
from loader.ipc import memfd
from loader.ipc.attachment import Descriptors
from loader.ipc.board import MOST_READERS, Board, Cells, SupervisorCell, TrainerCell
from loader.ipc.channels import Outlet, open_pipe, read_records
from loader.ipc.records import INBOX_BYTES, Leave, Ready, Released, Skip, unpack_inbox
from loader.ipc.who_reads import Present, tell_who_reads
from loader.supervise.schedule.lag import Lag
from loader.supervise.schedule.schedule import Schedule
from loader.supervise.sharing.shared_pool import EPOCHS, SharedPool, is_number

_log = logging.getLogger("loader.supervisor")

# While somebody waits for a slow reader, it is looked at so often.
_LOOK_S = 0.01


@dataclass
class _Attached:
    """A trainer that has attached.

    Attributes:
        pid: process id.
        pidfd: readable when it has died.
        inbox: reading end of the pipe in which it says something.
        ready: to it.
        cells: its row of the board.
        first: number of the first batch of its rank in the plan of the pool.
        retired: whether it reads no more, and only holds what its script still uses.
    """

    pid: int
    pidfd: int
    inbox: int
    ready: Outlet
    cells: Cells
    first: int
    retired: bool = False

    def close(self) -> None:
        """Close the descriptors."""
        os.close(self.pidfd)
        os.close(self.inbox)
        self.ready.close()


class Readers:
    """All trainers that have attached.

    Args:
        pool: what they are told.
        board: counters.
        schedule: is told who comes and goes, and what they say.
        epoll: becomes ready when one says something, or dies.
        ready: to the trainer that made the loader.
    """

    def __init__(self, pool: SharedPool, board: Board, schedule: Schedule, epoll: select.epoll, ready: Outlet) -> None:
        self._pool = pool
        self._board = board
        self._schedule = schedule
        self._epoll = epoll
        self._attached: dict[int, _Attached] = {}
        self._lag = Lag(pool.lag)
        self._ready = ready
        self._trainer = os.getppid()
        board.supervisor[SupervisorCell.QUOTA_GAUGE] = schedule.quota

    # Coming and going.

    def _latest_epoch(self) -> int:
        """The epoch in which the reader is that is farthest. What lies ready for it may be epochs ahead."""
        return max(int(cells[TrainerCell.EPOCH_GAUGE]) for cells in (self._board.trainer, *(reader.cells for reader in self._attached.values())))

    def attach(self, request: dict[str, Any], pid: int) -> tuple[dict[str, Any], list[int], Callable[[], None]]:
        """Take in a trainer, or refuse it. Return the answer, the descriptors that go with it, and what to do if it can't be sent.

        Args:
            request: `loader.ipc.attachment` says what is in it.
            pid: of the trainer.
        """
        told = self._board.told.read_text()
        error = self._pool.refusal(request, told)
        before = request.get("again") if is_number(request.get("again"), MOST_READERS + 1) else 0
        free = [number for number in range(1, MOST_READERS + 1) if number not in self._attached]
        number = before if before in free else next(iter(free), 0)
        if not error and not (number and self._schedule.has_room):
            slots = sum(self._schedule.counts())
            error = f"its {slots} slots are enough for the {len(self._attached) + 1} readers that it has; make it with more: slots={slots + 4}"
        if not error:
            try:
                reader, given = self._open(pid, self._board.reader(number), self._pool.first_batch(request.get("rank")))
            except OSError as failure:
                error = f"its supervisor (pid {os.getpid()}) can't open what a reader (pid {pid}) needs: {failure.strerror}{_remedy(failure)}"
        if error:
            return {"called": self._pool.name if self._pool.is_meant(request, told) else None, "error": error}, [], lambda: None
        self._attached[number] = reader
        if number != before:
            for cell in TrainerCell:
                reader.cells[cell] = 0
        epoch = self._latest_epoch() if request["epoch"] is None else request["epoch"]
        self._schedule.reader_joined(number, epoch, reader.first + request["batch"])
        self.publish()
        _log.info("process %d reads as well from now on, as reader %d", pid, number)
        answer = {
            "attached": number,
            "epoch": epoch,
            "batch": request["batch"],
            "pid": os.getpid(),
            "trainer": os.getppid(),
            "arena_bytes": self._pool.arena_bytes,
            "max_workers": len(self._board.workers),
            **told,
        }
        return answer, list(given), lambda: self.leave(number)

    def _open(self, pid: int, cells: Cells, first: int) -> tuple[_Attached, Descriptors]:
        """Open and watch all that a trainer needs to be a reader, or raise OSError and leave nothing open. Return its end of it, too."""
        with contextlib.ExitStack() as opened:

            def own(fd: int) -> int:
                opened.callback(os.close, fd)
                return fd

            pidfd = own(os.pidfd_open(pid))
            inbox, inbox_write = map(own, open_pipe())
            ready, ready_write = map(own, open_pipe())
            given = Descriptors(own(memfd.reopen_readonly(self._pool.arena)), own(os.dup(self._pool.board)), inbox_write, ready)
            os.set_blocking(inbox, False)
            for fd in (inbox, pidfd):
                self._epoll.register(fd, select.EPOLLIN)
                opened.callback(self._epoll.unregister, fd)
            opened.pop_all()  # all or none
        return _Attached(pid, pidfd, inbox, Outlet(ready_write), cells, first), given

    def leave(self, number: int) -> None:
        """Let a trainer go, with all that it holds."""
        reader = self._attached.pop(number, None)
        if reader is not None:
            for fd in (reader.inbox, reader.pidfd):  # before they are closed: a worker that is just being forked may hold a copy
                self._epoll.unregister(fd)
            reader.close()
            self._schedule.reader_left(number)
            self.publish()
            _log.info("process %d does not read any more (reader %d)", reader.pid, number)

    def publish(self) -> None:
        """Show who reads, and with whom. To be called once in a while: readers also meet and part by themselves."""
        self._board.supervisor[SupervisorCell.QUOTA_GAUGE] = self._schedule.quota
        self._board.supervisor[SupervisorCell.READERS_GAUGE] = len(self._attached)
        if self._pool.name is not None:
            pids = {0: self._trainer, **{number: reader.pid for number, reader in self._attached.items()}}
            company = self._schedule.company()
            tell_who_reads(self._board.readers, [Present(number, pids[number], first) for number, first in company.items()])

    @property
    def descriptors(self) -> Iterator[int]:
        """Those that no worker may hold."""
        for reader in self._attached.values():
            yield from (reader.pidfd, reader.inbox, reader.ready.fd)

    # What they say, and what they are told.

    def notice(self, fd: int) -> bool:
        """Feed what a reader has said, or let it go if it has died; return whether the descriptor is one of a reader."""
        for number, reader in self._attached.items():
            if fd == reader.pidfd:
                self.leave(number)
                return True
            if fd == reader.inbox:
                if not self._feed(number, reader):
                    self.leave(number)
                return True
        return False

    def _feed(self, number: int, reader: _Attached) -> bool:
        """Feed what a reader has said; return whether it stays."""
        with contextlib.suppress(ProtocolError, struct.error):
            raw = _read(reader.inbox)  # once: if there is more, the next wait ends at once, and one that writes without end holds up nobody
            for record in unpack_inbox(raw or b""):
                match record:
                    case Released():
                        self._schedule.released(record._replace(reader=number))
                    case Skip(_, epoch, batch) if epoch < EPOCHS and batch < self._pool.batches and not reader.retired:
                        self._schedule.skip(record._replace(reader=number, batch=reader.first + batch))
                    case Leave():
                        reader.retired = True
                        self._schedule.reader_retires(number)
                    case _:
                        raise ProtocolError(f"reader {number} sent {record}")
            return raw is not None and not (reader.retired and not self._schedule.reader_retires(number))
        _log.warning("process %d sent what no reader sends, and is let go (reader %d)", reader.pid, number)
        return False

    def hand(self, ready: Ready) -> None:
        """Tell a trainer that a slot is its."""
        reader = self._attached[ready.reader] if ready.reader else None
        if reader is not None and reader.first:
            ready = ready._replace(first=ready.first - reader.first)
        (self._ready if reader is None else reader.ready).send(ready.pack())

    def flush(self) -> None:
        """Send what did not fit into the pipes before. To be called once in a while."""
        for reader in self._attached.values():
            reader.ready.flush()

    def end_lag(self, now: float) -> None:
        """Set a reader apart that holds up others for too long."""
        if self._attached:
            hold_up = self._schedule.hold_up([number for number in (0, *self._attached) if self._board_waits(number)])
            if self._lag.ends(hold_up, now) and hold_up is not None:
                _log.debug("reader %d is so slow that it gets a stream of its own", hold_up.reader)
                self._schedule.set_apart(hold_up.reader)
                self.publish()

    def patience_s(self, tick_s: float) -> float:
        """Return how long the loop may wait until the lag is looked at again."""
        return min(tick_s, _LOOK_S) if self._lag.holds else tick_s

    def _board_waits(self, number: int) -> bool:
        cells = self._attached[number].cells if number else self._board.trainer
        return bool(cells[TrainerCell.WAITING_GAUGE])


def _read(fd: int) -> bytes | None:
    """Return what there is, b"" if there is nothing; None at the end of the stream: the reader has closed its loader, and no array is left."""
    try:
        return read_records(fd, INBOX_BYTES) or None
    except BlockingIOError:
        return b""


def _remedy(failure: OSError) -> str:
    return "; allow the script that made it more open files (ulimit -n)" if is_descriptor_limit(failure) else ""
