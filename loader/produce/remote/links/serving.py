"""The actor's end of its connection to the gateway: takes tickets, has them worked on, and sends the rows.

gateway ── tickets ──▶ this thread, which works on one after the other, the oldest of those that have come first
gateway ◀── rows ───── this thread as far as the connection has room for them; the rest by another one, while the next ticket is worked on
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from loader.data.spec import Array
from loader.ipc.records import TICKET_BYTES, Ticket, unpack_tickets
from loader.produce.remote.links.link import COUNT, HEADER, tune

_CONNECT_S = 20.0  # a firewall that drops what it does not like would have the system try for two minutes
_READ_BYTES = 65_536
_MOST_BUFFERS = 64  # of one call; the system allows 1,024

Work = Callable[[Ticket, Sequence[int]], tuple[int, bytes, Sequence[Array]]]
"""Of a ticket and samples that kill: how many rows were made, what there is to say, and the rows, array by array; they are to stay as they are until
the call after the next."""

Expect = Callable[[Sequence[Ticket]], None]
"""Is told of tickets when they come, before those that came earlier have been worked on."""


def serve(address: tuple[str, int], token: bytes, work: Work, expect: Expect) -> None:
    """Work on tickets until the gateway ends the connection. Runs in: an actor.

    Raises:
        OSError: the gateway is gone, or can't be reached.
    """
    with socket.create_connection(address, _CONNECT_S) as connection, ThreadPoolExecutor(1, "sends rows") as other:
        connection.settimeout(None)
        tune(connection)
        connection.sendall(token)
        asked = _Asked(connection)
        sending: Future[object] | None = None
        ticket = asked.wait()
        while ticket is not None:
            new, killers = asked.take_news()
            expect(new)
            rows, text, leaves = work(ticket, killers)
            if sending is not None:
                sending.result()
            following = asked.take()  # before the rows go, as the gateway is to know what this actor is at while they do
            parts = [memoryview(leaf.reshape(-1).view(np.uint8)) for leaf in leaves if leaf.nbytes]
            header = HEADER.pack(ticket.number, 0 if following is None else following.number, rows, len(text), sum(map(len, parts))) + text
            left = _send(connection, [memoryview(header), *parts], socket.MSG_DONTWAIT)
            sending = other.submit(_send, connection, left, 0) if left else None
            ticket = following or asked.wait()


class _Asked:
    """The tickets that have come from the gateway, and have not been begun.

    Args:
        connection: to the gateway.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._raw = b""
        self._tickets: dict[int, Ticket] = {}  # by number, in the order in which they came; none at the end of the connection
        self._new: list[Ticket] = []
        self._killers: list[int] = []

    def wait(self) -> Ticket | None:
        """Return the first ticket that comes, where there is none; None at the end of the connection."""
        while not self._tickets:
            if not self._receive(0):
                return None
        return self._tickets.pop(next(iter(self._tickets)))

    def take(self) -> Ticket | None:
        """Return the oldest of the tickets that have come by now; None if there is none."""
        with contextlib.suppress(BlockingIOError):
            self._receive(socket.MSG_DONTWAIT)
        return self._tickets.pop(min(self._tickets)) if self._tickets else None

    def take_news(self) -> tuple[list[Ticket], list[int]]:
        """Return the tickets that have come since the last call, and the samples that kill which have come with them."""
        news = self._new, self._killers
        self._new, self._killers = [], []
        return news

    def _receive(self, flags: int) -> bool:
        """Take what comes; return whether that was anything but the end of the connection."""
        piece = self._connection.recv(_READ_BYTES, flags)
        self._raw += piece
        for ticket in iter(self._next, None):
            self._new.append(ticket)
            self._tickets[ticket.number] = ticket
        if not piece:
            self._tickets.clear()
        return bool(piece)

    def _next(self) -> Ticket | None:
        """Take a record, if all of one is there."""
        start = TICKET_BYTES + COUNT.size
        if len(self._raw) < start:
            return None
        (ticket,) = unpack_tickets(self._raw[:TICKET_BYTES])
        (count,) = COUNT.unpack(self._raw[TICKET_BYTES:start])
        end = start + 8 * count
        if len(self._raw) < end:
            return None
        self._killers += np.frombuffer(self._raw[start:end], np.int64).tolist()
        self._raw = self._raw[end:]
        return ticket


def _send(connection: socket.socket, parts: Sequence[memoryview], flags: int) -> list[memoryview]:
    """Send; return what is left, if the flags say not to wait."""
    left = list(parts)
    try:
        while left:
            sent = connection.sendmsg(left[:_MOST_BUFFERS], [], flags)
            while left and sent >= left[0].nbytes:
                sent -= left.pop(0).nbytes
            if left:
                left[0] = left[0][sent:]
    except BlockingIOError:
        pass
    return left
