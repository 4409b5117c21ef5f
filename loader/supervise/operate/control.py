"""The control socket: the operator's way to the supervisor. Moves bytes; what is asked and answered is elsewhere (`requests`).

Nothing here may cost the training anything. Listener and clients are in an epoll set of their own, which is one descriptor to the loop. When
something happens there, a bounded number of events is handled, and then it is left alone for a while, however many clients are waiting. Nobody is
waited for: a client has one request answered at a time, is not read from while its answer is under way, and is dropped when it has got none for ten
seconds, or when a newer one needs its place.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

from loader.ipc.control_socket import BadLine, Lines, SocketFolder, decode, encode, home

_CONNECTIONS = 32
_IDLE_S = 10.0
_EVENTS_PER_TURN = 8
_ANSWERS_PER_TURN = 4
_REST_S = 0.02
_READ_BYTES = 64 * 1024
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: struct ucred, unix(7)


Attach = Callable[[dict[str, Any], int], tuple[dict[str, Any], list[int], Callable[[], None]]]


class _Client:
    """A connection.

    Attributes:
        pid: of the process that made it.
        lines: what it has sent.
        out: what is left of its answer.
        since: when it came, or got its last answer.
        ended: whether nothing is read from it any more.
    """

    def __init__(self, connection: socket.socket, pid: int, now: float) -> None:
        self.connection = connection
        self.pid = pid
        self.lines = Lines()
        self.out = b""
        self.since = now
        self.ended = False


class Control:
    """The listening socket and its clients. Runs in the supervisor's loop, and does nothing there until somebody comes.

    Owns the socket, its file, and all connections, from `open` until `close`.

    Args:
        loop: the supervisor's epoll set.
        answer: from a request to its answer; never raises.
        attach: the same for a request to attach, and the pid of the process that asks; with descriptors that it gets, which are closed here.
    """

    def __init__(self, loop: select.epoll, answer: Callable[[dict[str, Any]], dict[str, Any]], attach: Attach) -> None:
        self._loop = loop
        self._answer = answer
        self._attach = attach
        self._folder: SocketFolder | None = None
        self._clients: dict[int, _Client] = {}  # the client that has waited longest for an answer comes first
        self._resume_at: float | None = None
        self.fd = -1

    def open(self) -> None:
        """Listen, or say on stderr why nobody can ask this loader anything; training goes on without."""
        try:
            folder = SocketFolder(home(), create=True)
            try:
                folder.remove_stale()
                self._listener, self._name = folder.listen(os.getpid())
            except BaseException:
                folder.close()
                raise
        except OSError as error:
            with contextlib.suppress(OSError):  # stderr may have no reader
                print(f"loader: no control socket, so `loader status` will not see this loader: {error}", file=sys.stderr, flush=True)
            return
        self._folder = folder
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self.fd = self._epoll.fileno()
        self._loop.register(self.fd, select.EPOLLIN | select.EPOLLONESHOT)

    def close(self) -> None:
        """Remove the file and close everything."""
        if self._folder is not None:
            self._folder.remove(self._name)
            self.leave()

    def leave(self) -> None:
        """Close the descriptors only: for a worker, which has copies of all of them and must not keep a client waiting for the end."""
        if self._folder is None:
            return
        for client in self._clients.values():
            client.connection.close()
        self._clients.clear()
        self._listener.close()
        self._epoll.close()
        self._folder.close()
        self._folder, self._resume_at, self.fd = None, None, -1

    # When the loop comes by.

    def patience_s(self, tick_s: float) -> float:
        """Return how long the loop may wait: until the next tick, or until clients get their next turn."""
        return tick_s if self._resume_at is None else self._rest(self._resume_at, tick_s)

    def _rest(self, resume_at: float, tick_s: float) -> float:
        now = time.monotonic()
        if now < resume_at:
            return min(tick_s, resume_at - now)
        if any(client.lines.waiting for client in self._clients.values()):
            self.turn()
            return min(tick_s, _REST_S)
        self._resume_at = None
        self._loop.modify(self.fd, select.EPOLLIN | select.EPOLLONESHOT)
        return tick_s

    def turn(self) -> None:
        """Handle some of what has come, then rest."""
        now = time.monotonic()
        for fd, _ in self._epoll.poll(0, _EVENTS_PER_TURN):
            if fd == self._listener.fileno():
                self._accept(now)
            elif client := self._clients.get(fd):
                self._serve(client)
        asking = [client for client in self._clients.values() if client.lines.waiting and not client.out]
        for client in asking[:_ANSWERS_PER_TURN]:
            self._reply(client, now)
        self._resume_at = now + _REST_S

    def tick(self, now: float) -> None:
        """Drop clients that have been idle for too long. To be called once in a while."""
        for client in [client for client in self._clients.values() if client.since <= now - _IDLE_S]:
            self._drop(client)

    # One client.

    def _accept(self, now: float) -> None:
        for _ in range(_EVENTS_PER_TURN):
            try:
                connection, _ = self._listener.accept()
            except OSError:  # no one is left, or they are gone already, or too many files are open; then there may be fewer next time
                return
            pid, uid, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
            if uid != os.getuid():
                connection.close()
                continue
            if len(self._clients) >= _CONNECTIONS:
                self._drop(next(iter(self._clients.values())))
            connection.setblocking(False)
            try:
                self._epoll.register(connection, select.EPOLLIN)
            except OSError:  # this user may have no more of them (/proc/sys/fs/epoll/max_user_watches)
                connection.close()
                return
            client = self._clients[connection.fileno()] = _Client(connection, pid, now)
            self._read(client)  # a client that asks at once does not lose its place to newer ones

    def _serve(self, client: _Client) -> None:
        if client.out:
            self._write(client)
        else:
            self._read(client)

    def _read(self, client: _Client) -> None:
        try:
            raw = client.connection.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._drop(client)
            return
        client.lines.feed(raw)
        client.ended = client.ended or not raw
        self._settle(client)

    def _reply(self, client: _Client, now: float) -> None:
        line: bytes | None = None
        try:
            line = client.lines.take()
            if line is None or not line.strip():
                self._settle(client)
                return
            request = decode(line)
            if request.get("do") == "attach":
                self._take_in(client, request)
                return
            answer = self._answer(request)
        except BadLine as error:
            answer = {"error": str(error)}
            if line is None:  # too long: where the next one starts can't be known
                client.ended, client.lines = True, Lines()
        client.out = encode(answer)
        client.since = now
        fd = client.connection.fileno()
        self._clients[fd] = self._clients.pop(fd)
        self._write(client)

    def _take_in(self, client: _Client, request: dict[str, Any]) -> None:
        """Answer a trainer that wants to attach, at once and for good: a reader that does not know that it is one would hold slots."""
        answer, descriptors, failed = self._attach(request, client.pid)
        try:
            raw = encode(answer)
            sent = socket.send_fds(client.connection, [raw], descriptors, socket.MSG_NOSIGNAL)
            if sent < len(raw):
                failed()
        except OSError:
            failed()
        for fd in descriptors:
            os.close(fd)
        self._drop(client)

    def _write(self, client: _Client) -> None:
        try:
            client.out = client.out[client.connection.send(client.out, socket.MSG_NOSIGNAL) :]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(client)
            return
        self._settle(client)

    def _settle(self, client: _Client) -> None:
        """Wait for what has to come next from a client, or drop it when that is nothing."""
        if client.ended and not client.out and not client.lines.waiting:
            self._drop(client)
            return
        reading = select.EPOLLIN if not client.out and not client.lines.waiting else 0
        self._epoll.modify(client.connection, select.EPOLLOUT if client.out else reading)

    def _drop(self, client: _Client) -> None:
        # Unregistered first: a worker that is just being forked may hold a copy, and what has a living copy stays in the epoll set.
        self._epoll.unregister(client.connection)
        del self._clients[client.connection.fileno()]
        client.connection.close()
