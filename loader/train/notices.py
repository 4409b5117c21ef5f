"""What a loader warns of while it goes on.

It is a Python warning, which scripts know how to filter; the log has it at INFO, so that nobody reads it twice who has not asked for more.

Ctrl-C while a process is being started: held back until it is known who ends it.
"""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

_log = logging.getLogger("loader.trainer")


def warn_of_first_bad(error: Mapping[str, Any], quarantine: object) -> None:
    """Warn of the first bad sample, in the name of the caller of `EpochIterator.__next__`, which has called a producer's `take`.

    Args:
        error: fields of its SampleError.
        quarantine: path of the report, or None.
    """
    rest = f"All bad samples are listed in {quarantine}." if quarantine else "Give quarantine=PATH for a list of all bad samples."
    name = f" ({error['name']})" if error["name"] else ""
    warnings.warn(
        f"sample {error['index']}{name} is bad, and another one takes its place: {error['reason']}. There is one warning per loader; stats() has "
        f'the counts. {rest} on_error="raise" would stop here',
        RuntimeWarning,
        stacklevel=6,
    )


def warn_of_replacement(died: str, epoch: int, batch: int) -> None:
    """Warn of a supervisor that was replaced, in the name of the caller of `EpochIterator.__next__`.

    Args:
        died: which one, and how, in words.
        epoch: with which the new one goes on.
        batch: of that epoch.
    """
    what = f"{died}; another one goes on with batch {batch} of epoch {epoch}, and no batch is lost or repeated"
    _log.info(what)
    warnings.warn(what, RuntimeWarning, stacklevel=9)


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
