"""How a process died, in words."""

from __future__ import annotations

import signal


def in_words(exit_code: int) -> str:
    """Return what an exit code means: a status, or a signal as its negative number."""
    if exit_code >= 0:
        return f"exited with status {exit_code}"
    number = -exit_code
    try:
        name = signal.Signals(number).name
    except ValueError:  # a real-time signal
        name = f"signal {number}"
    return f"killed by {name}" + (" (perhaps out of memory?)" if number == signal.SIGKILL else "")
