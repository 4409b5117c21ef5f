"""Which failed reads are worth another try, and how long to wait before it.

What another process or machine may put right by itself is tried again: a disk or a network that stumbles, a lock, a table of the kernel's that is
full. What stays as it is, a file that is missing, may not be read or holds no picture, is an error at once.
"""

from __future__ import annotations

import errno
import logging
import time
from typing import TypeGuard

from loader.errors import chain_of, in_words

_FIRST_PAUSE_S = 0.05
_PAUSE_GROWTH = 4
_LONGEST_PAUSE_S = 5.0

# Not all systems have all of them. EMFILE is none: this process itself would have to close something.
_PASSING = {
    getattr(errno, name, None)
    for name in (
        # The device, the file server, or who else has the file.
        *("EIO", "EREMOTEIO", "ESTALE", "EBUSY", "ETXTBSY", "EDEADLK", "ENOLCK", "EAGAIN", "EWOULDBLOCK", "EINTR", "ETIME", "ETIMEDOUT"),
        # The network.
        *("ENETDOWN", "ENETUNREACH", "ENETRESET", "EHOSTDOWN", "EHOSTUNREACH", "ENOLINK", "ECOMM", "EPROTO", "EPIPE", "ESHUTDOWN", "ENOTCONN"),
        *("ECONNREFUSED", "ECONNRESET", "ECONNABORTED"),
        # What the machine has too little of at the moment.
        *("ENFILE", "ENOBUFS", "ENOSR"),
    )
} - {None}

_log = logging.getLogger("loader.worker")


def may_pass(error: BaseException | None) -> TypeGuard[OSError]:
    """Return whether `error` is an OSError that another try may not meet.

    One without a number of its own, as libraries for the web raise it, is what the error behind it is.
    """
    if not isinstance(error, OSError):
        return False
    for behind in chain_of(error):
        if isinstance(behind, (ConnectionError, TimeoutError)):
            return True
        if isinstance(behind, OSError) and behind.errno is not None:
            return behind.errno in _PASSING
    return False


def pause(retry: int, index: int, error: OSError) -> None:
    """Wait before trying again what failed with `error` at sample `index`."""
    pause_s = min(_FIRST_PAUSE_S * _PAUSE_GROWTH**retry, _LONGEST_PAUSE_S)
    _log.info("sample %d could not be read, and is tried again in %.2g s (retry %d): %s", index, pause_s, retry + 1, in_words(error))
    time.sleep(pause_s)
