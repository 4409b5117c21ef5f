"""Where actors connect to the gateway, and what comes from them. Never blocks: the gateway waits for one descriptor, that of all of them.

Whoever connects first says a token. One that was made for an actor, and given to it by Ray, tells whose connection it is; any other ends it.
"""

from __future__ import annotations

import errno
import secrets
import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from loader.errors import ProtocolError
from loader.produce.remote.links.link import TOKEN_BYTES, Arrived, Link

_MOST_STRANGERS = 64  # connections that have not said who they are
_BLOCKS_AT_ONCE = 4  # of one actor, before the others have their turn
_WITHOUT_DESCRIPTORS_S = 1.0  # then whoever waits at the listener can't be let in, and looking again at once would help nobody


class Connected(NamedTuple):
    """The actor of `worker` is there."""

    worker: int


class Came(NamedTuple):
    """The actor of `worker` has done a ticket."""

    worker: int
    arrived: Arrived


class Ended(NamedTuple):
    """The connection to the actor of `worker` has ended, as `error` says."""

    worker: int
    error: Exception


Event = Connected | Came | Ended

Targets = Callable[[int, int, int, int], Sequence[memoryview] | None]
"""Of a worker, whose actor sends the rows; the rest as `link.Targets`."""


class Connections:
    """The connections of a gateway.

    Args:
        host: address of this machine at which the actors can reach it.
        targets: where the rows of a ticket go.

    Attributes:
        address: where actors are to connect.
    """

    def __init__(self, host: str, targets: Targets) -> None:
        self._listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=128)
        self._listener.setblocking(False)
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        self._targets = targets
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._tokens: dict[bytes, int] = {}
        self._links: dict[int, Link] = {}  # of actors, by worker
        self._open: dict[int, tuple[Link, int | None]] = {}  # all, by descriptor, with the worker if it is known
        self._full_until: float | None = None  # since no descriptor was left

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._epoll.fileno()

    def expect(self, worker: int) -> bytes:
        """Return the token by which the actor of a worker is to be known; no other actor of that worker will be."""
        self.end(worker)
        token = secrets.token_bytes(TOKEN_BYTES)
        self._tokens[token] = worker
        return token

    def link(self, worker: int) -> Link:
        """Return the connection to the actor of a worker. Raises KeyError unless it is there."""
        return self._links[worker]

    def abandon(self, ticket: int) -> None:
        """Nobody wants the rows of a ticket any more."""
        for link in self._links.values():
            link.abandon(ticket)

    def end(self, worker: int) -> None:
        """End the connection to the actor of a worker, or expect it no more."""
        self._tokens = {token: other for token, other in self._tokens.items() if other != worker}
        if (link := self._links.get(worker)) is not None:
            self._close(link)

    def close(self) -> None:
        """End all of them."""
        for link, _ in list(self._open.values()):
            self._close(link)
        self._listener.close()
        self._epoll.close()

    def events(self) -> Iterator[Event]:
        """Yield what has happened. To be called at least once a second."""
        if self._full_until is not None and time.monotonic() >= self._full_until:
            self._full_until = None
            self._epoll.register(self._listener, select.EPOLLIN)
        for fd, _ in self._epoll.poll(0):
            if fd == self._listener.fileno():
                self._accept()
            elif fd in self._open:  # else it was closed for what another one has brought
                yield from self._receive(fd)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                self._full_until = time.monotonic() + _WITHOUT_DESCRIPTORS_S
                self._epoll.unregister(self._listener)
            return  # else it has gone again
        strangers = [link for link, worker in self._open.values() if worker is None]
        if len(strangers) >= _MOST_STRANGERS:
            self._close(strangers[0])
        link = Link(connection, partial(self._targets_of, connection.fileno()))
        self._open[link.fileno()] = link, None
        self._epoll.register(link, select.EPOLLIN)

    def _targets_of(self, fd: int, number: int, following: int, rows: int) -> Sequence[memoryview] | None:
        worker = self._open[fd][1]
        return None if worker is None else self._targets(worker, number, following, rows)

    def _receive(self, fd: int) -> Iterator[Event]:
        link, worker = self._open[fd]
        try:
            if worker is None:
                link.receive()
                if link.token is not None:
                    yield Connected(self._welcome(fd, link))
                return
            for _ in range(_BLOCKS_AT_ONCE):
                if (arrived := link.receive()) is None:
                    return
                yield Came(worker, arrived)
                if self._links.get(worker) is not link:  # it was ended for what it has brought
                    return
        except (OSError, ProtocolError) as error:
            self._close(link)
            if worker is not None:
                yield Ended(worker, error)

    def _welcome(self, fd: int, link: Link) -> int:
        worker = self._tokens.pop(link.token or b"", None)
        if worker is None:
            raise ProtocolError("a connection without a token that is known")
        self._links[worker] = link
        self._open[fd] = link, worker
        return worker

    def _close(self, link: Link) -> None:
        _, worker = self._open.pop(link.fileno())
        if worker is not None:
            del self._links[worker]
        self._epoll.unregister(link)
        link.close()
