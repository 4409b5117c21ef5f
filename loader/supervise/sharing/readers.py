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
from typing import Any

from loader.data.npy.file_io import is_descriptor_limit
from loader.errors import ProtocolError
from loader.ipc.board import MOST_READERS, Board, SupervisorCell, TrainerCell
from loader.ipc.channels import Outlet
from loader.ipc.records import Leave, Ready, Released, Skip, unpack_inbox
from loader.ipc.who_reads import Present, tell_who_reads
from loader.supervise.schedule.fairness import LEAST
from loader.supervise.schedule.schedule import Schedule
from loader.supervise.sharing.attached import Attached
from loader.supervise.sharing.company import Company
from loader.supervise.sharing.owner import Owner
from loader.supervise.sharing.shared_pool import EPOCHS, SharedPool, is_number

_log = logging.getLogger("loader.supervisor")


class Readers:
    """All trainers that have attached.

    Args:
        pool: what they are told.
        board: counters.
        schedule: is told who comes and goes, and what they say.
        epoll: becomes ready when one says something, or dies.
        ready: to the trainer that made the loader.

    Attributes:
        owner: the trainer that made the loader, which is a reader, too.
    """

    def __init__(self, pool: SharedPool, board: Board, schedule: Schedule, epoll: select.epoll, ready: Outlet) -> None:
        self._pool = pool
        self._board = board
        self._schedule = schedule
        self._epoll = epoll
        self._attached: dict[int, Attached] = {}
        self._watched: dict[int, Attached] = {}  # by descriptor
        self._rows = {0: board.trainer.raw}
        self._company = Company(pool.lag, schedule)
        self._ready = ready
        self.owner = Owner(board, schedule)
        board.supervisor[SupervisorCell.QUOTA_GAUGE] = schedule.quota

    # Coming and going.

    def _latest_epoch(self) -> int:
        """The epoch in which the reader is that is farthest. What lies ready for it may be epochs ahead."""
        epochs = [row[TrainerCell.EPOCH_GAUGE] for row in self._rows.values()]
        return max((epoch for epoch in epochs if is_number(epoch, EPOCHS)), default=0)  # a script may write anything there

    def attach(self, request: dict[str, Any], pid: int) -> tuple[dict[str, Any], list[int], Callable[[], None]]:
        """Take in a trainer, or refuse it. Return the answer, the descriptors that go with it, and what to do if it can't be sent.

        Args:
            request: `loader.ipc.attachment` says what is in it.
            pid: of the trainer.
        """
        told = self._board.told.read_text()
        before = request.get("again")
        number, awaited = self._row_for(before)
        error, later = self._pool.refusal(request, told), False
        meant = self._pool.is_meant(request, told) and not (self.owner.has_left and request.get("job"))
        if not (error or meant):
            error = "it was made for an earlier run of the job, and its script has left it"
        if not error:
            error, later = self._no_room(number, awaited)
        if not error:
            try:
                first = self._pool.first_batch(request.get("rank"))
                reader, given = Attached.admit(number, pid, self._board.reader(number), first, self._pool, self._epoll)
            except OSError as failure:
                error = f"its supervisor (pid {os.getpid()}) can't open what a reader (pid {pid}) needs: {failure.strerror}{_remedy(failure)}"
        if error:
            said = {"called": self._pool.name if meant else None, "orphaned": self.owner.has_left, "error": error, "later": later}
            return said, [], lambda: None
        self._attached[number] = reader
        self._watched |= {reader.pidfd: reader, reader.inbox: reader}
        self._rows[number] = reader.cells.raw
        if number != before:
            for cell in TrainerCell:
                reader.cells[cell] = 0
        reader.cells[TrainerCell.PID_GAUGE] = pid
        epoch = self._latest_epoch() if request["epoch"] is None else request["epoch"]
        self._schedule.reader_joined(number, epoch, reader.first + request["batch"])
        self.publish()
        _log.info("process %d reads as well from now on, as reader %d", pid, number)
        answer = {
            "attached": number,
            "epoch": epoch,
            "batch": request["batch"],
            "pid": os.getpid(),
            "trainer": self.owner.pid,
            "orphaned": self.owner.has_left,
            "arena_bytes": self._pool.arena_bytes,
            "max_workers": self._board.first_remote,
            "remote_workers": len(self._board.workers) - self._board.first_remote,
            **told,
        }
        return answer, list(given), lambda: self.leave(number)

    def _row_for(self, before: object) -> tuple[int, int]:
        """Return the row of the board for a trainer that comes, 0 if there is none, and how many others are awaited.

        Args:
            before: the row that it had under the supervisor before this one, as it says.
        """
        free = [number for number in range(1, MOST_READERS + 1) if number not in self._attached]
        other = next((row for row in free if not self._is_awaited(row)), 0)
        number = before if is_number(before, MOST_READERS + 1) and before in free else other
        return number, sum(self._is_awaited(row) for row in free if row != number)

    def _no_room(self, number: int, awaited: int) -> tuple[str, bool]:
        """Return why there is no room for another reader, "" if there is, and whether there will be when others have let go of slots."""
        slots, there = sum(self._schedule.counts()), self._schedule.readers + awaited
        if not number:
            return f"it has as many readers as a loader can have, {MOST_READERS} beside the script that made it", False
        if self._schedule.has_room(awaited):
            return "", False
        if LEAST * (there + 1) <= slots:
            return f"the {there} readers that it has hold too many of its {slots} slots at the moment", True
        return f"its {slots} slots are enough for the {there} readers that it has; make it with more: slots={slots + 4}", False

    def _is_awaited(self, number: int) -> bool:
        """Return whether a row of the board is that of a reader of the supervisor before this one, which will attach again and writes there."""
        return _is_alive(self._board.reader(number)[TrainerCell.PID_GAUGE])

    def leave(self, number: int) -> None:
        """Let a trainer go, with all that it holds."""
        reader = self._attached.pop(number, None)
        if reader is not None:
            del self._watched[reader.pidfd], self._watched[reader.inbox], self._rows[number]
            reader.close(self._epoll)
            reader.cells[TrainerCell.PID_GAUGE] = 0
            self._schedule.reader_left(number)
            self.publish()
            _log.info("process %d does not read any more (reader %d)", reader.pid, number)

    def owner_ends(self, *, died: bool) -> bool:
        """The trainer that made the loader has closed it, or has died; return whether the pool goes on without it, for those that have attached."""
        for reader in [*self._attached.values()]:  # one that it has just closed as well may have said so, after as much as a pipe holds
            if not (self._feed(reader) and self._feed(reader)):
                self.leave(reader.number)
        goes_on = self.owner.end(died=died, others=self._has_others)
        if goes_on:
            self._rows.pop(0, None)
            self.publish()
        return goes_on

    @property
    def over(self) -> bool:
        """Whether there is nobody left to work for."""
        return self.owner.has_left and not self._has_others

    @property
    def _has_others(self) -> bool:
        """Whether anybody who has attached still reads. Who only uses what it was handed has it without a supervisor."""
        return any(not reader.retired for reader in self._attached.values())

    def publish(self) -> None:
        """Show who reads, and with whom. To be called once in a while: readers also meet and part by themselves."""
        self._board.supervisor[SupervisorCell.QUOTA_GAUGE] = self._schedule.quota
        self._board.supervisor[SupervisorCell.READERS_GAUGE] = len(self._attached)
        if self._pool.name is not None:
            who = {0: (self.owner.pid, 0), **{number: (reader.pid, reader.first) for number, reader in self._attached.items()}}
            company = [(number, *who[number], lowest) for number, lowest in self._schedule.company().items()]
            tell_who_reads(self._board.readers, [Present(number, pid, lowest, self._pool.rank_of(first)) for number, pid, first, lowest in company])

    @property
    def descriptors(self) -> Iterator[int]:
        """Those that no worker may hold."""
        for reader in self._attached.values():
            yield from (reader.pidfd, reader.inbox, reader.ready.fd)

    # What they say, and what they are told.

    def notice(self, fds: list[int]) -> list[int]:
        """Feed what readers have said, and let those go that have died; return the descriptors that are not theirs.

        Whose they are is settled first: one that is closed here may be among those that follow, and as soon as anything is opened, it is that one's.
        """
        if not self._watched:
            return fds
        found = [(fd, self._watched.get(fd)) for fd in fds]
        for fd, reader in found:
            if reader is None or self._attached.get(reader.number) is not reader:
                continue
            if fd == reader.pidfd or not self._feed(reader):
                self.leave(reader.number)
        return [fd for fd, reader in found if reader is None]

    def _feed(self, reader: Attached) -> bool:
        """Feed what a reader has said; return whether it stays."""
        number = reader.number
        with contextlib.suppress(ProtocolError, struct.error):
            raw = reader.read()
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
        """Send what did not fit into the pipes before, and let the owner go that has left. To be called once in a while."""
        self.owner.look()
        for reader in self._attached.values():
            reader.ready.flush()

    def look(self, now: float) -> None:
        """See who waits for whom. To be called often."""
        if self._attached and self._company.look(self._rows, now):
            self.publish()

    def patience_s(self, tick_s: float) -> float:
        """Return how long the loop may wait until that is looked at again."""
        return self._company.patience_s(tick_s) if self._attached else tick_s


def _remedy(failure: OSError) -> str:
    return "; allow the script that made it more open files (ulimit -n)" if is_descriptor_limit(failure) else ""


def _is_alive(pid: int) -> bool:
    """Return whether there is a process; 0 is none."""
    try:
        os.kill(pid, 0)
    except (OSError, OverflowError):  # a script may write anything to the board
        return False
    return pid > 0
