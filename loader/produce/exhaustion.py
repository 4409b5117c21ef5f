"""Telling "there is no more memory", or "no more descriptors", from all that can go wrong with a sample.

A worker has an allowance (RLIMIT_DATA), and what passes it is an allocation that fails. Whoever made it says so in its own way: Python and NumPy
by MemoryError, the system calls by ENOMEM, OpenCV and PyTorch by errors of their own; and a function of the user may have put another one on top.

Descriptors are the process's, too: what was opened for other samples and never closed is missing for this one (EMFILE).
"""

from __future__ import annotations

import errno
import resource

from loader.errors import in_words
from loader.ipc.records import Lack

# What libraries say that do not raise MemoryError: OpenCV, PyTorch, and Python about the stack of a new thread.
_WORDS = ("insufficient memory", "can't allocate memory", "cannot allocate memory", "not enough memory", "can't start new thread", "std::bad_alloc")
_NO_DESCRIPTORS = "too many open files"
_DEEPEST = 20


class RanOut(Exception):
    """A sample could not be produced for want of something that the process has run out of.

    Attributes:
        row: of the ticket.
        lack: what it is.
    """

    def __init__(self, row: int, lack: Lack) -> None:
        super().__init__(row, lack)
        self.row = row
        self.lack = lack


def exhaustion(error: BaseException) -> Lack | None:
    """Return what is used up if `error`, or one that it was raised from, says so; else None."""
    chain: BaseException | None = error
    for _ in range(_DEEPEST):
        if chain is None:
            return None
        number = chain.errno if isinstance(chain, OSError) else None
        if isinstance(chain, MemoryError) or number == errno.ENOMEM:
            return Lack.MEMORY
        text = in_words(chain).lower()
        if any(words in text for words in _WORDS):
            return Lack.MEMORY
        if number in (errno.EMFILE, errno.ENFILE) or _NO_DESCRIPTORS in text:
            return Lack.DESCRIPTORS
        chain = chain.__cause__ or chain.__context__
    return None


def data_limit() -> int:
    """Return how large the private writable mappings of this process may become, in bytes."""
    soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
    return soft if soft != resource.RLIM_INFINITY else 2**63 - 1
