"""What a trainer that attaches to a shared loader asks, and what it is given: numbers as JSON, and descriptors beside them (SCM_RIGHTS, unix(7)).

    {"do": "attach", "name": "imagenet", "epoch": 0, "batch": 0, "settings": {"batch_size": 64}, "rank": 1, "world": 2, "job": "29500", "again": 0}
    {"attached": 3, "orphaned": false, "arena_bytes": …, "plan": {…}, "settings": {…}}, and the descriptors of arena, board, inbox and ready pipe

`rank` and `world` say whose batches it wants; without them, those of the process that made the loader. With `job`, it wants no loader of another one.
`again` is the number that the trainer had as a reader of the supervisor before this one; 0 if there was none. So it keeps its row of the board.
It then names the loader by its `identity`, too: another one may have been made with the same name.

Of two loaders of the same name, one whose script has left it to its readers (`orphaned`) gives way to the other.

It goes through the control socket, which belongs to one user, as the kernel checks at both ends. Nothing is pickled.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from loader.ipc import memfd
from loader.ipc.control_socket import BadLine, Lines, SocketFolder, decode, encode, places

ANSWER_S = 2.0
_READ_BYTES = 64 * 1024


class Descriptors(NamedTuple):
    """What a reader gets. The one that receives them owns them.

    Attributes:
        arena: can't be mapped writable.
        board: the counters.
        inbox: writing end; what the reader says.
        ready: reading end; what it is handed.
    """

    arena: int
    board: int
    inbox: int
    ready: int

    def close(self) -> None:
        """Close all of them."""
        for fd in self:
            os.close(fd)


class Refused(Exception):
    """The loader is there and takes no reader, or not this one; in words."""


class NobodyThere(Exception):
    """No loader of that name answers."""


class NoRoomYet(NobodyThere):
    """The loader is there, and will take a reader when those that it has let go of slots; in words."""


def identity(board: int) -> int:
    """Return what tells a loader from others: the number that the kernel gave to the memory of its board."""
    return os.fstat(board).st_ino


def attach(name: str, request: dict[str, Any]) -> tuple[dict[str, Any], Descriptors]:
    """Ask the shared loader of that name to take this process as a reader.

    Returns:
        Its answer, and what it gave.

    Raises:
        Refused: it does not; in words.
        NobodyThere: there is no loader of that name, or several; or it has no room yet.
        OSError: there is no descriptor left, for this process or at all.
    """
    found: list[tuple[dict[str, Any], Descriptors]] = []
    refusals: list[tuple[bool, Exception]] = []
    silent: list[int] = []
    with contextlib.ExitStack() as opened:
        for address, pid in _addresses():
            with _unless_descriptors_lack():  # whoever listens there has just ended, or is no loader of this version
                try:
                    answer, fds = _ask(address, {"do": "attach", "name": name, **request})
                except TimeoutError:
                    silent.append(pid)
                    continue
                for fd in fds:
                    opened.callback(os.close, fd)
                if len(fds) == len(Descriptors._fields) and "attached" in answer:
                    found.append((answer, Descriptors(*fds)))
                elif answer.get("called") == name:
                    kind = NoRoomYet if answer.get("later") else Refused
                    refusals.append((bool(answer.get("orphaned")), kind(answer.get("error"))))
        refusals.sort(key=lambda refusal: refusal[0])
        current = [one for one in found if not one[0]["orphaned"]]
        if not (current or silent or (refusals and not refusals[0][0])):  # else there is, or may be, one that has not been left
            current = found
        if len(current) == 1:
            opened.pop_all()
            for one in found:
                if one is not current[0]:
                    one[1].close()
            return current[0]
    if len(current) > 1:
        raise NobodyThere(f"{len(current)} shared loaders are called {name!r}; end one of them, or give them different names")
    if refusals:
        raise refusals[0][1]
    left = ", other than one that its script has left" if found else ""
    raise NobodyThere(f"no shared loader of this user is called {name!r}{left}{_in_words(silent)}")


def _in_words(silent: list[int]) -> str:
    if not silent:
        return ""
    which = f"the supervisor with pid {silent[0]} does" if len(silent) == 1 else f"the supervisors with the pids {', '.join(map(str, silent))} do"
    return f", but {which} not answer: stopped (SIGSTOP), very busy, or without a descriptor for a connection (ulimit -n)"


@contextlib.contextmanager
def _unless_descriptors_lack() -> Iterator[None]:
    """Pass over what can't be asked, but not over what this process can't open."""
    try:
        yield
    except BadLine:
        return
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise


def _addresses() -> Iterator[tuple[str, int]]:
    """Yield where supervisors of this user listen, and their pids."""
    if sys.platform != "linux":
        return
    for place in places():
        with _unless_descriptors_lack():
            folder = SocketFolder(place)
            try:
                for name, pid in folder.sockets():
                    yield folder.address(name), pid
            finally:
                folder.close()


def _ask(address: str, request: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
    fds: list[int] = []
    lines = Lines()
    deadline = time.monotonic() + ANSWER_S
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER_S)
            connection.connect(address)
            connection.sendall(encode(request))
            while (line := lines.take()) is None:
                connection.settimeout(max(0.01, deadline - time.monotonic()))
                raw, more, flags, _ = socket.recv_fds(connection, _READ_BYTES, len(Descriptors._fields), socket.MSG_CMSG_CLOEXEC)
                fds += map(memfd.above_standard, more)
                if flags & socket.MSG_CTRUNC:  # what this process had no room for is closed by the kernel, without a word
                    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
                if not raw or time.monotonic() > deadline:
                    raise BadLine("it did not answer")
                lines.feed(raw)
        return decode(line), fds
    except BaseException:
        for fd in fds:
            os.close(fd)
        raise
