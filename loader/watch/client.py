"""Asks supervisors: finds their sockets, asks with a deadline, and removes what killed ones left behind."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from loader.ipc.control_socket import SocketFolder, places
from loader.measure.stats import Stats
from loader.watch.asking import Ended, NoAnswer, ask_all

ANSWER_S = 2.0


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
        (answer,) = ask_all([self.place.address(self.socket)], request, time.monotonic() + ANSWER_S)
        if isinstance(answer, NoAnswer):
            raise answer
        return answer


@contextlib.contextmanager
def loaders(answer_s: float = ANSWER_S) -> Iterator[list[Found]]:
    """Ask all loaders of this user for their status; sorted by name. Valid inside the `with`.

    All are asked at the same time, so many that hang take no longer than one.

    Args:
        answer_s: seconds that they have.
    """
    with contextlib.ExitStack() as stack:
        sockets = [(folder, name, pid) for folder in _folders(stack) for name, pid in folder.sockets()]
        answers = ask_all([folder.address(name) for folder, name, _ in sockets], {"do": "status"}, time.monotonic() + answer_s)
        found = []
        for (folder, name, pid), answer in zip(sockets, answers, strict=True):
            if not (isinstance(answer, Ended) and _has_ended(folder, name, pid)):
                status, stats = _understood(answer)
                found.append(Found(pid, status, stats, folder, name))
        yield sorted(found, key=lambda one: (one.name, one.pid))


def _folders(stack: contextlib.ExitStack) -> Iterator[SocketFolder]:
    if sys.platform != "linux":  # there is no pool elsewhere
        return
    for place in places():
        with contextlib.suppress(OSError):  # there is none, or it is not one that our loaders would use
            folder = SocketFolder(place)
            stack.callback(folder.close)
            yield folder


def _has_ended(folder: SocketFolder, name: str, pid: int) -> bool:
    """Whether nobody listens at a socket any more; then it is removed. One that listens has closed the connection for want of room."""
    folder.remove_stale(pid)
    return name not in {known for known, _ in folder.sockets()}


def _understood(answer: dict[str, Any] | NoAnswer) -> tuple[dict[str, Any], Stats] | tuple[None, None]:
    try:
        if isinstance(answer, NoAnswer):
            return None, None
        stats = Stats.from_dict(answer)
        str(stats)  # all of it can be shown
        return answer, stats
    except (KeyError, TypeError, ValueError, AttributeError):
        return None, None
