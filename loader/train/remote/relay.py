"""What supervisor and workers print or log appears in the trainer: in its terminal, its notebook cell, its captured test, its loggers.

No thread does that. The trainer looks when it takes a new slot, while it waits for one, at `stats()` and at `close()`. It takes only as many log
records at once as it has time for. The rest waits in shared memory, where the oldest are dropped if there are too many.
"""

from __future__ import annotations

import codecs
import contextlib
import logging
import os
import sys
import threading
import time
from collections import deque
from typing import Any

from loader.config import brief_size
from loader.ipc.board import Cells
from loader.ipc.line_file import LIMIT_BYTES, LineFile, records_in
from loader.ipc.loader_identity import identity
from loader.ipc.logs import HANDLED, to_record

# A look costs 4.2 µs (three `fstat`); reading the clock, which saves it, costs 0.2 µs (docs/measurements.md). A person sees no difference.
_LOOK_S = 0.1

# Only whole lines are relayed, unless one is longer than this: a progress bar may never end its line.
_LONGEST_LINE = 64 * 1024

_LAST_LINES = 20

_PATIENCE_S = 1.0

# Lines of a stack that say nothing: there are four of them between a module and the one that imports it, and they would push out those that matter.
_NOISE = 'File "<frozen importlib'

# For log records, whose handlers are the user's. A look takes place every 0.1 s at most, or every 0.5 s while the trainer waits: a flood takes a
# tenth of its time.
_TURN_S = 0.01
_IDLE_TURN_S = 0.05

# For the rest of them, when the writers have gone: 8 MiB take half a second.
_END_S = 5.0

_CHUNK_BYTES = 64 * 1024

_log = logging.getLogger("loader.trainer")


class LogRelay:
    """The log of all processes of a loader.

    Args:
        trainer: the trainer's row of the board, which knows the loader's name.

    Attributes:
        lines: its memory, for whoever closes it.
    """

    def __init__(self, trainer: Cells) -> None:
        self.lines = LineFile.create("logs", LIMIT_BYTES)
        self._trainer = trainer
        self._pending: deque[dict[str, Any]] = deque()  # of one chunk: what has not been handed over when a handler raises

    def pass_on(self, *, idle: bool = False, ended: bool = False) -> None:
        """Hand over what there is, as far as time allows. If there is nothing, this costs one `fstat`.

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
        """Read until there are records; return whether there are. Those that are read together are in order of time."""
        while not self._pending:
            raw, dropped = self.lines.read(_CHUNK_BYTES, whole_lines=True)
            if not raw:
                return False
            records = records_in(raw)
            if dropped:
                about = dropped * len(records) // len(raw)
                why = f"more than {brief_size(LIMIT_BYTES)} had gathered"
                _log.warning("%s bytes of log records, about %s of them, were dropped here: %s", f"{dropped:,}", f"{about:,}", why)
            self._pending.extend(sorted(records, key=lambda fields: fields["created"]))
        return True

    def _hand_over(self, fields: dict[str, Any]) -> None:
        logger = logging.getLogger(fields["name"])
        handled = fields.pop(HANDLED)
        if logger.isEnabledFor(fields["levelno"]) and (logger.hasHandlers() or not handled):
            logger.handle(to_record(fields, identity(self._trainer).name))

    def _give_up(self) -> None:
        left = len(self._pending) + self.lines.read()[0].count(b"}\n")
        self._pending.clear()
        if left:
            _log.warning("%s log records were dropped at the end: handlers had taken %.0f s for those before", f"{left:,}", _END_S)


class Relay:
    """Standard output, standard error and log of all processes of a loader.

    Owns their memory; `close` frees it. They are the same for every supervisor that follows another.

    Args:
        trainer: the trainer's row of the board.
    """

    def __init__(self, trainer: Cells) -> None:
        self._streams = [_Stream("stdout"), _Stream("stderr")]
        self._log = LogRelay(trainer)
        self._next_look = 0.0
        self._closed = False
        self._turn = threading.RLock()  # a finalizer or signal handler that comes in the middle has it already

    @property
    def descriptors(self) -> dict[str, int]:
        """What the supervisor inherits, by name of the stream."""
        return {"logs": self._log.lines.fd, **{stream.name: stream.output.fd for stream in self._streams}}

    def look(self, *, idle: bool = False) -> None:
        """Relay whole lines, unless that was done a moment ago; then this only reads a clock.

        Args:
            idle: as `pass_on` takes it.
        """
        if time.monotonic() >= self._next_look:
            self.pass_on(idle=idle, patience_s=0.0)

    def pass_on(self, *, idle: bool = False, ended: bool = False, patience_s: float = _PATIENCE_S) -> None:
        """Relay what is new now. If another thread takes batches, such as one of TensorFlow's, it may be doing so already.

        Args:
            idle: whether this process waits, and has more time for log records.
            ended: whether the writers are gone, so that an incomplete last line will stay so and is relayed as well.
            patience_s: how long to wait for another thread that relays. If its handler waits for this one, it would take for ever.
        """
        if not self._turn.acquire(timeout=patience_s):
            return
        try:
            if not self._closed:
                for stream in self._streams:
                    stream.pass_on(ended)
                self._log.pass_on(idle=idle, ended=ended)
                self._next_look = time.monotonic() + _LOOK_S
        finally:
            self._turn.release()

    def last_words(self) -> str:
        """Return the last 20 lines that were relayed to standard error since the last call."""
        return self._streams[1].last_words()

    def close(self) -> None:
        """Relay the rest and free the memory. The writers must be gone.

        If another thread is still relaying after a moment, because a handler of the script holds it up, the memory is left open: its descriptors must
        not come to mean other files meanwhile.
        """
        try:
            self.pass_on(ended=True)
        finally:
            self._closed = True
            if self._turn.acquire(blocking=False):
                for fd in self.descriptors.values():
                    os.close(fd)
                self._turn.release()


class _Stream:
    def __init__(self, name: str) -> None:
        self.name = name
        self.output = LineFile.create(name, LIMIT_BYTES)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._line = ""  # not complete yet
        self._last: deque[str] = deque(maxlen=_LAST_LINES)

    def pass_on(self, ended: bool) -> None:
        raw, dropped = self.output.read()
        if not raw and not (ended and self._line):
            return
        text = self._line
        if dropped:
            text += f"\n[{dropped:,} bytes of output were dropped here: more than {brief_size(LIMIT_BYTES)} had gathered]\n"
        text += self._decoder.decode(raw, ended)
        end = text.rfind("\n") + 1
        if ended or len(text) - end > _LONGEST_LINE:
            end = len(text)
        self._line = text[end:]
        self._last.extend([line for line in text[:end].splitlines() if _NOISE not in line][-_LAST_LINES:])
        _write(self.name, text[:end])

    def last_words(self) -> str:
        words = "\n".join(self._last)
        self._last.clear()
        return words


def _write(name: str, text: str) -> None:
    """Write to the stream that has this name in `sys` now: a notebook or a test may have put its own there.

    It may also be missing, closed or broken. Then the script's own prints fail as well, but taking a batch must not.
    """
    stream = getattr(sys, name)
    if stream is None or not text:
        return
    try:
        encoding = getattr(stream, "encoding", None) or "utf-8"
        print(text.encode(encoding, "backslashreplace").decode(encoding), end="", file=stream, flush=True)
    except (OSError, ValueError, RuntimeError):  # full, closed, or in the middle of a write that a finalizer has interrupted
        return
