"""The connection between the gateway and an actor."""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from loader.errors import ProtocolError
from loader.ipc.channels import wait_readable
from loader.ipc.records import Ticket, TicketKind
from loader.produce.remote.links.link import HEADER, TOKEN_BYTES, Arrived, Link
from loader.produce.remote.links.serving import Work, serve

ROWS = 5000


def ticket(number: int, rows: int = ROWS) -> Ticket:
    return Ticket(number, TicketKind.ROWS, 0, 0, 0, rows)


def rows_of(number: int) -> list[np.ndarray]:
    """Two leaves, and one that is empty."""
    return [np.full((ROWS, 100), number, np.int32), np.zeros((ROWS, 0), np.float32), np.arange(ROWS, dtype=np.float64) + number]


def act(address: tuple[str, int], token: bytes, work: Work) -> None:
    """Be an actor, whose end may be part of the test."""
    with contextlib.suppress(SystemExit, OSError):
        serve(address, token, work, lambda tickets: None)


class Gateway:
    """A link to an actor that runs in a thread, and a slot."""

    def __init__(self, work: Work) -> None:
        self.slot = [np.zeros_like(leaf) for leaf in rows_of(0)]
        self.wanted = True
        token = secrets.token_bytes(TOKEN_BYTES)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.actor = threading.Thread(target=act, args=(listener.getsockname(), token, work))
            self.actor.start()
            connection, _ = listener.accept()
        self.link = Link(connection, self.targets)
        while self.link.token is None:
            assert wait_readable([self.link.fileno()], 10)
            assert self.link.receive() is None
        assert self.link.token == token

    def targets(self, number: int, following: int, rows: int) -> list[memoryview] | None:
        return [memoryview(leaf[:rows].reshape(-1).view(np.uint8)) for leaf in self.slot] if self.wanted else None

    def next(self) -> Arrived:
        while (arrived := self.link.receive()) is None:
            assert wait_readable([self.link.fileno()], 10)
        return arrived

    def close(self) -> None:
        self.link.close()
        self.actor.join()


@pytest.fixture
def gateway() -> Iterator[Callable[..., Gateway]]:
    started: list[Gateway] = []

    def start(work: Work) -> Gateway:
        started.append(Gateway(work))
        return started[-1]

    yield start
    for each in started:
        each.close()


def test_rows_go_to_where_they_are_wanted(gateway: Callable[..., Gateway]) -> None:
    gate = gateway(lambda asked, killers: (ROWS, f"{asked.number} {killers}".encode(), rows_of(asked.number)))
    gate.link.send(ticket(3))
    assert gate.next() == Arrived(3, ROWS, b"3 []", True)
    assert all(np.array_equal(found, wanted) for found, wanted in zip(gate.slot, rows_of(3), strict=True))
    gate.link.send(ticket(4), [11, -12])
    assert gate.next() == Arrived(4, ROWS, b"4 [11, -12]", True)
    assert all(np.array_equal(found, wanted) for found, wanted in zip(gate.slot, rows_of(4), strict=True))


def test_rows_that_nobody_wants_are_dropped(gateway: Callable[..., Gateway]) -> None:
    gate = gateway(lambda asked, killers: (ROWS, b"", rows_of(asked.number)))
    gate.wanted = False
    gate.link.send(ticket(3))
    assert gate.next() == Arrived(3, ROWS, b"", False)
    assert not gate.slot[0].any()
    gate.wanted = True
    gate.link.send(ticket(4))
    assert gate.next().written


def test_a_failure_may_have_some_of_the_rows_or_none(gateway: Callable[..., Gateway]) -> None:
    gate = gateway(lambda asked, killers: (asked.rows, b"why", [leaf[: asked.rows] for leaf in rows_of(asked.number)]))
    for number, rows in ((3, 20), (4, 0)):
        gate.link.send(ticket(number, rows))
        assert gate.next() == Arrived(number, rows, b"why", True)
    assert (gate.slot[0][:20] == 3).all()
    assert not gate.slot[0][20:].any()


def test_rows_that_are_abandoned_while_they_come_are_not_written_further() -> None:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with pytest.MonkeyPatch.context() as patch, far:
        patch.setattr("loader.produce.remote.links.link.tune", lambda connection: None)  # it is not TCP
        slot = np.zeros(1000, np.uint8)
        link = Link(near, lambda number, following, rows: [memoryview(slot)])
        far.sendall(bytes(TOKEN_BYTES))
        assert link.receive() is None
        link.send(ticket(5))
        far.sendall(HEADER.pack(5, 0, 1, 0, 1000) + b"a" * 400)
        assert link.receive() is None
        link.abandon(4)
        far.sendall(b"b" * 100)
        assert link.receive() is None
        link.abandon(5)
        far.sendall(b"c" * 500)
        assert link.receive() == Arrived(5, 1, b"", False)
        assert bytes(slot) == b"a" * 400 + b"b" * 100 + bytes(500)
        link.close()


def test_the_gateway_is_not_woken_for_each_packet_but_for_the_end_of_a_block_and_of_the_connection() -> None:
    slot = np.zeros(1_000_000, np.uint8)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        far = socket.create_connection(listener.getsockname())
        link = Link(listener.accept()[0], lambda number, following, rows: [memoryview(slot)])

    def comes(piece: bytes) -> None:
        far.sendall(piece)
        assert wait_readable([link.fileno()], 10)
        assert link.receive() is None

    comes(bytes(TOKEN_BYTES))
    for number in (5, 6):
        link.send(ticket(number, 1))
    comes(HEADER.pack(5, 6, 1, 0, len(slot)) + b"a" * 1000)
    far.sendall(b"b" * 1000)
    assert not wait_readable([link.fileno()], 0.05)
    comes(b"c" * 500_000)
    far.sendall(b"d" * (len(slot) - 502_000))
    while (arrived := link.receive()) is None:
        assert wait_readable([link.fileno()], 10)
    assert arrived == Arrived(5, 1, b"", True)
    assert bytes(slot) == b"a" * 1000 + b"b" * 1000 + b"c" * 500_000 + b"d" * (len(slot) - 502_000)
    comes(HEADER.pack(6, 0, 1, 0, len(slot)) + b"a" * 1000)
    far.close()
    assert wait_readable([link.fileno()], 10)
    with pytest.raises(ConnectionResetError):
        link.receive()
    link.close()


def test_an_actor_that_ends_is_noticed(gateway: Callable[..., Gateway]) -> None:
    def work(asked: Ticket, killers: Sequence[int]) -> tuple[int, bytes, Sequence[np.ndarray]]:
        raise SystemExit

    gate = gateway(work)
    gate.link.send(ticket(3))
    with pytest.raises(ConnectionError):
        gate.next()


def test_a_block_of_another_size_is_refused(gateway: Callable[..., Gateway]) -> None:
    gate = gateway(lambda asked, killers: (ROWS, b"", rows_of(asked.number)[:1]))
    gate.link.send(ticket(3))
    with pytest.raises(ProtocolError, match="2,000,000 bytes as 5000 rows of ticket 3"):
        gate.next()


@pytest.mark.parametrize(
    ("number", "following", "rows"), [(4, 0, 5), (3, 0, 6), (3, 3, 5), (3, 5, 5)], ids=["another ticket", "more rows", "begun twice", "another begun"]
)
def test_what_was_not_asked_for_is_refused(number: int, following: int, rows: int) -> None:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with pytest.MonkeyPatch.context() as patch, far:
        patch.setattr("loader.produce.remote.links.link.tune", lambda connection: None)  # it is not TCP
        slot = np.zeros(100, np.uint8)
        link = Link(near, lambda number, following, rows: [memoryview(slot)[:rows]])
        far.sendall(bytes(TOKEN_BYTES))
        assert link.receive() is None
        link.send(ticket(3, 5))
        far.sendall(HEADER.pack(number, following, rows, 0, rows) + b"a" * rows)
        with pytest.raises(ProtocolError, match="not asked"):
            link.receive()
        assert not slot.any()
        link.close()


def test_the_connection_to_an_actor_that_reads_nothing_ends() -> None:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with pytest.MonkeyPatch.context() as patch, far:
        patch.setattr("loader.produce.remote.links.link.tune", lambda connection: None)  # it is not TCP
        link = Link(near, lambda number, following, rows: None)
        far.sendall(bytes(TOKEN_BYTES))
        assert link.receive() is None
        with pytest.raises(BlockingIOError, match="reads nothing"):
            link.send(ticket(5), range(1_000_000))
        with pytest.raises(ConnectionResetError):
            link.receive()
        link.close()
