"""The actor's end of the connection, with a gateway that is a socket."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from loader.ipc.records import Ticket, TicketKind
from loader.produce.remote.links.link import COUNT, HEADER
from loader.produce.remote.links.serving import serve

TOKEN = bytes(range(16))
PATIENCE_S = 30
BLOCK_BYTES = 64 << 20  # more than all buffers of a connection hold


class Actor:
    """An actor in a thread; each row is as large as is said, and tells its ticket. It is at ticket 8 until it is let go on."""

    def __init__(self, row_bytes: int) -> None:
        self.row_bytes = row_bytes
        self.goes_on = threading.Event()
        self.begun = {number: threading.Event() for number in range(1, 9)}
        self.steps: list[tuple[str, list[int]]] = []
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._thread = threading.Thread(target=self._serve, args=(listener.getsockname(),))
            self._thread.start()
            self.gateway, _ = listener.accept()
        self.gateway.settimeout(PATIENCE_S)
        assert self._receive(len(TOKEN)) == TOKEN

    def _serve(self, address: tuple[str, int]) -> None:
        with contextlib.suppress(OSError):
            serve(address, TOKEN, self._work, lambda tickets: self.steps.append(("expects", [ticket.number for ticket in tickets])))

    def _work(self, ticket: Ticket, killers: Sequence[int]) -> tuple[int, bytes, Sequence[np.ndarray]]:
        self.steps.append(("works on", [ticket.number, *killers]))
        self.begun[ticket.number].set()
        assert ticket.number < 8 or self.goes_on.wait(PATIENCE_S)
        return ticket.rows, b"done", [np.full((ticket.rows, self.row_bytes), ticket.number, np.uint8)]

    def take(self) -> tuple[int, int, bytes]:
        """Return the number of the next ticket that comes, after checking its rows; that of the one that is begun then; and the text."""
        number, following, rows, text_bytes, nbytes = HEADER.unpack(self._receive(HEADER.size))
        text = self._receive(text_bytes)
        assert nbytes == rows * self.row_bytes
        assert (np.frombuffer(self._receive(nbytes), np.uint8) == number).all()
        return number, following, text

    def _receive(self, nbytes: int) -> bytes:
        into = memoryview(bytearray(nbytes))
        while nbytes:
            nbytes -= self.gateway.recv_into(into[-nbytes:])
        return bytes(into)

    def close(self) -> None:
        self.gateway.close()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


def record(number: int, *killers: int) -> bytes:
    return Ticket(number, TicketKind.ROWS, 0, 0, 0, 1).pack() + COUNT.pack(len(killers)) + np.array(killers, np.int64).tobytes()


@pytest.fixture
def small() -> Iterator[Actor]:
    actor = Actor(10)
    yield actor
    actor.close()


@pytest.fixture
def large() -> Iterator[Actor]:
    actor = Actor(BLOCK_BYTES)
    yield actor
    actor.close()


def test_all_tickets_that_have_come_are_expected_before_the_first_is_worked_on(small: Actor) -> None:
    small.gateway.sendall(record(3) + record(4, 17, -5) + record(5))
    assert [small.take() for _ in range(3)] == [(3, 4, b"done"), (4, 5, b"done"), (5, 0, b"done")]
    assert small.steps[0] == ("expects", [3, 4, 5])
    assert [step for step in small.steps if step[0] == "works on"] == [("works on", [3, 17, -5]), ("works on", [4]), ("works on", [5])]


def test_the_oldest_of_the_tickets_that_have_come_is_next_and_the_gateway_is_told(small: Actor) -> None:
    small.gateway.sendall(record(8))
    assert small.begun[8].wait(PATIENCE_S)
    small.gateway.sendall(record(7) + record(3, 17) + record(5))
    small.goes_on.set()
    assert [small.take()[:2] for _ in range(4)] == [(8, 3), (3, 5), (5, 7), (7, 0)]
    assert [step[1] for step in small.steps if step[0] == "works on"] == [[8], [3, 17], [5], [7]]


def test_an_actor_that_has_nothing_begins_with_the_first_ticket_that_comes(small: Actor) -> None:
    small.gateway.sendall(record(7) + record(3))
    assert [small.take()[:2] for _ in range(2)] == [(7, 3), (3, 0)]


def test_an_actor_leaves_what_it_has_not_begun_when_it_finds_the_end_of_the_connection(small: Actor) -> None:
    small.gateway.sendall(record(8))
    assert small.begun[8].wait(PATIENCE_S)
    small.gateway.sendall(record(3) + record(5))
    small.gateway.shutdown(socket.SHUT_WR)
    small.goes_on.set()
    assert [small.take()[:2] for _ in range(2)] == [(8, 3), (3, 0)]
    small.close()
    assert [step[1] for step in small.steps if step[0] == "works on"] == [[8], [3]]


def test_a_record_may_come_in_pieces(small: Actor) -> None:
    sent = record(3, *range(20_000)) + record(4)
    for start in range(0, len(sent), 50_001):
        small.gateway.sendall(sent[start : start + 50_001])
    assert [small.take()[0] for _ in range(2)] == [3, 4]
    assert [step[1] for step in small.steps if step[0] == "works on"] == [[3, *range(20_000)], [4]]


def test_the_next_ticket_is_worked_on_while_rows_are_on_their_way_but_not_the_one_after_it(large: Actor) -> None:
    for number in (1, 2, 3):
        large.gateway.sendall(record(number))
    assert large.begun[2].wait(PATIENCE_S)  # nothing of the first one has been taken
    assert not large.begun[3].wait(0.05)  # it would write to memory that is still to be sent
    assert [large.take()[0] for _ in range(3)] == [1, 2, 3]


def test_an_actor_ends_with_the_connection_also_while_it_sends(large: Actor) -> None:
    for number in (1, 2):
        large.gateway.sendall(record(number))
    assert large.begun[2].wait(PATIENCE_S)
