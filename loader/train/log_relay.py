"""Log records of supervisor and workers, handed to the loggers of the trainer as if they had been made there.

The trainer looks when it looks for what they have printed (`loader.train.relay`), and takes no more at once than it has time for: what a flood leaves
waits in shared memory, of which the oldest is dropped.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from typing import Any

from loader.ipc.board import Cells
from loader.ipc.identity import identity
from loader.ipc.logs import HANDLED, from_line, to_record
from loader.ipc.output import LIMIT_BYTES, Output

# A look takes place every 0.1 s at most, or every 0.5 s while the trainer waits: a flood takes a tenth of its time.
_TURN_S = 0.01
_IDLE_TURN_S = 0.05

# For the rest, when the writers have gone: 8 MiB take half a second, but the handlers are the user's.
_END_S = 5.0

_CHUNK_BYTES = 64 * 1024

_log = logging.getLogger("loader.trainer")


class LogRelay:
    """The log of all processes of a loader.

    Attributes:
        output: its memory, for whoever closes it.

    Args:
        trainer: the trainer's row of the board, which knows the loader's name.
    """

    def __init__(self, trainer: Cells) -> None:
        self.output = Output(Output.create("logs"))
        self._trainer = trainer
        self._rest = b""  # a line that is not complete yet
        self._pending: deque[dict[str, Any]] = deque()  # of one chunk; what is not handed over yet when a handler raises

    def pass_on(self, *, idle: bool = False, ended: bool = False) -> None:
        """Hand over what there is, as far as time allows. One `fstat` where there is nothing.

        Args:
            idle: whether the trainer waits.
            ended: whether the writers are gone.
        """
        deadline = time.monotonic() + (_END_S if ended else _IDLE_TURN_S if idle else _TURN_S)
        while (fields := self._next()) is not None:
            self._hand_over(fields)
            if time.monotonic() >= deadline:
                if ended:
                    self._give_up()
                return

    def _next(self) -> dict[str, Any] | None:
        while self._pending or self._read():
            with contextlib.suppress(IndexError):  # a finalizer or a signal handler has just handed it over
                return self._pending.popleft()
        return None

    def _read(self) -> bool:
        """Read until there are records; return whether there are. Their order is that of time, as far as they were written together."""
        while not self._pending:
            raw, dropped = self.output.read(_CHUNK_BYTES)
            if not raw:
                return False
            if dropped:
                self._rest = b""
                about = dropped * raw.count(b"}\n") // len(raw)
                why = f"more than {LIMIT_BYTES // 2**20} MiB had gathered"
                _log.warning("%s bytes of log records, about %s of them, were dropped here: %s", f"{dropped:,}", f"{about:,}", why)
            *lines, self._rest = (self._rest + raw).split(b"\n")
            records = [fields for line in lines if line and (fields := from_line(line)) is not None]
            self._pending.extend(sorted(records, key=lambda fields: fields["created"]))
        return True

    def _hand_over(self, fields: dict[str, Any]) -> None:
        logger = logging.getLogger(fields["name"])
        handled = fields.pop(HANDLED)
        if logger.isEnabledFor(fields["levelno"]) and (logger.hasHandlers() or not handled):
            logger.handle(to_record(fields, identity(self._trainer).name))

    def _give_up(self) -> None:
        left = len(self._pending) + (self._rest + self.output.read()[0]).count(b"}\n")
        self._pending.clear()
        if left:
            _log.warning("%s log records were dropped at the end: handlers had taken %.0f s for those before", f"{left:,}", _END_S)
