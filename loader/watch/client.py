"""Asks supervisors: finds their sockets, asks with a deadline, and removes what killed ones left behind."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from loader.ipc.control_socket import BadLine, Lines, SocketFolder, decode, encode, places
from loader.measure.stats import Stats

ANSWER_S = 2.0
_ANSWER_BYTES = 16 * 1024 * 1024
_READ_BYTES = 64 * 1024
_AGAIN_S = 0.02

# What has arrived in time is read even if the others have used up the time, but not for ever.
_GRACE_S = 1.0


class NoAnswer(Exception):
    """A supervisor did not answer, or not in a form that this version understands."""


@dataclass(frozen=True)
class Found:
    """A loader that was found.

    Attributes:
        pid: of its supervisor.
        status: what it answered; None if it did not, or not in a form that this version understands.
        stats: the same as an object.
        place: folder of its socket.
        socket: file name of it.
    """

    pid: int
    status: dict[str, Any] | None
    stats: Stats | None
    place: SocketFolder
    socket: str

    @property
    def name(self) -> str:
        """Name of the loader, or its pid if it did not say."""
        return str(self.pid) if self.stats is None else self.stats.name

    def is_called(self, wanted: str) -> bool:
        """Whether `name` is its name, its pid, or the pid of its trainer."""
        return wanted in (self.name, str(self.pid)) or (self.status is not None and wanted == str(self.status.get("trainer_pid")))

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return its answer to a request. Raises NoAnswer."""
        return ask(self.place.address(self.socket), request, time.monotonic() + ANSWER_S)


@contextlib.contextmanager
def loaders() -> Iterator[list[Found]]:
    """Ask all loaders of this user for their status; sorted by name. Valid inside the `with`.

    All share one deadline, so many that hang take no longer than one.
    """
    with contextlib.ExitStack() as stack:
        found: list[Found] = []
        sockets: list[tuple[SocketFolder, str, int, socket.socket]] = []
        deadline = time.monotonic() + ANSWER_S
        for folder in _folders(stack):
            folder.remove_stale()
            for name, pid in folder.sockets():
                with contextlib.suppress(FileNotFoundError):
                    sockets.append((folder, name, pid, stack.enter_context(_asked(folder.address(name), {"do": "status"}, deadline))))
        for folder, name, pid, connection in sockets:
            try:
                status = _answer(connection, deadline)
                stats = Stats.from_dict(status)
                str(stats)  # all of it can be shown
                found.append(Found(pid, status, stats, folder, name))
            except (NoAnswer, KeyError, TypeError, ValueError, AttributeError):
                found.append(Found(pid, None, None, folder, name))
        yield sorted(found, key=lambda one: (one.name, one.pid))


def _folders(stack: contextlib.ExitStack) -> Iterator[SocketFolder]:
    if sys.platform != "linux":  # there is no pool elsewhere
        return
    for place in places():
        with contextlib.suppress(OSError):  # there is none, or it is not one that our loaders would use
            folder = SocketFolder(place)
            stack.callback(folder.close)
            yield folder


def ask(address: str, request: dict[str, Any], deadline: float) -> dict[str, Any]:
    """Return the answer to a request, by `deadline` on the monotonic clock. Raises NoAnswer."""
    try:
        with _asked(address, request, deadline) as connection:
            return _answer(connection, deadline)
    except FileNotFoundError:
        raise NoAnswer("it has ended") from None


def _asked(address: str, request: dict[str, Any], deadline: float) -> socket.socket:
    """Return a connection over which a request is under way; a closed one if that was not possible."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        _connect(connection, address, deadline)
        connection.sendall(encode(request))
    except FileNotFoundError:
        connection.close()
        raise
    except OSError:
        connection.close()
    return connection


def _connect(connection: socket.socket, address: str, deadline: float) -> None:
    while (left_s := deadline - time.monotonic()) > 0:
        connection.settimeout(left_s)
        try:
            return connection.connect(address)
        except BlockingIOError:  # others are waiting, more than the queue holds
            time.sleep(_AGAIN_S)
    raise TimeoutError


def _answer(connection: socket.socket, deadline: float) -> dict[str, Any]:
    lines = Lines(_ANSWER_BYTES)
    try:
        while (line := lines.take()) is None:
            left_s = deadline - time.monotonic()
            if left_s < -_GRACE_S:
                raise NoAnswer("it has not finished its answer")
            connection.settimeout(max(left_s, _AGAIN_S))
            raw = connection.recv(_READ_BYTES)
            if not raw:
                raise NoAnswer("it closed the connection")
            lines.feed(raw)
        return decode(line)
    except (OSError, BadLine) as error:
        raise NoAnswer(str(error)) from error
