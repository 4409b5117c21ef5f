"""Anonymous shared memory: the only place that creates or maps it.

A memfd has no name: it can't collide with another one, can't outlive the processes that hold it, and does not live in `/dev/shm`.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from loader.data.address_region import AVAILABLE, LARGE_PAGE, AddressRegion, collapse

_PIECE_BYTES = 8 * 2**20  # takes 1 to 6 ms


def create(name: str, nbytes: int = 0) -> int:
    """Return the descriptor of new shared memory of `nbytes`, closed on exec. The caller owns it.

    `name` is what `/proc/PID/fd` shows. Pages are made when they are first touched; `allocate` makes them before.
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


def allocate(fd: int, nbytes: int) -> Iterator[bool]:
    """Make the first `nbytes` of the pages, a piece at each step. The caller has checked that there is enough: too much brings the OOM killer."""
    for start in range(0, nbytes, _PIECE_BYTES):
        os.posix_fallocate(fd, start, min(_PIECE_BYTES, nbytes - start))
        yield True


def free(fd: int, start: int, stop: int) -> None:
    """Give the whole pages between two offsets back to the system; afterwards they read as zeros. Their owner knows that nobody needs them."""
    start, stop = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE, min(stop, os.fstat(fd).st_size) // mmap.PAGESIZE * mmap.PAGESIZE
    if start < stop:
        with mmap.mmap(fd, stop - start, mmap.MAP_SHARED, offset=start) as pages:
            pages.madvise(mmap.MADV_REMOVE)


def attach(fd: int) -> npt.NDArray[np.uint8]:
    """Map the whole of `fd`, shared and writable; return it as bytes. It is unmapped when the last view of the array is gone."""
    return _attach(fd, writable=True)


def attach_readonly(fd: int) -> npt.NDArray[np.uint8]:
    """Map the whole of `fd`, shared and read-only."""
    return _attach(fd, writable=False)


def reopen_readonly(fd: int) -> int:
    """Return a descriptor of the same memory that can't be mapped writable; the caller owns it.

    `F_SEAL_FUTURE_WRITE` would do the same, and forbid `free` (docs/measurements.md).
    """
    return above_standard(os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC))


def enlarge_pages(memory: npt.NDArray[np.uint8]) -> None:
    """Have the system use large pages for what `attach` has returned, as far as it can: arrays are then written to it in three quarters of the time.

    Takes some 8 ms of CPU time for each of 2 MiB (docs/measurements.md). All pages exist.
    """
    for start in range(0, memory.nbytes - LARGE_PAGE + 1, LARGE_PAGE):
        if not collapse(memory[start : start + LARGE_PAGE]):
            return


def _attach(fd: int, writable: bool) -> npt.NDArray[np.uint8]:
    nbytes, protection = os.fstat(fd).st_size, mmap.PROT_READ | mmap.PROT_WRITE * writable
    if nbytes < LARGE_PAGE or not AVAILABLE:
        return np.frombuffer(mmap.mmap(fd, nbytes, mmap.MAP_SHARED, protection), np.uint8)
    region = AddressRegion(nbytes)
    region.map(fd, 0, nbytes, 0, protection)
    return region.array(0, (nbytes,), np.dtype(np.uint8), writable)


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
