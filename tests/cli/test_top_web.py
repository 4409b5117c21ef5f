"""`loader top --web`: the page, what it is sent, and who may change anything."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest

from loader import Loader
from loader.watch.serving import Server
from loader.watch.top.web import web_server
from tests.batches import take
from tests.cli.commands import COMMAND, run_here
from tests.cli.served import running
from tests.conftest import script_environment
from tests.processes import supervisor_of, wait_until, workers_of

pytestmark = pytest.mark.usefixtures("own_folder")

KEY = "a key"


@pytest.fixture
def key() -> str | None:
    return KEY


@pytest.fixture
def server(key: str | None) -> Iterator[Server]:
    with running(web_server(0, 0.1, key)) as serving:
        yield serving


def ask(server: Server, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Send a request with these headers, whose names have _ for -; return status, headers and content of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


class Viewer:
    """Whoever watches: what a browser gets."""

    def __init__(self, server: Server) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        self.connection.request("GET", "/events")
        self.answer = self.connection.getresponse()

    def next(self) -> dict[str, Any]:
        while not (line := self.answer.readline()).startswith(b"data: "):
            assert line
        return json.loads(line.removeprefix(b"data: "))

    def close(self) -> None:
        self.answer.close()
        self.connection.close()


@pytest.fixture
def viewer(server: Server, train: Loader) -> Iterator[Viewer]:
    made = Viewer(server)
    yield made
    made.close()


def change(server: Server, **changed: Any) -> tuple[int, dict[str, Any]]:
    """Ask for 3 workers as the page does, but for what is `changed`."""
    here = f"127.0.0.1:{server.port}"
    sent = {"Host": here, "Origin": f"http://{here}", "Content_Type": "application/json", "X_Loader_Key": KEY} | changed
    body, path = sent.pop("body"), sent.pop("path", "/workers")
    status, _, content = ask(server, "POST", path, body, **{name: value for name, value in sent.items() if value is not None})
    return status, json.loads(content)


def test_the_page_is_one_file_that_needs_nothing_from_elsewhere(server: Server) -> None:
    status, headers, content = ask(server, "GET", "/")
    assert (status, content) == (200, resources.files("loader.watch.top").joinpath("page.html").read_bytes())
    assert not re.search(rb"https?:|@import|\bsrc=|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", content)
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy


def test_who_watches_is_sent_what_the_loaders_answer_again_and_again(viewer: Viewer, train: Loader) -> None:
    first = viewer.next()
    assert first["may_set"]
    (one,) = first["loaders"]
    assert (one["pid"], one["name"], one["status"]["batches_delivered"]) == (supervisor_of(train), "train", 50)
    take(train)
    wait_until(lambda: viewer.next()["loaders"][0]["status"]["batches_delivered"] == 100, "the new batches are shown")


def test_many_watch_and_one_that_does_not_read_holds_up_nobody(viewer: Viewer, server: Server) -> None:
    others = [Viewer(server) for _ in range(5)]
    for _ in range(20):
        assert [one.next()["loaders"][0]["name"] for one in others[1:]] == ["train"] * 4
    for one in others:
        one.close()


def test_a_loader_that_hangs_is_sent_without_figures(viewer: Viewer, train: Loader) -> None:
    pid = supervisor_of(train)
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: viewer.next()["loaders"] == [{"pid": pid, "name": str(pid), "status": None}], "it is silent")
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: viewer.next()["loaders"][0]["status"] is not None, "it answers")


def test_workers_are_changed_from_the_page(server: Server, train: Loader) -> None:
    pid = supervisor_of(train)
    assert change(server, body=json.dumps({"pid": pid, "workers": 3})) == (200, {"changed": {"workers": {"old": 2, "new": 3}}})
    wait_until(lambda: len(workers_of(train)) == 3, "3 workers run")
    status, answer = change(server, body=json.dumps({"pid": pid, "workers": "auto"}))
    assert (status, answer["changed"]["workers"]["new"]) == (200, "auto (3 now)")
    status, answer = change(server, body=json.dumps({"pid": pid, "workers": 400}))
    assert (status, "must be from 1 to 4" in answer["error"]) == (200, True)
    assert change(server, body=b'{"pid": 1, "workers": 1}') == (200, {"error": "it has ended"})


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"Origin": None}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 403),
        ({"X_Loader_Key": None}, 403),
        ({"X_Loader_Key": "anöther"}, 403),
        ({"Content_Type": "text/plain"}, 404),
        ({"path": "/"}, 404),
        ({"body": b" " * 2000}, 413),
        ({"Content_Length": "-1"}, 413),
        ({"body": b"[" * 500}, 400),
        ({"body": b'{"pid": true, "workers": 3}'}, 400),
        ({"body": b'{"pid": 1, "workers": "3"}'}, 400),
        ({"body": b"[]"}, 400),
    ],
    ids=str,
)
def test_nobody_else_changes_anything(server: Server, train: Loader, changed: dict[str, Any], status: int) -> None:
    body = json.dumps({"pid": supervisor_of(train), "workers": 3}).encode()
    found, answer = change(server, **({"body": body} | changed))
    assert (found, list(answer)) == (status, ["error"])
    assert len(workers_of(train)) == 2


@pytest.mark.parametrize("key", [None])
def test_without_leave_nothing_can_be_changed(server: Server, viewer: Viewer, train: Loader) -> None:
    assert viewer.next()["may_set"] is False
    status, answer = change(server, body=json.dumps({"pid": supervisor_of(train), "workers": 3}))
    assert (status, "--allow-set" in answer["error"]) == (403, True)


@pytest.mark.parametrize("path", ["/", "/events"])
def test_a_name_that_somebody_lets_point_here_is_refused(server: Server, path: str) -> None:
    for host in ("evil.example", f"evil.example:{server.port}", "127.0.0.1.evil.example", "", "localhost.:1:2"):
        assert ask(server, "GET", path, Host=host)[0] == 403, host
    for host in ("localhost", f"localhost:{server.port}", "[::1]:9999", "127.0.0.1:22"):
        assert ask(server, "GET", "/", Host=host)[0] == 200, host
    assert ask(server, "GET", "/etc/passwd")[0] == 404


def test_the_command_prints_the_address_and_ends_with_ctrl_c(train: Loader) -> None:
    command = [*COMMAND, "top", "train", "--web", "--port", "0", "--allow-set"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=script_environment(None))
    try:
        assert process.stdout is not None
        found = re.fullmatch(
            rf"Open http://127\.0\.0\.1:(\d+)/#pid={supervisor_of(train)}&key=(\S{{20,}}) in a browser; .*\n", process.stdout.readline()
        )
        assert found
        with socket.create_connection(("127.0.0.1", int(found[1])), timeout=60) as client:
            client.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.recv(15) == b"HTTP/1.0 200 OK"
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=60) == ("", "")
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("words", [("--port", "80"), ("--allow-set",)])
def test_what_is_for_the_page_is_refused_without_it(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here("top", *words) == 2
    assert "--web" in capsys.readouterr().err


def test_a_port_that_is_taken_is_said_to(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here("top", "--web", "--port", str(server.port)) == 1
    assert f"port {server.port}" in capsys.readouterr().err
