"""Supervisors are asked at the same time, and one that hangs costs the others nothing. Those here are threads that say what a test wants."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loader.ipc.control_socket import SocketFolder
from loader.watch.asking import Ended, NoAnswer, ask_all
from loader.watch.client import loaders
from tests.unit.watch.statuses import status

LONG_S = 60.0
SHORT_S = 1.5


class Pretended:
    """A socket of a supervisor that there is not."""

    def __init__(self, path: Path, backlog: int = 128) -> None:
        self.address = str(path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.address)
        self.listener.listen(backlog)

    def serve(self, reply: Callable[[socket.socket], None]) -> None:
        """Reply to one client, in a thread."""

        def run() -> None:
            connection, _ = self.listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                reply(connection)

        threading.Thread(target=run, daemon=True).start()


@pytest.fixture
def pretend(tmp_path: Path) -> Iterator[Callable[..., Pretended]]:
    made: list[Pretended] = []

    def make(*given: int) -> Pretended:
        made.append(Pretended(tmp_path / f"{len(made)}", *given))
        return made[-1]

    yield make
    for one in made:
        one.listener.close()


def says(text: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(text)


def in_pieces(connection: socket.socket) -> None:
    for byte in b'{"name": "slow"}\n':
        connection.sendall(bytes([byte]))


def ask(*supervisors: Pretended, within_s: float) -> list[dict[str, object] | NoAnswer]:
    return ask_all([one.address for one in supervisors], {"do": "status"}, time.monotonic() + within_s)


def test_all_are_asked_and_the_answers_are_in_the_order_of_the_questions(pretend: Callable[..., Pretended]) -> None:
    first, second = pretend(), pretend()
    first.serve(in_pieces)
    second.serve(says(b'{"name": "quick"}\n'))
    assert ask(first, second, within_s=LONG_S) == [{"name": "slow"}, {"name": "quick"}]
    assert ask(within_s=LONG_S) == []


@pytest.mark.parametrize("full", [False, True], ids=["it takes the question", "so many have asked it that no more can"])
def test_one_that_hangs_takes_no_time_from_the_others(pretend: Callable[..., Pretended], full: bool) -> None:
    hanging, other = pretend(0), pretend()
    with contextlib.ExitStack() as stack:
        for _ in range(2 * full):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            client.connect_ex(hanging.address)
        other.serve(says(b'{"name": "other"}\n'))
        silence, answer = ask(hanging, other, within_s=SHORT_S)
    assert answer == {"name": "other"}
    assert isinstance(silence, NoAnswer)
    assert not isinstance(silence, Ended)


def test_who_finds_room_in_the_queue_later_is_answered_still(pretend: Callable[..., Pretended]) -> None:
    busy = pretend(0)
    with socket.socket(socket.AF_UNIX) as before:
        before.connect(busy.address)

        def serve() -> None:
            time.sleep(0.1)
            busy.listener.accept()[0].close()
            busy.serve(says(b"{}\n"))

        threading.Thread(target=serve, daemon=True).start()
        assert ask(busy, within_s=LONG_S) == [{}]


def test_one_that_has_ended_or_talks_nonsense_is_no_answer(pretend: Callable[..., Pretended], tmp_path: Path) -> None:
    gone, leaving, wild = pretend(), pretend(), pretend()
    gone.listener.close()
    leaving.serve(lambda connection: None)
    wild.serve(says(b"{NaN\n"))
    missing = str(tmp_path / "nothing")
    answers = ask_all([gone.address, missing, leaving.address, wild.address], {}, time.monotonic() + LONG_S)
    assert [type(one) for one in answers] == [Ended, Ended, Ended, NoAnswer]
    assert "not JSON" in str(answers[-1])


def test_of_a_hundred_loaders_each_is_found_those_that_hang_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    place = SocketFolder(tmp_path / "loader", create=True)
    made = [Pretended(Path(place.address(f"{1000 + number}.sock"))) for number in range(100)]
    try:
        for number, one in enumerate(made):
            if number % 10:
                one.serve(says(json.dumps(status(name=f"{number:03}")).encode() + b"\n"))
        made[0].listener.close()  # killed: nobody listens any more
        with loaders(answer_s=3.0) as found:
            assert len(found) == 99
            assert {one.pid for one in found if one.stats is None} == {1000 + number for number in range(10, 100, 10)}
            assert all(one.name == f"{one.pid - 1000:03}" for one in found if one.stats is not None)
        assert not os.path.exists(made[0].address)
    finally:
        for one in made:
            one.listener.close()
        place.close()


def test_one_that_ends_while_it_is_asked_is_not_among_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    place = SocketFolder(tmp_path / "loader", create=True)
    ending, crowded = (Pretended(Path(place.address(f"{pid}.sock"))) for pid in (1000, 1001))

    def end(connection: socket.socket) -> None:
        os.unlink(ending.address)
        ending.listener.close()

    ending.serve(end)
    crowded.serve(lambda connection: None)  # it closes the connection, and listens on
    try:
        with loaders(answer_s=LONG_S) as found:
            assert [(one.pid, one.status) for one in found] == [(1001, None)]
    finally:
        crowded.listener.close()
        place.close()
