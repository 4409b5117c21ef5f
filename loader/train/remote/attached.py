"""Batches of a shared loader that another script has made: the end of one that has attached.

The supervisor belongs to that script. When it dies, that script replaces it, and this one attaches to the next one, at the batch that is due. When
the script ends, or closes its loader, there is nothing left to read, and this one is told so.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from typing import Any

from loader.errors import AttachError, LoaderClosed, SupervisorDied
from loader.ipc import attachment
from loader.ipc.board import Board, Phase, SupervisorCell, TrainerCell
from loader.ipc.channels import wait_readable
from loader.train.producer import Cursor
from loader.train.remote.connection import Connection
from loader.train.remote.lease import Outbox
from loader.train.remote.slot_reader import SlotReader

_AGAIN_S = 0.02

# Longer than the script that made a supervisor, which alone may kill it, waits for a sign of life before it does so.
_SILENCE_S = 90.0

# A supervisor that dies is replaced within a second or two, once the script that owns it waits for a batch; validation may come before that.
_SUCCESSOR_S = 300.0


class Attached(SlotReader):
    """A reader of somebody else's supervisor. Owns its pipes; `close` closes them, once.

    Args:
        name: of the shared loader.
        epoch: to begin with; None: the one in which its readers are.
        batch: of that epoch.
        settings: that it must have.
        timeout_s: how long to wait for it to be there.

    Attributes:
        told: what the loader says of itself.
    """

    def __init__(self, name: str, epoch: int | None, batch: int, settings: Mapping[str, Any], timeout_s: float) -> None:
        super().__init__(substitutes=True, quarantine=None)
        self._name = name
        self._owner = os.getpid()
        self._settings = dict(settings)
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                answer, descriptors = attachment.attach(name, {"epoch": epoch, "batch": batch, "settings": self._settings})
                break
            except attachment.Refused as error:
                raise AttachError(f"can't attach to {name!r}: {error}") from None
            except attachment.NobodyThere as error:
                if time.monotonic() >= deadline:
                    raise AttachError(f"{error}, after {timeout_s:g} s; is the script running that makes it, with shared=True?") from None
            time.sleep(_AGAIN_S)
        self.told: dict[str, Any] = answer
        self.cursor = Cursor(answer["epoch"], answer["batch"])
        self._adopt(answer, descriptors)

    def _adopt(self, answer: dict[str, Any], given: attachment.Descriptors) -> None:
        """Begin to read from a supervisor that has taken this process in."""
        try:
            trainer: int = answer["trainer"]
            pidfd = os.pidfd_open(trainer)
        except ProcessLookupError:
            given.close()
            raise self._over() from None
        self._trainer, self._pidfd = trainer, pidfd
        self._supervisor_pid: int = answer["pid"]
        self._number: int = answer["attached"]
        self.board = Board(given.board, answer["max_workers"]).seen_by(answer["attached"])
        self.cells = self.board.trainer
        outbox = Outbox(given.inbox, self._interrupt, self.cells.cell(TrainerCell.LENT_GAUGE))
        os.close(given.inbox)
        os.close(given.board)
        self._fds = given.arena, given.ready
        self._supervisor = Connection(self.board.supervisor, given.arena, given.ready, outbox, shared=True)
        self._learn(self._supervisor.find_arena(answer["arena_bytes"]))

    @property
    def pid(self) -> int:
        """Process id of the supervisor."""
        return self._supervisor_pid

    def check_owner(self) -> None:
        """Raise LoaderClosed in a fork of the process that attached: what it holds is the other's."""
        if os.getpid() != self._owner:
            raise LoaderClosed(f"this loader belongs to another process (pid {self._owner}), and this one is a fork of it; attach here")

    def relay(self) -> None:
        """Do nothing: what the workers print appears in the script that made the loader."""

    def resize(self, workers: int) -> None:
        """Refuse: the number of workers is the business of the script that made the loader, and of `loader set`."""
        raise AttachError(f"{self._name} belongs to another script (pid {self._trainer}); change its workers there, or by: loader set {self._name}")

    def close(self) -> None:
        """Stop reading. Arrays that were handed out stay valid: while there are any, the supervisor keeps what this process holds."""
        if self._closed or os.getpid() != self._owner:
            return
        self._closed = True
        self._forget_slot()
        self._hang_up()

    def _hang_up(self) -> None:
        supervisor = self._supervisor
        del self._supervisor  # arrays that are in use keep of it what they need, and nothing else does, however long this object is kept
        supervisor.outbox.count = None
        supervisor.leave()
        for fd in (*self._fds, self._pidfd):
            os.close(fd)

    # The supervisor's life.

    def _receive(self) -> None:
        supervisor = self._supervisor
        if self._wait():
            if not supervisor.read():
                self._follow()
        elif supervisor.silence_s >= _SILENCE_S:
            raise SupervisorDied(
                f"the supervisor (pid {self._supervisor_pid}) of the shared loader {self._name!r} has given no sign of life for "
                f"{supervisor.silence_s:.0f} s: it is stopped, or hangs. The script that made it (pid {self._trainer}) replaces it when that waits "
                f"for a batch. What to do: let that script take batches, or end it; then attach again, with epoch={self.cursor.epoch}, "
                f"batch={self.cursor.batch} to go on"
            )

    def _follow(self) -> None:
        """The supervisor has died: attach to the one that takes its place."""
        deadline = time.monotonic() + _SUCCESSOR_S
        ended = self.board.supervisor[SupervisorCell.PHASE_GAUGE] == Phase.ENDED
        while not ended and time.monotonic() < deadline:
            with contextlib.suppress(attachment.NobodyThere):
                place = {"epoch": self.cursor.epoch, "batch": self.cursor.batch, "again": self._number}
                try:
                    answer, descriptors = attachment.attach(self._name, {**place, "settings": self._settings})
                except attachment.Refused as error:
                    raise AttachError(f"can't attach to the supervisor that follows one that died: {error}") from None
                old, pidfd = self._fds, self._pidfd
                self._adopt(answer, descriptors)
                for fd in (*old, pidfd):
                    os.close(fd)
                return
            ended = bool(wait_readable([self._pidfd], _AGAIN_S))
        raise self._over()

    def _over(self) -> SupervisorDied:
        return SupervisorDied(
            f"the shared loader {self._name!r} has ended: the script that made it (pid {self._trainer}) has closed it or ended, or does not replace "
            "its supervisor, which has died. What to do: start that script again, or keep the loader by `loader serve`, and attach again, with "
            f"epoch={self.cursor.epoch}, batch={self.cursor.batch} to go on"
        )
