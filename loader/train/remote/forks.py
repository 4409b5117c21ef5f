"""Whether this process may be a fork of the one that made a loader. Asked for each batch and each release, so it costs no system call."""

from __future__ import annotations

import os

under_way = 0
"""Forks of this process that are under way; in a child, that never ends.

So 0 proves that this process is the one that it was when any loader was made. Anything else proves nothing, and the pid must be compared: other
threads of the parent run meanwhile, and in the child, finalizers run before any hook (those of thread-local variables of threads that are gone).
"""


def _begin() -> None:
    global under_way
    under_way += 1


def _end() -> None:
    global under_way
    under_way -= 1


os.register_at_fork(before=_begin, after_in_parent=_end)
