"""The terminal of `loader top`: its modes, its size, its keys. Whatever ends the program, the terminal is left as it was found."""

from __future__ import annotations

import codecs
import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from loader.watch.top.drawing import FINE, PLAIN, Glyphs

_SEQUENCES = {
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1b[C": "right",
    "\x1b[D": "left",
    "\x1bOA": "up",
    "\x1bOB": "down",
    "\x1bOC": "right",
    "\x1bOD": "left",
    "\x1b[Z": "backtab",
}
_NAMES = {"\t": "tab", "=": "+", "_": "-", "A": "a", "Q": "q", "h": "?"}
_ENDING = (signal.SIGTERM, signal.SIGHUP)
_DUMB_SIZE = (80, 24)


class Keys:
    """Names the keys that were pressed. A sequence that comes in two pieces, as over a slow line, is one key."""

    def __init__(self) -> None:
        self._begun = ""

    def named(self, raw: bytes) -> list[str]:
        """Return the keys by name, from the bytes that a terminal sent for them. What has no meaning is left out."""
        text, keys = self._begun + raw.decode("ascii", "replace"), []
        while text and (length := _length(text)):
            key = _SEQUENCES.get(text[:length]) if text[0] == "\x1b" else _NAMES.get(text[0], text[0])
            text = text[length:]
            if key is not None:
                keys.append(key)
        self._begun = text
        return keys


def _length(text: str) -> int:
    """Return the length of the first key, 0 if its end is still to come: CSI ends with a letter or ~, SS3 has one more character (ECMA-48)."""
    if text[0] != "\x1b":
        return 1
    if text[1:2] == "O":
        return 3 if len(text) > 2 else 0
    if text[1:2] == "[":
        return next((place + 1 for place in range(2, len(text)) if "@" <= text[place] <= "~"), 0)
    return min(1, len(text) - 1)


class Terminal:
    """The screen and the keyboard. Entered, it is in a mode of its own; left, it is as before, whatever happened in between.

    SIGTERM and SIGHUP raise SystemExit, Ctrl-C raises KeyboardInterrupt, Ctrl-Z stops the program with the terminal as it was.

    Args:
        wake: descriptor that is written to when a signal has come, so that a wait for `fd` ends.
    """

    def __init__(self, wake: int) -> None:
        self._wake = wake
        self._input = sys.stdin.fileno()
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="replace")  # a name with characters that the terminal's encoding lacks
        self._console = Console(highlight=False, markup=False, emoji=False)
        self._stopped = False
        self._keys = Keys()
        self._live: Live | None = None

    @property
    def plain(self) -> bool:
        """Whether the terminal can't move its cursor, so that each picture is printed below the one before."""
        return self._console.is_dumb_terminal

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows, as they are now."""
        return _DUMB_SIZE if self.plain else (self._console.width, self._console.height)

    @property
    def glyphs(self) -> Glyphs:
        """What the terminal can show."""
        try:
            return FINE if codecs.lookup(self._console.encoding).name == "utf-8" else PLAIN
        except LookupError:
            return PLAIN

    def __enter__(self) -> Terminal:
        self._modes = termios.tcgetattr(self._input)
        self._handlers: dict[int, Any] = {}
        try:
            self._old_wake = signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
            for number in _ENDING:
                self._handlers[number] = signal.signal(number, _end)
            self._handlers[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self._stop_later)
            self._handlers[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, lambda *_: None)
            self._begin()
        except BaseException:
            self._restore()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._restore()

    def _begin(self) -> None:
        tty.setcbreak(self._input)
        if not self.plain:
            self._live = Live(console=self._console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
            self._live.start()

    def _end(self) -> None:
        live, self._live = self._live, None
        try:
            if live is not None:
                live.stop()
        finally:
            termios.tcsetattr(self._input, termios.TCSADRAIN, self._modes)

    def _restore(self) -> None:
        try:
            self._end()
        finally:
            signal.set_wakeup_fd(self._old_wake)
            for number, handler in self._handlers.items():
                signal.signal(number, handler)

    def _stop_later(self, *_: object) -> None:
        self._stopped = True

    def stop_if_asked(self) -> None:
        """Stop, after Ctrl-Z, until the shell continues this."""
        if self._stopped:
            self._stopped = False
            self._end()
            os.kill(os.getpid(), signal.SIGSTOP)
            self._begin()

    def show(self, lines: Sequence[Text]) -> None:
        """Show these lines instead of what was there."""
        if self._live is None:
            filled = [line for line in lines if line.plain.strip()]
            self._console.print(*filled, "", sep="\n")
        else:
            self._live.update(Group(*lines), refresh=True)

    def wait(self, fd: int, timeout_s: float) -> list[str] | None:
        """Return the keys that were pressed, as soon as there are any, or `fd` is readable, or the time is over; None when the terminal is gone."""
        ready, _, _ = select.select([self._input, fd], [], [], timeout_s)
        if self._input not in ready:
            return []
        try:
            raw = os.read(self._input, 1024)
        except OSError:
            return None
        return self._keys.named(raw) if raw else None


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
