"""`loader metrics`, read as Prometheus reads it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from loader import Loader
from loader.watch.metrics.server import metrics_server, patience_s
from loader.watch.serving import Server
from tests.batches import take
from tests.cli.commands import COMMAND, run_here
from tests.cli.served import SOURCE, running
from tests.conftest import script_environment
from tests.processes import supervisor_of, wait_until, wait_until_gone, workers_of

pytestmark = pytest.mark.usefixtures("own_folder")

HURRY = {"X-Prometheus-Scrape-Timeout-Seconds": "1"}


@pytest.fixture
def server() -> Iterator[Server]:
    with running(metrics_server("127.0.0.1", 0)) as serving:
        yield serving


def scrape(url: str, **headers: str) -> dict[tuple[str, ...], float]:
    """Return the figures by name, loader and other labels."""
    with urllib.request.urlopen(urllib.request.Request(f"{url}/metrics", headers=headers), timeout=60) as page:
        families = list(text_string_to_metric_families(page.read().decode()))
    return {(one.name, *(text for label, text in one.labels.items() if label != "pid")): one.value for family in families for one in family.samples}


def test_training_is_counted_scrape_after_scrape(server: Server, train: Loader) -> None:
    before = scrape(server.url)
    assert before["loader_up", "train"] == 1
    assert before["loader_batches_delivered_total", "train"] == 50
    assert before["loader_samples_delivered_total", "train"] == 400
    take(train)
    after = scrape(server.url)
    assert after["loader_samples_delivered_total", "train"] == 800
    assert {key for key in after if key[0] == "loader_worker_samples_total"} == {("loader_worker_samples_total", "train", name) for name in "01"}
    growing = [key for key in before.keys() & after.keys() if key[0].endswith("_total")]
    assert growing
    assert all(after[key] >= before[key] for key in growing)


def test_loaders_come_and_go_and_one_that_died_is_counted(server: Server, train: Loader) -> None:
    with Loader(SOURCE, 8, workers=1, name="val") as val:
        take(val)
        assert {key[1] for key in scrape(server.url)} == {"train", "val"}
        (victim, *_) = workers_of(train, 2)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: scrape(server.url)["loader_workers_died_total", "train"] == 1, "the death is counted")
    assert {key[1] for key in scrape(server.url)} == {"train"}


def test_each_reader_of_a_shared_loader_is_counted(server: Server) -> None:
    with Loader(SOURCE, 8, workers=1, name="pool", shared=True) as one, Loader.attach("pool", epoch=0) as other:
        mine, theirs = one.batches(), other.batches()
        for _ in range(5):
            next(mine)
            next(theirs)
        found = scrape(server.url)
        assert [found["loader_reader_batches_delivered_total", "pool", reader] for reader in "01"] == [5, 5]


def test_a_loader_that_hangs_is_down_under_its_name_and_one_that_is_killed_is_gone(server: Server, train: Loader) -> None:
    with Loader(SOURCE, 8, workers=1, name="val") as val:
        take(val)
        scrape(server.url)
        pid = supervisor_of(val)
        os.kill(pid, signal.SIGSTOP)
        found = scrape(server.url, **HURRY)
        assert {key: value for key, value in found.items() if "val" in key} == {("loader_up", "val"): 0}
        assert found["loader_up", "train"] == 1
        os.kill(pid, signal.SIGCONT)
        wait_until(lambda: scrape(server.url)["loader_up", "val"] == 1, "it answers again")
        os.kill(pid, signal.SIGKILL)
        wait_until_gone([pid])
        assert ("loader_up", "val") not in scrape(server.url)


def test_scrapers_that_never_read_or_never_ask_hold_up_nobody_and_are_dropped(server: Server, train: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=60)) for _ in range(8)]
        for client in clients[:4]:
            client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert scrape(server.url)["loader_up", "train"] == 1
    monkeypatch.setattr(server.RequestHandlerClass, "timeout", 0.1)
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as idle:
        assert idle.recv(1) == b""


def test_more_clients_than_there_is_room_for_are_turned_away(server: Server, train: Loader) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=60)) for _ in range(33)]
        assert clients[-1].recv(1) == b""
    wait_until(lambda: _answers(server.url), "there is room again")


def _answers(url: str) -> bool:
    try:
        return bool(scrape(url))
    except OSError:
        return False


def test_other_pages_point_to_the_one_that_there_is(server: Server) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(server.url, timeout=60)
    assert (caught.value.code, caught.value.read()) == (404, b"The figures are at /metrics.\n")


def test_loaders_have_less_time_than_prometheus_waits() -> None:
    assert [patience_s(header) for header in (None, "", "nonsense", "10", "1", "0", "-5")] == [2.0, 2.0, 2.0, 2.0, 0.8, 0.1, 0.1]


def test_the_command_serves_until_ctrl_c(train: Loader) -> None:
    process = subprocess.Popen(
        [*COMMAND, "metrics", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=script_environment(None)
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        url = said.partition("at ")[2].partition("/metrics")[0]
        assert url.startswith("http://127.0.0.1:")
        assert scrape(url)["loader_up", "train"] == 1
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == ("", "")
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


def test_a_port_that_is_taken_is_said_to(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here("metrics", "--port", str(server.port)) == 1
    shown = capsys.readouterr().err
    assert f"port {server.port}" in shown
    assert "--port" in shown


def test_without_the_library_it_says_which_extra_has_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    for name in ("loader.watch.metrics.server", "loader.watch.metrics.prometheus"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert run_here("metrics") == 1
    assert "pip install 'npy-loader[metrics]'" in capsys.readouterr().err
