"""Pipes of fixed-size records.

Plain pipes carry records in bulk: one `read` drains a hundred of them, which is what made them the fastest of five kinds of channel
(docs/measurements.md). A write of at most PIPE_BUF (4,096) bytes is atomic, so many processes can write to one pipe without a lock, and a killed
writer leaves no half record.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
from collections import deque
from collections.abc import Iterator

from loader.ipc import memfd

_CAPACITY_BYTES = 1024 * 1024


def open_pipe() -> tuple[int, int]:
    """Return the two ends of a pipe, `(read, write)`, closed on exec and as large as the system allows. The caller owns both."""
    read, write = map(memfd.above_standard, os.pipe2(os.O_CLOEXEC))
    with contextlib.suppress(OSError):  # above the user's quota (pipe-user-pages-soft): the default of 64 KiB holds a thousand records
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, _CAPACITY_BYTES)
    return read, write


def own_end(fd: int) -> int:
    """Return a descriptor of the caller's own to write to a pipe, of which `fd` is an end. The caller owns it.

    It never blocks: O_NONBLOCK belongs to the open file description, and those who hold `fd` share another one. And it never raises SIGPIPE, which a
    script may have set to end it: it is open for reading as well (fifo(7)), so the pipe always has a reader, at no cost per write
    (docs/measurements.md).
    """
    return memfd.above_standard(os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))


_READ_BYTES = 64 * 1024


def read_records(fd: int, record_bytes: int) -> bytes:
    """Read as many whole records as there are, at most 64 KiB; b"" at the end of the stream.

    Blocks until there is one; on a non-blocking descriptor raises BlockingIOError instead. All writers write whole records, so a read
    of a multiple of their size never splits one.
    """
    return os.read(fd, _READ_BYTES // record_bytes * record_bytes)


def drain_records(fd: int, record_bytes: int) -> Iterator[bytes]:
    """Yield all records that have been written to a non-blocking `fd`, in bulk. A short read means that there are no more."""
    try:
        while raw := read_records(fd, record_bytes):
            yield raw
            if len(raw) + record_bytes <= _READ_BYTES:
                return
    except BlockingIOError:
        return


class Outlet:
    """The writing end of a pipe that must never block its process: what does not fit waits here, in order.

    Only the supervisor uses one per worker and one to the trainer; both readers are bounded by the slots, so that more than a few records
    wait only while a reader is stopped.
    """

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self._waiting: deque[bytes] = deque()

    def send(self, record: bytes) -> None:
        """Write `record`, or keep it for `flush`. A reader that is gone is no error here: a pidfd tells of its death."""
        if not self._waiting:
            try:
                os.write(self.fd, record)
                return
            except BlockingIOError:
                pass
            except BrokenPipeError:
                return
        self._waiting.append(record)

    def close(self) -> None:
        """Close the descriptor, once; the reader then sees the end of the stream."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def flush(self) -> bool:
        """Write what waits; return whether all of it is written."""
        while self._waiting:
            try:
                os.write(self.fd, self._waiting[0])
            except BlockingIOError:
                return False
            except BrokenPipeError:
                self._waiting.clear()
                return True
            self._waiting.popleft()
        return True


def wait_readable(fds: list[int], timeout_s: float | None) -> list[int]:
    """Return those of `fds` that can be read or have ended, after waiting for one at most `timeout_s` seconds (None: no limit)."""
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return [fd for fd, _ in poll.poll(None if timeout_s is None else timeout_s * 1000)]
