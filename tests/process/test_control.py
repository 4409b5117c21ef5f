"""The control socket of a loader that runs: who asks gets an answer, and nobody else is held up."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import Loader, NpyArrays
from loader.ipc.control_socket import SocketFolder, encode, home
from loader.supervise.operate import control
from loader.watch.client import Found, loaders
from tests.batches import assert_same, copied, inline, take, take_until_replaced
from tests.processes import alive, supervisor_of, wait_until, wait_until_gone, workers_of
from tests.scripts import ITERATING, Script

SOURCE = NpyArrays(np.arange(400 * 50, dtype=np.float32).reshape(400, 50))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let this test's loaders meet in a folder of its own."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path / "loader"


@pytest.fixture
def running(folder: Path) -> Iterator[Loader]:
    with Loader(SOURCE, 8, workers=2, max_workers=5, name="train") as loader:
        take(loader)
        yield loader


def found_loaders() -> list[Found]:
    with loaders() as found:
        return found


def connect(loader: Loader) -> socket.socket:
    place = SocketFolder(home())
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    try:
        client.connect(place.address(f"{supervisor_of(loader)}.sock"))
    finally:
        place.close()
    return client


def answer_to(client: socket.socket, raw: bytes) -> dict[str, Any]:
    client.sendall(raw)
    return read_answer(client)


def read_answer(client: socket.socket) -> dict[str, Any]:
    received = b""
    while not received.endswith(b"\n"):
        piece = client.recv(65536)
        assert piece, "the connection was closed without an answer"
        received += piece
    return json.loads(received)


def ended(client: socket.socket) -> bool:
    try:
        while client.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True


def test_status_is_what_stats_tells_and_who_it_is(running: Loader) -> None:
    wait_until(lambda: not running.stats().slots.free + running.stats().slots.filling, "everything is filled")
    own = running.stats().as_dict()
    with connect(running) as client:
        status = answer_to(client, b'{"do": "status"}\n')
    assert (status["pid"], status["trainer_pid"]) == (supervisor_of(running), os.getpid())
    assert time.time() - 60 < status["started"] <= time.time()
    assert sys.argv[0].endswith(status["script"])
    same = ("name", "epoch", "batches_delivered", "slots", "errors")
    assert {key: status[key] for key in same} == {key: own[key] for key in same}
    assert [worker["samples"] for worker in status["workers"]] == [worker["samples"] for worker in own["workers"]]
    assert set(own) < set(status)


def test_a_loader_without_a_name_is_called_the_same_by_all(folder: Path) -> None:
    with Loader(SOURCE, 8, workers=1) as one, Loader(SOURCE, 8, workers=1, memory_limit="1GiB") as two:
        take(one), take(two)
        assert sorted(found.name for found in found_loaders()) == sorted([one.name, two.name])
        assert {found.status["memory"]["limit_bytes"] for found in found_loaders() if found.status and found.name == two.name} == {2**30}


def test_folder_and_file_are_the_users_alone_and_the_file_goes_with_the_loader(running: Loader, folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [path.name for path in folder.iterdir()] == [f"{supervisor_of(running)}.sock"]
    running.close()
    assert list(folder.iterdir()) == []


def test_it_answers_while_the_trainer_is_stopped(tmp_path: Path, folder: Path) -> None:
    script = Script(ITERATING, tmp_path / "run")
    try:
        script.wait_until_ready()
        wait_until(lambda: any(found.stats and found.stats.samples_per_s for found in found_loaders()), "it has been delivering for a while")
        script.process.send_signal(signal.SIGSTOP)
        before = found_loaders()
        time.sleep(0.2)
        after = found_loaders()
        assert before[0].stats is not None
        assert after[0].stats is not None
        assert before[0].stats.batches_delivered == after[0].stats.batches_delivered > 20
        assert after[0].stats.samples_per_s > 0
        assert after[0].status is not None
        assert (after[0].status["trainer_pid"], after[0].status["script"]) == (script.process.pid, "script.py")
    finally:
        script.process.kill()
        script.process.wait()
    wait_until(lambda: not list(folder.iterdir()), "the supervisor has removed its socket")


def test_set_changes_the_workers_and_not_the_batches(folder: Path) -> None:
    expected = inline(SOURCE, 8, 3, shuffle=True)
    with Loader(SOURCE, 8, workers=2, max_workers=5, shuffle=True) as loader:
        batches = [copied(batch) for batch in loader]
        with connect(loader) as client:
            assert answer_to(client, b'{"do": "set", "workers": 5}\n') == {"changed": {"workers": {"old": 2, "new": 5}}}
            wait_until(lambda: len(workers_of(loader)) == 5, "5 workers run")
            batches += take(loader)
            assert answer_to(client, b'{"do": "set", "workers": 1}\n') == {"changed": {"workers": {"old": 5, "new": 1}}}
            batches += take(loader)
            wait_until(lambda: len(workers_of(loader)) == 1, "1 worker runs")
            for value in (b"6", b"0", b"-1", b"2.5", b'"4"', b"null", b"9" * 3000):
                assert "from 1 to 5" in answer_to(client, b'{"do": "set", "workers": ' + value + b"}\n")["error"]
            assert "workers" in answer_to(client, b'{"do": "set", "colour": 5}\n')["error"]
        assert_same(batches, expected)


def test_set_changes_the_memory_limit_and_lets_the_loader_choose_its_workers(running: Loader) -> None:
    before = running.stats().memory.limit_bytes
    with connect(running) as client:
        changed = answer_to(client, b'{"do": "set", "memory_limit": "300MiB", "workers": "auto"}\n')["changed"]
        assert changed == {"memory_limit": {"old": before, "new": 300 * 2**20}, "workers": {"old": 2, "new": "auto (2 now)"}}
        stats = running.stats().memory
        assert (stats.limit_bytes, stats.limit_is_default) == (300 * 2**20, False)
        assert "1.0 MiB is too little" in answer_to(client, b'{"do": "set", "workers": 3, "memory_limit": 1048576}\n')["error"]
        for value in (b'"much"', b"0", b"-5", b"true", b"null"):
            assert "a size such as" in answer_to(client, b'{"do": "set", "memory_limit": ' + value + b"}\n")["error"]
        assert answer_to(client, b'{"do": "set", "workers": 4}\n') == {"changed": {"workers": {"old": "auto (2 now)", "new": 4}}}
    assert running.stats().memory.limit_bytes == 300 * 2**20


@pytest.mark.filterwarnings("ignore:the supervisor:RuntimeWarning")
def test_what_an_operator_has_set_outlives_the_supervisor(running: Loader) -> None:
    with connect(running) as client:
        answer_to(client, b'{"do": "set", "workers": 3, "memory_limit": "300MiB"}\n')
    wait_until(lambda: len(workers_of(running)) == 3, "3 workers run")
    os.kill(supervisor_of(running), signal.SIGKILL)
    take_until_replaced(running, running.batches())
    wait_until(lambda: len(workers_of(running)) == 3, "the next supervisor runs 3 workers, too")
    assert running.stats().supervisor_restarts == 1
    assert running.stats().memory.limit_bytes == 300 * 2**20


def test_an_operators_word_after_a_resize_to_the_same_number_outlives_the_supervisor_and_one_that_boots(running: Loader) -> None:
    batches = running.batches()
    running.resize(2)
    with connect(running) as client:
        answer_to(client, b'{"do": "set", "workers": "auto", "memory_limit": "300MiB"}\n')
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for restarts in (1, 2):  # the second one is killed at once
            os.kill(running.pid, signal.SIGKILL)
            while running.stats().supervisor_restarts < restarts:
                next(batches)
        next(batches)
    with connect(running) as client:
        status = answer_to(client, b'{"do": "status"}\n')
    assert status["auto"]
    assert status["memory"]["limit_bytes"] == 300 * 2**20


def test_a_killed_supervisors_file_is_removed_by_who_asks_and_by_the_next_start(folder: Path) -> None:
    for remove in (found_loaders, lambda: take(Loader(SOURCE, 8, workers=1))):
        script = Loader(SOURCE, 8, workers=1)
        take(script)
        pid, workers = supervisor_of(script), workers_of(script)
        os.kill(pid, signal.SIGKILL)
        wait_until_gone([pid, *workers])
        assert (folder / f"{pid}.sock").exists()
        remove()
        assert not (folder / f"{pid}.sock").exists()
        script.close()


def goes_on(loader: Loader) -> None:
    take_until_replaced(loader, loader.batches())


@pytest.mark.parametrize("use", [goes_on, Loader.close], ids=["which goes on", "which closes the loader"])
def test_a_killed_supervisors_file_is_removed_by_its_trainer(running: Loader, folder: Path, use: Callable[[Loader], object]) -> None:
    pid, workers = supervisor_of(running), workers_of(running)
    os.kill(pid, signal.SIGKILL)
    wait_until_gone([pid, *workers])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        use(running)
    assert not (folder / f"{pid}.sock").exists()


def test_a_supervisor_that_is_stopped_is_shown_and_holds_up_nobody(running: Loader) -> None:
    with Loader(SOURCE, 8, workers=1, name="other") as other:
        take(other)
        os.kill(supervisor_of(running), signal.SIGSTOP)
        assert [(found.name, found.stats is None) for found in found_loaders()] == [(str(supervisor_of(running)), True), ("other", False)]
        os.kill(supervisor_of(running), signal.SIGCONT)
        assert [(found.name, found.stats is None) for found in found_loaders()] == [("other", False), ("train", False)]


def test_nonsense_is_answered_and_the_connection_stays(running: Loader) -> None:
    with connect(running) as client:
        for line in (
            b"",
            b"[" * 50_000,
            b"\xff",
            b'{"do": NaN}',
            b'{"do": 1e999}',
            b"{}",
            b'{"do": ["status"]}',
            b"6",
            b'{"do": ' + b"9" * 9000 + b"}",
        ):
            assert "error" in answer_to(client, line + b"\n" if line else b"\n\n[]\n")
        assert answer_to(client, b'{"do": "status"}\n')["name"] == "train"
        assert "65,536" in answer_to(client, b"x" * 70_000)["error"]
        assert ended(client)
    take(running)


def test_requests_in_pieces_and_many_at_once_are_answered_in_order(running: Loader) -> None:
    with connect(running) as client:
        for byte in b'{"do": "status"}':
            client.sendall(bytes([byte]))
        assert answer_to(client, b"\n")["name"] == "train"
        client.sendall(b"".join(encode({"do": "set", "workers": 1 + number % 3}) for number in range(12)))
        client.shutdown(socket.SHUT_WR)
        received = b""
        while piece := client.recv(65536):
            received += piece
        answers = [json.loads(line) for line in received.splitlines()]
        assert [answer["changed"]["workers"]["new"] for answer in answers] == [1 + number % 3 for number in range(12)]


class DropsSoon:
    """A transform that changes nothing, and makes the supervisor that it comes to drop clients after one second instead of ten."""

    def __call__(self, sample: Any, rng: np.random.Generator) -> Any:
        return sample

    def __reduce__(self) -> Any:
        return drops_soon, ()


def drops_soon() -> DropsSoon:
    control._IDLE_S = 1.0
    return DropsSoon()


@pytest.fixture
def dropping(folder: Path) -> Iterator[Loader]:
    with Loader(SOURCE, 8, workers=2, transforms=[DropsSoon()], name="train") as loader:
        take(loader)
        yield loader


def test_clients_that_are_silent_or_do_not_read_their_answers_cost_nobody_anything_and_are_dropped(dropping: Loader) -> None:
    with connect(dropping) as silent, connect(dropping) as half, connect(dropping) as client:
        half.sendall(b'{"do": "sta')
        client.setblocking(False)
        request, sent = encode({"do": "status"}) * 100, 0
        deadline = time.monotonic() + 60
        try:
            while time.monotonic() < deadline:
                try:
                    sent += client.send(request)
                except BlockingIOError:
                    time.sleep(0.05)
                take(dropping)
            pytest.fail("it was never dropped")
        except (BrokenPipeError, ConnectionResetError):
            pass
        for _ in range(3):
            assert found_loaders()[0].stats is not None
            take(dropping)
        assert ended(silent)
        assert ended(half)


def test_a_thousand_connections_change_nothing(running: Loader) -> None:
    expected = inline(SOURCE, 8)
    clients: list[socket.socket] = []
    path = SocketFolder(home())
    try:
        address = path.address(f"{supervisor_of(running)}.sock")
        for number in range(1000):
            client = socket.socket(socket.AF_UNIX)
            clients.append(client)
            client.setblocking(False)
            wait_until(lambda client=client: client.connect_ex(address) == 0, "there is room in the queue")
            if number % 3:
                client.send(os.urandom(50) + b"\n" if number % 2 else b'{"do": "status"}\n')
            if number % 100 == 0:
                assert_same(take(running), expected)
                held = len(os.listdir(f"/proc/{supervisor_of(running)}/fd"))
                assert held < 100
        assert [found.name for found in found_loaders() if found.stats is not None] == ["train"]
        assert_same(take(running), expected)
    finally:
        path.close()
        for client in clients:
            client.close()


def test_workers_hold_no_socket(running: Loader) -> None:
    with connect(running) as client:
        assert "changed" in answer_to(client, b'{"do": "set", "workers": 4}\n')
        for pid in workers_of(running, 4):
            targets = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
            assert not [target for target in targets if target.startswith(("socket:", "anon_inode:[eventpoll]", str(home())))]


@pytest.mark.parametrize("how", ["open to others", "a link", "a file"])
def test_where_there_is_no_safe_folder_training_goes_on_without_a_socket(folder: Path, how: str, capfd: pytest.CaptureFixture[str]) -> None:
    if how == "open to others":
        folder.mkdir()
        folder.chmod(0o777)
    elif how == "a link":
        folder.symlink_to(folder.parent)
    else:
        folder.write_text("")
    with Loader(SOURCE, 8, workers=2) as loader:
        assert_same(take(loader, 2), inline(SOURCE, 8, 2))
        assert found_loaders() == []
        loader.close()
    assert capfd.readouterr().err.count("no control socket") == 1


def test_foreign_things_among_the_sockets_do_no_harm(running: Loader, folder: Path) -> None:
    (folder / "1.sock").symlink_to(f"{supervisor_of(running)}.sock")
    (folder / "2.sock").write_text("{}")
    (folder / "x").mkdir()
    with socket.socket(socket.AF_UNIX) as liar:
        liar.bind(str(folder / "3.sock"))
        liar.listen()
        liar.settimeout(20)

        def lie() -> None:
            with liar.accept()[0] as connection, contextlib.suppress(OSError):
                connection.recv(65536)
                connection.send(b'{"name": "liar", "slots": [], "workers": 7, "memory": null}\n')

        thread = threading.Thread(target=lie)
        thread.start()
        found = found_loaders()
        thread.join()  # nobody comes twice: a supervisor has better things to do
    assert [(one.name, one.stats is None) for one in found] == [("3", True), ("train", False)]
    assert alive(supervisor_of(running))
