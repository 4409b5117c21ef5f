"""Forks of a worker that come back from the code of the user which made them.

`if os.fork() == 0:` without an exit at its end, or with one that is an exception, leaves two processes that both take themselves for the worker:
both write into the slot, at different times, and both report. The child has to end here, before it touches anything.
"""

from __future__ import annotations

import os
import sys
import traceback

_depth = 0


def count() -> None:
    """From now on, know a fork of this process when it is one."""
    os.register_at_fork(after_in_child=_deeper)


def _deeper() -> None:
    global _depth
    _depth += 1


def depth() -> int:
    """Return how many forks lie between this process and the one that called `count`. Costs no system call: it is asked for each sample."""
    return _depth


def exit_if_forked(than: int) -> None:
    """End this process if it was forked after `depth()` was `than`, and say why; an exception that is being handled is shown."""
    if _depth == than:
        return
    try:
        if sys.exc_info()[0] is not None:
            traceback.print_exc()
        why = "the source or a transform forked it and let it return; it should end by os._exit there"
        print(f"loader: a child of a worker (pid {os.getpid()}) ends: {why}", file=sys.stderr, flush=True)
    finally:
        os._exit(1)
