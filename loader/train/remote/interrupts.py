"""Ctrl-C: held back while a process is started, until it is known who ends it; and kept where a finalizer has met it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Interrupt:
    """What a signal handler raised where it went no further: a Ctrl-C, or the `sys.exit` of a script that was told to end. The next use raises it."""

    pending: BaseException | None = None


@contextmanager
def interrupts_later() -> Iterator[None]:
    """Hold SIGINT back while this is open.

    A process that is started meanwhile never sees it, also not before it can ignore it, since it inherits the mask. The mask does not hold it
    back in this process: the kernel gives the signal to any thread that has not blocked it, such as one of OpenBLAS, and Python then interrupts
    the main thread. So the handler is replaced, too, where there is one of Python's.
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
