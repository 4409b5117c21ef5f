"""The connection between the gateway and an actor: tickets one way, blocks of rows the other, and nothing that would have to be unpickled.

    actor → gateway      first of all, a token that only the two know
    gateway → actor      a ticket, as in a pipe, and the samples that are known to kill and have not been sent before
    actor → gateway      for each ticket: its number, that of the one that the actor begins meanwhile, how many rows follow, a text, and these rows:
                         all of the first array, then of the next

Of the tickets that it holds, an actor does the oldest one first, so what was lost elsewhere overtakes what waits. While it holds none, it does the
first that comes. So the gateway always knows which one it is at, without another message.

The rows go from the actor's memory to the socket and from there into the slot. By Ray's object store, they would be copied twice more, and a ticket
would cost a call (docs/measurements.md). The actor's end is `serving`.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from loader.errors import ProtocolError
from loader.ipc.records import Ticket

TOKEN_BYTES = 16

COUNT = struct.Struct("<I")
"""After a ticket: how many samples that kill follow, each an int64."""

HEADER = struct.Struct("<QQIIQ")
"""Before a block: the number of the ticket, that of the one that the actor begins now (0: it holds no other one), how many rows come, and the bytes
of the text and of the rows."""

_MOST_TEXT_BYTES = 16 * 1024 * 1024
_DROPPED_AT_ONCE_BYTES = 256 * 1024
_MOST_BUFFERS = 64  # of one call; the system allows 1,024

# A link counts as readable when this much of a block has come, or all of it: to be woken for each packet costs more than what is in it
# (docs/measurements.md).
_WORTH_WAKING_BYTES = 256 * 1024

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


Targets = Callable[[int, int, int], Sequence[memoryview] | None]
"""Of the number of a ticket, of that which the actor begins now, and of how many rows come: where these go, piece by piece in the order of the block;
None if nobody wants them."""


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
        self._asked: dict[int, int] = {}  # the tickets that have not come yet, with their rows
        self._ticket = 0  # whose rows are coming
        self._wanted = False
        self._into: list[memoryview] = []  # what is still to be filled; empty while what comes is dropped
        self._dropped = memoryview(bytearray(_DROPPED_AT_ONCE_BYTES))
        self._wakes_at = 1
        self._steps = self._receive()

    def fileno(self) -> int:
        """Return the descriptor, to wait for."""
        return self._connection.fileno()

    def close(self) -> None:
        """End the connection, and with it the actor's work."""
        self._connection.close()

    def send(self, ticket: Ticket, killers: Sequence[int] = ()) -> None:
        """Send a ticket. Raises OSError if the actor is gone, or reads nothing any more; then the connection ends."""
        record = ticket.pack() + COUNT.pack(len(killers)) + np.array(killers, np.int64).tobytes()
        self._asked[ticket.number] = ticket.rows
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
            header = bytearray(HEADER.size)
            yield from self._fill([memoryview(header)], len(header))
            ticket, following, rows, text_bytes, nbytes = HEADER.unpack(header)
            if rows > self._asked.pop(ticket, -1):
                raise ProtocolError(f"an actor sends {rows} rows of ticket {ticket}, for which it was not asked")
            if following and following not in self._asked:
                raise ProtocolError(f"an actor begins ticket {following}, for which it was not asked")
            if text_bytes > _MOST_TEXT_BYTES:
                raise ProtocolError(f"an actor announces a text of {text_bytes:,} bytes")
            text = bytearray(text_bytes)
            yield from self._fill([memoryview(text)], text_bytes)
            targets = self._targets(ticket, following, rows)
            if targets is not None and nbytes != (wanted := sum(target.nbytes for target in targets)):
                raise ProtocolError(f"an actor sends {nbytes:,} bytes as {rows} rows of ticket {ticket}, which are {wanted:,} bytes")
            self._ticket, self._wanted = ticket, targets is not None
            yield from self._fill([target for target in targets or () if target.nbytes], nbytes)
            self._ticket = 0
            self._wake_at(HEADER.size)  # whoever calls may do something else before it asks for more
            yield Arrived(ticket, rows, bytes(text), self._wanted)

    def _fill(self, into: list[memoryview], nbytes: int) -> Iterator[None]:
        """Receive so many bytes; yield whenever there are no more at the moment."""
        self._into = into
        while nbytes:
            try:
                count = self._connection.recvmsg_into(self._into[:_MOST_BUFFERS] or [self._dropped[:nbytes]])[0]
            except BlockingIOError:
                self._wake_at(min(nbytes, _WORTH_WAKING_BYTES))
                yield
                continue
            if not count:
                raise ConnectionResetError("an actor has ended the connection")
            nbytes -= count
            while self._into and count >= self._into[0].nbytes:
                count -= self._into.pop(0).nbytes
            if self._into:
                self._into[0] = self._into[0][count:]

    def _wake_at(self, nbytes: int) -> None:
        """Have the connection count as readable when so many bytes are there, or its end, or as many as it can hold."""
        if nbytes != self._wakes_at:
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, nbytes)
            self._wakes_at = nbytes


def tune(connection: socket.socket) -> None:
    """Send small messages at once, and notice a machine that is gone."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _SILENCE.items():
        connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
