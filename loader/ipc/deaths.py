"""How a process died, in words."""

from __future__ import annotations

import signal

# What code that crashes dies of. Other signals come from outside, as a rule.
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
