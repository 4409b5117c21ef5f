"""Anonymous shared memory: the only place that creates or maps it.

A memfd has no name: it can't collide with another one, can't outlive the processes that hold it, and does not live in `/dev/shm`.
"""

from __future__ import annotations

import mmap
import os
from typing import Any

import numpy as np
import numpy.typing as npt


def create(name: str, nbytes: int = 0) -> int:
    """Return the descriptor of new shared memory of `nbytes`, closed on exec. The caller owns it.

    `name` is what `/proc/PID/fd` shows. Pages are made when they are first touched; `allocate` makes them at once.
    """
    fd = above_standard(os.memfd_create(f"loader:{name}", os.MFD_CLOEXEC))
    if nbytes:
        os.ftruncate(fd, nbytes)
    return fd


def shared_with_forks(name: str, nbytes: int) -> npt.NDArray[np.uint8]:
    """Return new shared memory, zeros, which forks of this process inherit. It is freed when the last view of it is gone, everywhere."""
    fd = create(name, nbytes)
    try:
        return attach(fd)
    finally:
        os.close(fd)


def path_of(fd: int) -> str:
    """Return a path by which processes of the same user can open shared memory, as long as this one lives and keeps it."""
    return f"/proc/{os.getpid()}/fd/{fd}"


def allocate(fd: int, nbytes: int) -> None:
    """Size the memory to `nbytes` and make all its pages. The caller has checked that there is enough: too much brings the OOM killer."""
    os.ftruncate(fd, nbytes)
    os.posix_fallocate(fd, 0, nbytes)


def free(fd: int, start: int, stop: int) -> None:
    """Give the whole pages between two offsets back to the system; afterwards they read as zeros. Their owner knows that nobody needs them."""
    start, stop = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE, min(stop, os.fstat(fd).st_size) // mmap.PAGESIZE * mmap.PAGESIZE
    if start < stop:
        with mmap.mmap(fd, stop - start, mmap.MAP_SHARED, offset=start) as pages:
            pages.madvise(mmap.MADV_REMOVE)


def attach(fd: int) -> npt.NDArray[np.uint8]:
    """Map the whole of `fd`, shared and writable; return it as bytes. It is unmapped when the last view of the array is gone."""
    return _as_bytes(mmap.mmap(fd, os.fstat(fd).st_size, mmap.MAP_SHARED))


def attach_readonly(fd: int) -> npt.NDArray[np.uint8]:
    """Map the whole of `fd`, shared and read-only."""
    return _as_bytes(mmap.mmap(fd, os.fstat(fd).st_size, mmap.MAP_SHARED, mmap.PROT_READ))


def _as_bytes(mapping: Any) -> npt.NDArray[np.uint8]:
    return np.frombuffer(mapping, np.uint8)


def appendable(fd: int) -> None:
    """Make every write to `fd`, by any process, go to its end in one piece (`O_APPEND`, open(2))."""
    import fcntl  # not on Windows, where `workers=0` imports this module too

    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_APPEND)


def above_standard(fd: int) -> int:
    """Return `fd`, or replace it by a copy above 2: if standard streams are closed, it would become one of the supervisor's."""
    if fd > 2:
        return fd
    copy = above_standard(os.dup(fd))
    os.close(fd)
    return copy
