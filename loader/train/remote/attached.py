"""Batches of a shared loader that another script has made: the end of one that has attached.

The supervisor belongs to that script. When it dies, that script replaces it, and this one attaches to the next one, at the batch that is due. When
the script ends, or closes its loader, the supervisor works on for those that read. It is not replaced any more: if it dies then, this one is told so.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from loader.data.npy.file_io import limit_in_words
from loader.data.spec import Array
from loader.errors import AttachError, LoaderClosed, SupervisorDied
from loader.ipc import attachment
from loader.ipc.board import Board, Phase, SupervisorCell, TrainerCell
from loader.ipc.channels import wait_readable
from loader.train.producer import Cursor, Producer
from loader.train.remote.connection import Connection
from loader.train.remote.lease import Outbox
from loader.train.remote.slot_reader import SlotReader

_log = logging.getLogger("loader")

_AGAIN_S = 0.02
_SELDOM_S = 0.5

# Longer than the script that made a supervisor, which alone may kill it, waits for a sign of life before it does so.
_SILENCE_S = 90.0

# A supervisor that dies is replaced within a second or two, once the script that owns it waits for a batch; validation may come before that.
_SUCCESSOR_S = 300.0

# Where that script may be waiting for this one, as the ranks of a data-parallel job do in each step.
_ALONE_S = 1.0


class _NobodyYet(Exception):
    """A supervisor has died, and none has taken its place for a second."""


class Attached(SlotReader):
    """A reader of somebody else's supervisor. Owns its pipes; `close` closes them, once.

    Args:
        name: of the shared loader.
        epoch: to begin with; None: the one in which its readers are.
        batch: of that epoch.
        settings: that it must have.
        timeout_s: how long to wait for it to be there.
        who: `rank` and `world` of this process, and its `job`, where it is to read other batches than the process that made the loader.
        spare: returns who makes batches in this process, as long as a supervisor that has died is not replaced.

    Attributes:
        told: what the loader says of itself.
    """

    def __init__(
        self,
        name: str,
        epoch: int | None,
        batch: int,
        settings: Mapping[str, Any],
        timeout_s: float,
        who: Mapping[str, Any] | None = None,
        spare: Callable[[], Producer] | None = None,
    ) -> None:
        super().__init__(substitutes=True, quarantine=None)
        self._spare = spare
        self._own: Producer | None = None
        self._alone = False  # whether the latest batch was made by `_own`
        self._name = name
        self._owner = os.getpid()
        self._asks = {"settings": dict(settings), **(who or {})}
        self.cursor = Cursor(epoch or 0, batch)
        began = time.monotonic()
        while True:
            try:
                self.told = self._join({"epoch": epoch, "batch": batch}, repr(name))
                break
            except attachment.NobodyThere as error:
                waited_s = time.monotonic() - began
                if waited_s >= timeout_s:
                    maker = (
                        "the script running that makes it, with shared=True"
                        if spare is None
                        else "the process of local rank 0 running, which makes it"
                    )
                    what = "make it with more: slots=" if isinstance(error, attachment.NoRoomYet) else f"is {maker}?"
                    raise AttachError(f"{error}, after {timeout_s:g} s; {what}") from None
            time.sleep(min(max(_AGAIN_S, waited_s / 10), _SELDOM_S))
        self.cursor = Cursor(self.told["epoch"], self.told["batch"])

    def _join(self, place: dict[str, Any], whom: str) -> dict[str, Any]:
        """Become a reader of the loader's supervisor, and return its answer.

        Args:
            place: to begin at, as a request has it.
            whom: that supervisor, for messages.

        Raises:
            AttachError: it takes no reader, or this process can't open what it gives.
            NobodyThere: there is none, or it has no room yet.
        """
        try:
            answer, given = attachment.attach(self._name, {**place, **self._asks})
            self._adopt(answer, given)
        except attachment.Refused as error:
            raise AttachError(f"can't attach to {whom}: {error}") from None
        except OSError as error:
            raise AttachError(f"can't attach to {whom}: {error.strerror}{limit_in_words(error)}") from error
        return answer

    def _adopt(self, answer: dict[str, Any], given: attachment.Descriptors) -> None:
        """Begin to read from a supervisor that has taken this process in; or raise, own nothing of it, and be as before."""
        with contextlib.ExitStack() as opened:
            opened.callback(given.close)
            pidfd = self._watched(answer)
            opened.callback(os.close, pidfd)
            board = Board(given.board, answer["max_workers"], answer["remote_workers"]).seen_by(answer["attached"])
            outbox = Outbox(given.inbox, self._interrupt, board.trainer.cell(TrainerCell.LENT_GAUGE))
            supervisor = Connection(board.supervisor, given.arena, given.ready, outbox, shared=True)
            layout = supervisor.find_arena(answer["arena_bytes"])
            opened.pop_all()
        self._identity = attachment.identity(given.board)
        os.close(given.inbox)
        os.close(given.board)
        self._trainer: int = answer["trainer"]
        self._supervisor_pid: int = answer["pid"]
        self._number: int = answer["attached"]
        self._fds = given.arena, given.ready, pidfd
        self.board, self.cells, self._supervisor = board, board.trainer, supervisor
        self._learn(layout)

    def _watched(self, answer: dict[str, Any]) -> int:
        """Open whose end means that no supervisor will follow: the script that made the loader, or the supervisor that it has left to its readers."""
        if not answer["orphaned"]:
            with contextlib.suppress(ProcessLookupError):  # it has left it just now
                return os.pidfd_open(answer["trainer"])
        try:
            return os.pidfd_open(answer["pid"])
        except ProcessLookupError:
            raise self._over(answer["trainer"]) from None

    @property
    def pid(self) -> int:
        """Process id of the supervisor."""
        return self._supervisor_pid

    def take(self, leased: bool) -> tuple[Array, ...]:
        """Return the arrays of the batch at the cursor, as `SlotReader` does."""
        try:
            return super().take(leased)
        except _NobodyYet:
            if self._own is None:
                assert self._spare is not None
                self._own = self._spare()
            self._own.cursor.epoch, self._own.cursor.batch = self.cursor.epoch, self.cursor.batch
            return self._own.take(leased)

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
        if self._own is not None:
            self._own.close()

    def _hang_up(self) -> None:
        supervisor = self._supervisor
        del self._supervisor  # arrays that are in use keep of it what they need, and nothing else does, however long this object is kept
        supervisor.outbox.count = None
        self.cells[TrainerCell.PID_GAUGE] = 0
        supervisor.leave()
        for fd in self._fds:
            os.close(fd)

    # The supervisor's life.

    def _receive(self) -> None:
        supervisor = self._supervisor
        if self._wait():
            if not supervisor.read():
                self._follow()
        elif (silence_s := supervisor.silence_s) >= _SILENCE_S:
            supervisor.be_patient_again()  # it may have been continued when the script tries again
            remedy = (
                f"The script that made it (pid {self._trainer}) replaces it when that waits for a batch. What to do: let that script take "
                "batches, or end it; then attach again"
            )
            if self.board.supervisor[SupervisorCell.PHASE_GAUGE] == Phase.ORPHANED:
                remedy = (
                    f"The script that made it has closed it or ended, so nobody replaces it. What to do: end it (kill -9 {self._supervisor_pid}), "
                    "start that script again, and attach again"
                )
            raise SupervisorDied(
                f"the supervisor (pid {self._supervisor_pid}) of the shared loader {self._name!r} has given no sign of life for "
                f"{silence_s:.0f} s: it is stopped, or hangs. {remedy}, with epoch={self.cursor.epoch}, batch={self.cursor.batch} to go on"
            )

    def _follow(self) -> None:
        """The supervisor has died: attach to the one that takes its place. Raises _NobodyYet where this process can go on without one."""
        patience_s = _SUCCESSOR_S if self._spare is None else 0.0 if self._alone else _ALONE_S
        deadline = time.monotonic() + patience_s
        ended = self.board.supervisor[SupervisorCell.PHASE_GAUGE] in (Phase.ENDED, Phase.ORPHANED)
        while not ended:
            with contextlib.suppress(attachment.NobodyThere):
                place = {"epoch": self.cursor.epoch, "batch": self.cursor.batch, "again": self._number, "identity": self._identity}
                old, outbox = self._fds, self._supervisor.outbox
                self._join(place, "the supervisor that follows one that died")
                outbox.count = None
                for fd in old:
                    os.close(fd)
                self._alone = False
                return
            late = time.monotonic() >= deadline
            ended = bool(wait_readable([self._fds[-1]], 0.0 if late else _AGAIN_S))
            if late:
                break
        if self._spare is not None and not ended:
            if not self._alone:
                where = f"batch {self.cursor.batch} of epoch {self.cursor.epoch}"
                _log.warning("%s: its supervisor has died, and is not replaced yet, so this process makes its batches, from %s on", self._name, where)
            self._alone = True
            raise _NobodyYet
        raise self._over(self._trainer)

    def _over(self, trainer: int) -> SupervisorDied:
        return SupervisorDied(
            f"the shared loader {self._name!r} has ended: its supervisor has died, and the script that made it (pid {trainer}) has closed it or "
            "ended, or does not replace it. What to do: start that script again, or keep the loader by `loader serve`, and attach again, with "
            f"epoch={self.cursor.epoch}, batch={self.cursor.batch} to go on"
        )
