"""The actor's end of its connection to the gateway: takes tickets, has them worked on, and sends the rows.

gateway ── tickets ──▶ this thread, which works on one after the other
gateway ◀── rows ───── this thread as far as the connection has room for them; the rest by another one, while the next ticket is worked on
"""

from __future__ import annotations

import socket
from collections import deque
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

Asked = tuple[Ticket, Sequence[int]]


def serve(address: tuple[str, int], token: bytes, work: Work, expect: Expect) -> None:
    """Work on tickets until the gateway ends the connection. Runs in: an actor.

    Raises:
        OSError: the gateway is gone, or can't be reached.
    """
    with socket.create_connection(address, _CONNECT_S) as connection, ThreadPoolExecutor(1, "sends rows") as other:
        connection.settimeout(None)
        tune(connection)
        connection.sendall(token)
        incoming = _Incoming(connection)
        asked: deque[Asked] = deque()
        sending: Future[object] | None = None
        while (new := incoming.take(wait=not asked)) is not None:
            expect([ticket for ticket, _ in new])
            asked.extend(new)
            if not asked:
                continue
            ticket, killers = asked.popleft()
            rows, text, leaves = work(ticket, killers)
            if sending is not None:
                sending.result()
            parts = [memoryview(leaf.reshape(-1).view(np.uint8)) for leaf in leaves if leaf.nbytes]
            header = HEADER.pack(ticket.number, rows, len(text), sum(map(len, parts))) + text
            left = _send(connection, [memoryview(header), *parts], socket.MSG_DONTWAIT)
            sending = other.submit(_send, connection, left, 0) if left else None


class _Incoming:
    """What comes from the gateway."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._raw = b""

    def take(self, wait: bool) -> list[Asked] | None:
        """Return the tickets that have come, each with samples that kill; None at the end of the connection.

        Args:
            wait: for something to come.
        """
        try:
            piece = self._connection.recv(_READ_BYTES, 0 if wait else socket.MSG_DONTWAIT)
        except BlockingIOError:
            return []
        if not piece:
            return None
        self._raw += piece
        return list(iter(self._next, None))

    def _next(self) -> Asked | None:
        """Take a record, if all of one is there."""
        start = TICKET_BYTES + COUNT.size
        if len(self._raw) < start:
            return None
        (ticket,) = unpack_tickets(self._raw[:TICKET_BYTES])
        (count,) = COUNT.unpack(self._raw[TICKET_BYTES:start])
        end = start + 8 * count
        if len(self._raw) < end:
            return None
        killers = np.frombuffer(self._raw[start:end], np.int64).tolist()
        self._raw = self._raw[end:]
        return ticket, killers


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
