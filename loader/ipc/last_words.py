"""How a process died: its exit code in words, and its last words, the stacks of its threads.

The stacks are written by `faulthandler` into memory that outlives the process:

    crash    SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT: written by itself, on its way down
    hang     asked for by `ASK`, which the handler answers even while C code runs; a stopped process does not

The user's own use of `faulthandler` or of that signal takes effect instead of ours; then there are no last words, and nothing else changes.
"""

from __future__ import annotations

import faulthandler
import linecache
import os
import re
import signal
import sys

from loader.ipc import memfd

# Signals of code that crashes. Others usually come from outside.
CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT)


def in_words(exit_code: int, out_of_memory: bool = False) -> str:
    """Return what an exit code means: a status, or a signal as its negative number.

    Args:
        exit_code: as `os.waitstatus_to_exitcode` gives it.
        out_of_memory: whether the system's counter of processes killed for want of memory has moved.
    """
    if exit_code >= 0:
        return f"exited with status {exit_code}"
    number = -exit_code
    try:
        name = signal.Signals(number).name
    except ValueError:  # a real-time signal
        name = f"signal {number}"
    if number != signal.SIGKILL:
        return f"killed by {name}"
    return f"killed by {name} ({'out of memory' if out_of_memory else 'perhaps out of memory?'})"


def is_of_itself(exit_code: int) -> bool:
    """Return whether a process has exited or crashed, rather than been killed from outside."""
    return exit_code >= 0 or -exit_code in CRASHES


ASK = signal.SIGRTMAX if sys.platform == "linux" else 0
"""The signal that asks a worker for its stacks. SIGUSR1 and SIGUSR2 are left to the user's libraries."""

WRITING_S = 0.25
"""A worker that hangs writes its stacks within this time after it was asked, if it can run at all."""

_MOST_BYTES = 16 * 1024
_FRAME = re.compile(r'^  File "(.+)", line (\d+) in .*$', re.MULTILINE)


def create() -> int:
    """Return the descriptor of memory for last words; the caller owns it. It takes no memory until something is written."""
    return memfd.create("last words")


def leave_in(fd: int) -> None:
    """Have this process leave its last words in `fd`. Runs in: a worker, at its start."""
    faulthandler.enable(file=fd)
    faulthandler.register(ASK, file=fd)


def read(fd: int) -> str:
    """Return the end of what was left in `fd`, with the lines of code that it names; empty if there is nothing."""
    start = max(0, os.fstat(fd).st_size - _MOST_BYTES)
    return _FRAME.sub(_with_line, os.pread(fd, _MOST_BYTES, start).decode(errors="replace"))


def _with_line(frame: re.Match[str]) -> str:
    """Return a frame of a stack with its line of code, as a traceback has it: `faulthandler` can't look it up."""
    line = linecache.getline(frame[1], int(frame[2])).strip()
    return f"{frame[0]}\n    {line}" if line else frame[0]
