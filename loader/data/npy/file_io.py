"""What files are read with, on every system: the calls of POSIX where they exist, else the same by `lseek` and `read` (Windows; `workers=0`).

Also how many files a process may have open, for the error of one that has reached that limit.
"""

from __future__ import annotations

import errno
import mmap
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from loader.errors import chain_of

# O_NONBLOCK means nothing to a regular file; without it, the opening of a FIFO would wait for a writer. O_BINARY exists on Windows only.
OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

# Of one call, the kernel heeds no more than the disk takes at a time: 1,280 KiB are usual, 512 on some (`max_sectors_kb`).
_ADVISED_BYTES = 512 * 1024


def seek_and_read(fd: int, buffers: Sequence[Any], offset: int) -> int:
    """Fill writable `buffers` one after the other from `offset`; return the bytes read, fewer only where the file ends."""
    os.lseek(fd, offset, os.SEEK_SET)
    total = 0
    for buffer in buffers:
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view) and (piece := os.read(fd, len(view) - done)):
            view[done : done + len(piece)] = piece
            done += len(piece)
        total += done
    return total


preadv = getattr(os, "preadv", seek_and_read)


def pread(fd: int, nbytes: int, offset: int) -> bytes:
    """Return up to `nbytes` from `offset`, fewer only where the file ends."""
    buffer = bytearray(nbytes)
    return bytes(buffer[: preadv(fd, [buffer], offset)])


def map_file(fd: int, length: int) -> mmap.mmap:
    """Map the first `length` bytes of an open file, read-only."""
    if sys.version_info >= (3, 13):
        return mmap.mmap(fd, length, access=mmap.ACCESS_READ, trackfd=False)
    return mmap.mmap(fd, length, access=mmap.ACCESS_READ)


def will_read(path: str | bytes, spans: Iterable[tuple[int, int]]) -> None:
    """Ask the kernel to bring parts of a file into the page cache, and don't wait for them. A file that can't be opened is left to its reader.

    Args:
        path: of the file.
        spans: where each part begins and ends, in bytes; a part beyond the end of the file is not there.
    """
    try:
        fd = os.open(path, OPEN_FLAGS)
    except OSError:
        return
    try:
        for start, end in spans:
            for place in range(start, end, _ADVISED_BYTES):
                os.posix_fadvise(fd, place, min(_ADVISED_BYTES, end - place), os.POSIX_FADV_WILLNEED)
    except OSError:  # no regular file
        pass
    finally:
        os.close(fd)


def is_descriptor_limit(error: BaseException | None) -> bool:
    """Return whether `error` says that this process has as many files open as it may. Another try in the same process would not help."""
    return isinstance(error, OSError) and error.errno == errno.EMFILE


def limit_in_words(error: BaseException) -> str:
    """Return how many files this process may have open, as an addition to the message of `error`; empty if that is not the cause."""
    if sys.platform == "win32" or not any(map(is_descriptor_limit, chain_of(error))):
        return ""
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return f" (this process may have {limit:,} files open: RLIMIT_NOFILE, `ulimit -n`)"
