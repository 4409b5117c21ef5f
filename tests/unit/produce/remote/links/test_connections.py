"""Who may connect to the gateway, and what becomes of those that end."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from loader.ipc.channels import wait_readable
from loader.ipc.records import Ticket, TicketKind
from loader.produce.remote.links.connections import Came, Connected, Connections, Ended, Event
from loader.produce.remote.links.link import TOKEN_BYTES
from loader.produce.remote.links.serving import serve

SLOT = np.zeros(64, np.uint8)


@pytest.fixture
def connections() -> Iterator[Connections]:
    SLOT[:] = 0
    made = Connections("127.0.0.1", lambda worker, number, following, rows: [memoryview(SLOT)[:rows]])
    yield made
    made.close()


def take(connections: Connections, wanted: Callable[[Event], bool]) -> list[Event]:
    """Return events up to the first that is wanted."""
    found: list[Event] = []
    while not any(map(wanted, found)):
        assert wait_readable([connections.fileno()], 10)
        found += connections.events()
    return found


def start(connections: Connections, worker: int, fails: bool = False) -> threading.Thread:
    def work(asked: Ticket, killers: object) -> tuple[int, bytes, list[np.ndarray]]:
        if fails:
            raise SystemExit
        return asked.rows, b"", [np.full(asked.rows, worker, np.uint8)]

    def act(token: bytes) -> None:
        with contextlib.suppress(SystemExit, OSError):
            serve(connections.address, token, work, lambda tickets: None)

    actor = threading.Thread(target=act, args=(connections.expect(worker),))
    actor.start()
    take(connections, lambda event: event == Connected(worker))
    return actor


def ticket(number: int, rows: int = 8) -> Ticket:
    return Ticket(number, TicketKind.ROWS, 0, 0, 0, rows)


def test_each_actor_is_known_by_its_token(connections: Connections) -> None:
    actors = [start(connections, worker) for worker in (5, 6)]
    for worker in (6, 5):
        connections.link(worker).send(ticket(10 + worker))
        (came,) = take(connections, lambda event: isinstance(event, Came))
        assert isinstance(came, Came)
        assert (came.worker, came.arrived.ticket, came.arrived.written) == (worker, 10 + worker, True)
        assert (SLOT[:8] == worker).all()
    for worker in (5, 6):
        connections.end(worker)
    for actor in actors:
        actor.join()
    with pytest.raises(KeyError):
        connections.link(5)


def test_who_has_no_token_is_turned_away_and_disturbs_nobody(connections: Connections) -> None:
    actor = start(connections, 5)
    silent = socket.create_connection(connections.address)
    with socket.create_connection(connections.address) as stranger:
        stranger.sendall(bytes(TOKEN_BYTES + 100))
        connections.link(5).send(ticket(1))
        take(connections, lambda event: isinstance(event, Came))
        while wait_readable([connections.fileno()], 0.2):
            assert not list(connections.events())
        stranger.settimeout(10)
        with contextlib.suppress(ConnectionError):
            assert not stranger.recv(100)
    silent.close()
    connections.end(5)
    actor.join()


def test_a_token_is_good_for_one_connection(connections: Connections) -> None:
    token = connections.expect(5)
    with socket.create_connection(connections.address) as first, socket.create_connection(connections.address) as second:
        for each in (first, second):
            each.sendall(token)
        found = take(connections, lambda event: event == Connected(5))
        while wait_readable([connections.fileno()], 0.2):
            found += connections.events()
        assert found == [Connected(5)]
    assert [event for event in take(connections, lambda event: isinstance(event, Ended)) if not isinstance(event, Ended)] == []


def test_an_actor_that_ends_is_told_of_once(connections: Connections) -> None:
    actor = start(connections, 5, fails=True)
    connections.link(5).send(ticket(1))
    (ended,) = take(connections, lambda event: isinstance(event, Ended))
    assert isinstance(ended, Ended)
    assert isinstance(ended.error, ConnectionError)
    actor.join()
    connections.end(5)  # has ended already


def test_many_that_say_nothing_are_ended_the_oldest_first(connections: Connections) -> None:
    silent = [socket.create_connection(connections.address) for _ in range(70)]
    while wait_readable([connections.fileno()], 0.2):
        list(connections.events())
    silent[0].settimeout(10)
    assert silent[0].recv(1) == b""
    for each in silent:
        each.close()


def test_without_a_descriptor_nobody_is_let_in_for_a_moment_and_the_gateway_does_not_spin(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [time.monotonic()]
    monkeypatch.setattr("loader.produce.remote.links.connections.time.monotonic", lambda: now[0])
    with socket.create_connection(connections.address) as waiting:
        waiting.sendall(connections.expect(5))
        assert wait_readable([connections.fileno()], 10)
        spare = [os.dup(0) for _ in range(8)]  # what is taken below is not all that this process needs
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(spare), hard))
        try:
            assert not list(connections.events())
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for each in spare:
                os.close(each)
        assert not wait_readable([connections.fileno()], 0)
        assert not list(connections.events())
        now[0] += 2
        found = list(connections.events())  # as the gateway does once a second
        assert found or take(connections, lambda event: event == Connected(5)) == [Connected(5)]
