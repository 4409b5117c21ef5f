"""Ctrl-C: held back while a process is being started, until somebody is responsible for ending it; and kept for later if it hits a finalizer."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Interrupt:
    """What a signal handler raised in a finalizer, where Python drops it: a Ctrl-C, or the `sys.exit` of a handler. The next use raises it."""

    pending: BaseException | None = None


@contextmanager
def interrupts_later() -> Iterator[None]:
    """Hold SIGINT back while this is open.

    A process that is started meanwhile inherits the mask, so it never sees the signal, not even before it can ignore it. The mask does not hold it
    back in this process: the kernel gives the signal to any thread that has not blocked it, such as one of OpenBLAS, and Python then interrupts
    the main thread. So a Python handler, if there is one, is replaced as well.
    """
    came: list[bool] = []
    before = signal.getsignal(signal.SIGINT)
    ours = before is not None and threading.current_thread() is threading.main_thread()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    if ours:
        signal.signal(signal.SIGINT, lambda *_: came.append(True))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if ours:
            signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)
