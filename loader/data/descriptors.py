"""What "too many open files" means, in words."""

from __future__ import annotations

import errno
import sys

_DEEPEST = 20


def is_descriptor_limit(error: BaseException | None) -> bool:
    """Return whether `error` says that this process has as many files open as it may. Another try in the same process would not help."""
    return isinstance(error, OSError) and error.errno == errno.EMFILE


def limit_in_words(error: BaseException) -> str:
    """Return how many files this process may have open, as an addition to the message of `error`; empty where that is not the cause."""
    chain: BaseException | None = error
    for _ in range(_DEEPEST):
        if chain is None or sys.platform == "win32":
            return ""
        if is_descriptor_limit(chain):
            import resource

            limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            return f" (this process may have {limit:,} files open: RLIMIT_NOFILE, `ulimit -n`)"
        chain = chain.__cause__ or chain.__context__
    return ""
