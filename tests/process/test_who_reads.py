"""Who reads a shared loader is seen by everybody: by the script that made it, by those that have attached, and by an operator."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import Loader, NpyArrays
from loader.watch.client import loaders
from loader.watch.status import detail, table
from loader.watch.top.screen import screen
from loader.watch.top.watched import View
from tests.conftest import script_environment
from tests.processes import wait_until

SOURCE = NpyArrays(np.zeros((400, 3000), np.float32))
READER = """
import sys, time
from loader import Loader
with Loader.attach("pool", epoch=0) as reader:
    for _ in range(10000):
        for batch in reader:
            time.sleep(float(sys.argv[1]))
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.fixture
def slow_reader() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", READER, "0.4"], env=script_environment({"XDG_RUNTIME_DIR": os.environ["XDG_RUNTIME_DIR"]}))
    yield process
    process.kill()
    process.wait()


def status() -> dict[str, Any]:
    with loaders() as found:
        (one,) = found
        return one.status or {}


def test_readers_are_shown_with_their_pace_and_the_one_that_is_slow_or_stopped(slow_reader: Any) -> None:
    with Loader(SOURCE, 4, workers=1, name="pool", shared=True) as loader, Loader.attach("pool", epoch=0) as reader:
        mine, others = loader.batches(), reader.batches()

        def read_on() -> None:
            for _ in range(5):  # far more than the slow one takes in that time, and a core is left for it
                next(mine)
                next(others)

        def read_until(condition: Any, what: str) -> None:
            wait_until(lambda: read_on() or condition(), what)  # type: ignore[func-returns-value]

        def slow_one() -> dict[str, Any]:
            return next((one for one in status()["readers"] if one["pid"] == slow_reader.pid), {})

        read_until(lambda: slow_one().get("state") == "slow" and not slow_one()["shares_with"], "the slow one goes alone")
        assert [one["number"] for one in status()["readers"]] == [0, 1, 2]
        for seen in (loader.stats(), reader.stats()):
            assert {one.pid for one in seen.readers} == {os.getpid(), slow_reader.pid}
        for handle in (loader, reader):
            read_until(lambda handle=handle: getattr(handle.stats().sharing, "readers", 0) == 3, "all three have taken some")
        os.kill(slow_reader.pid, signal.SIGSTOP)
        read_until(lambda: slow_one()["state"] == "paused", "it has been stopped for long enough")
        with loaders() as found:
            assert f"reader {slow_reader.pid}" in detail(found[0])
            assert "pool" in table(found)
            shown = "\n".join(line.plain for line in screen(View("pool", found[0].status), 80, 40))
        assert "paused, made for it alone" in shown
        assert "× the work of one" in shown
        os.kill(slow_reader.pid, signal.SIGKILL)
        read_until(lambda: len(status()["readers"]) == 2, "it is gone")


def test_the_owner_that_does_not_read_hides_nobody() -> None:
    with Loader(SOURCE, 4, workers=1, name="pool", shared=True) as loader, Loader.attach("pool", epoch=3) as reader:
        loader._producer.keep_for_others()  # type: ignore[attr-defined]
        batches = reader.batches()
        wait_until(lambda: next(batches) and status()["samples_per_s"] > 0, "the rate of the reader")
        wait_until(lambda: [one["number"] for one in status()["readers"]] == [1], "the owner does not read")
        shown = status()
        assert (shown["epoch"] >= 3, shown["trainer_pid"]) == (True, os.getpid())
        assert shown["seconds_since_last_batch"] is not None
        wait_until(lambda: next(batches) and any(status()["last_minute"]["samples_per_s"]), "a second is over")
