"""Telling "there is no more memory" from all that can go wrong with a sample.

A worker has an allowance (RLIMIT_DATA), and what passes it is an allocation that fails. Whoever made it says so in its own way: Python and NumPy
by MemoryError, the system calls by ENOMEM, OpenCV and PyTorch by errors of their own; and a function of the user may have put another one on top.
"""

from __future__ import annotations

import errno
import resource

from loader.errors import in_words

# What libraries say that do not raise MemoryError: OpenCV, PyTorch, and Python about the stack of a new thread.
_WORDS = ("insufficient memory", "can't allocate memory", "cannot allocate memory", "not enough memory", "can't start new thread", "std::bad_alloc")
_DEEPEST = 20


class NoMemory(Exception):
    """A sample could not be produced for want of memory.

    Attributes:
        row: of the ticket.
    """

    def __init__(self, row: int) -> None:
        super().__init__(row)
        self.row = row


def is_exhaustion(error: BaseException) -> bool:
    """Return whether `error`, or one that it was raised from, means that memory could not be allocated."""
    chain: BaseException | None = error
    for _ in range(_DEEPEST):
        if chain is None:
            return False
        if isinstance(chain, MemoryError) or (isinstance(chain, OSError) and chain.errno == errno.ENOMEM):
            return True
        text = in_words(chain).lower()
        if any(words in text for words in _WORDS):
            return True
        chain = chain.__cause__ or chain.__context__
    return False


def data_limit() -> int:
    """Return how large the private writable mappings of this process may become, in bytes."""
    soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
    return soft if soft != resource.RLIM_INFINITY else 2**63 - 1
