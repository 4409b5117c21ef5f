"""The connection between the gateway and an actor: tickets one way, blocks of rows the other, and nothing that would have to be unpickled.

    actor → gateway      first of all, a token that only the two know
    gateway → actor      a ticket, as in a pipe, and the samples that are known to kill and have not been sent before
    actor → gateway      for each ticket, in order: its number, how many rows follow, a text, and these rows: all of the first array, then of the next

The rows go from the actor's memory to the socket and from there into the slot. By Ray's object store, they would be copied twice more, and a ticket
would cost a call (docs/measurements.md).
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from loader.data.spec import Array
from loader.errors import ProtocolError
from loader.ipc.records import TICKET_BYTES, Ticket, unpack_tickets

TOKEN_BYTES = 16
_COUNT = struct.Struct("<I")
_HEADER = struct.Struct("<QIIQ")
_MOST_TEXT_BYTES = 16 * 1024 * 1024
_DROPPED_AT_ONCE_BYTES = 256 * 1024
_MOST_BUFFERS = 64  # of one call; the system allows 1,024
_CONNECT_S = 20.0  # a firewall that drops what it does not like would have the system try for two minutes

# A machine that is gone without a word is noticed after half a minute; tickets that are late have been given to others by then.
_SILENCE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4}


class Arrived(NamedTuple):
    """An actor has done a ticket.

    Attributes:
        ticket: its number.
        rows: how many of its rows have come.
        text: what the actor says about it.
        written: whether the rows are where they were wanted; False if they were dropped.
    """

    ticket: int
    rows: int
    text: bytes
    written: bool


Targets = Callable[[int, int], Sequence[memoryview] | None]
"""Of the number of a ticket and of how many of its rows come: where these go, piece by piece in the order of the block; None if nobody wants them."""


class Link:
    """The gateway's end. Never blocks.

    Args:
        connection: is the link's from now on.
        targets: where rows go.

    Attributes:
        token: that was sent from the other end; None if it has not come yet.
    """

    def __init__(self, connection: socket.socket, targets: Targets) -> None:
        connection.setblocking(False)
        tune(connection)
        self.token: bytes | None = None
        self._connection = connection
        self._targets = targets
        self._asked: deque[Ticket] = deque()  # for what has not come yet
        self._ticket = 0  # whose rows are coming
        self._wanted = False
        self._into: list[memoryview] = []  # what is still to be filled; empty while what comes is dropped
        self._dropped = memoryview(bytearray(_DROPPED_AT_ONCE_BYTES))
        self._steps = self._receive()

    def fileno(self) -> int:
        """Return the descriptor, to wait for."""
        return self._connection.fileno()

    def close(self) -> None:
        """End the connection, and with it the actor's work."""
        self._connection.close()

    def send(self, ticket: Ticket, killers: Sequence[int] = ()) -> None:
        """Send a ticket. Raises OSError if the actor is gone, or reads nothing any more; then the connection ends."""
        record = ticket.pack() + _COUNT.pack(len(killers)) + np.array(killers, np.int64).tobytes()
        self._asked.append(ticket)
        try:
            sent = self._connection.send(record)
        except BlockingIOError:
            sent = 0
        if sent != len(record):
            self._connection.shutdown(socket.SHUT_RDWR)  # half a record can't be taken back; `receive` tells of the end
            raise BlockingIOError("an actor reads nothing any more")

    def receive(self) -> Arrived | None:
        """Take what has come; return the ticket that is complete with it, if any. To be called again until it returns None.

        Raises:
            OSError: the actor is gone, or has ended the connection.
            ProtocolError: it sent what can't be.
        """
        return next(self._steps)

    def abandon(self, ticket: int) -> None:
        """Nobody wants the rows of a ticket any more. If they are coming just now, the rest of them is not written."""
        if self._ticket == ticket:
            self._wanted, self._into = False, []

    def _receive(self) -> Iterator[Arrived | None]:
        token = bytearray(TOKEN_BYTES)
        yield from self._fill([memoryview(token)], TOKEN_BYTES)
        self.token = bytes(token)
        yield None  # so that it is looked at before anything else is
        while True:
            header = bytearray(_HEADER.size)
            yield from self._fill([memoryview(header)], len(header))
            ticket, rows, text_bytes, nbytes = _HEADER.unpack(header)
            if not self._asked or ticket != (asked := self._asked.popleft()).number or rows > asked.rows:
                raise ProtocolError(f"an actor sends {rows} rows of ticket {ticket}, for which it was not asked")
            if text_bytes > _MOST_TEXT_BYTES:
                raise ProtocolError(f"an actor announces a text of {text_bytes:,} bytes")
            text = bytearray(text_bytes)
            yield from self._fill([memoryview(text)], text_bytes)
            targets = self._targets(ticket, rows)
            if targets is not None and nbytes != (wanted := sum(target.nbytes for target in targets)):
                raise ProtocolError(f"an actor sends {nbytes:,} bytes as {rows} rows of ticket {ticket}, which are {wanted:,} bytes")
            self._ticket, self._wanted = ticket, targets is not None
            yield from self._fill([target for target in targets or () if target.nbytes], nbytes)
            self._ticket = 0
            yield Arrived(ticket, rows, bytes(text), self._wanted)

    def _fill(self, into: list[memoryview], nbytes: int) -> Iterator[None]:
        """Receive so many bytes; yield whenever there are no more at the moment."""
        self._into = into
        while nbytes:
            try:
                count = self._connection.recvmsg_into(self._into[:_MOST_BUFFERS] or [self._dropped[:nbytes]])[0]
            except BlockingIOError:
                yield
                continue
            if not count:
                raise ConnectionResetError("an actor has ended the connection")
            nbytes -= count
            while self._into and count >= self._into[0].nbytes:
                count -= self._into.pop(0).nbytes
            if self._into:
                self._into[0] = self._into[0][count:]


def tune(connection: socket.socket) -> None:
    """Send small messages at once, and notice a machine that is gone."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _SILENCE.items():
        connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


Work = Callable[[Ticket, Sequence[int]], tuple[int, bytes, Sequence[Array]]]
"""Of a ticket and samples that kill: how many rows were made, what there is to say, and the rows, array by array."""


def serve(address: tuple[str, int], token: bytes, work: Work) -> None:
    """Work on tickets until the gateway ends the connection. Runs in: an actor.

    Raises:
        OSError: the gateway is gone, or can't be reached.
    """
    with socket.create_connection(address, _CONNECT_S) as connection, connection.makefile("rb") as incoming:
        connection.settimeout(None)
        tune(connection)
        connection.sendall(token)
        while record := incoming.read(TICKET_BYTES + _COUNT.size):
            (ticket,) = unpack_tickets(record[:TICKET_BYTES])
            (count,) = _COUNT.unpack(record[TICKET_BYTES:])
            killers = np.frombuffer(incoming.read(8 * count), np.int64).tolist()
            rows, text, leaves = work(ticket, killers)
            parts = [memoryview(leaf.reshape(-1).view(np.uint8)) for leaf in leaves if leaf.nbytes]
            _send_all(connection, [_HEADER.pack(ticket.number, rows, len(text), sum(map(len, parts))) + text, *parts])


def _send_all(connection: socket.socket, parts: Sequence[bytes | memoryview]) -> None:
    waiting = [memoryview(part) for part in parts]
    while waiting:
        sent = connection.sendmsg(waiting[:_MOST_BUFFERS])
        while waiting and sent >= waiting[0].nbytes:
            sent -= waiting.pop(0).nbytes
        if waiting:
            waiting[0] = waiting[0][sent:]
