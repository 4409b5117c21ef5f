"""`loader serve` keeps a loader for scripts that come and go."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import Loader, NpyArrays, SupervisorDied
from loader.watch.client import loaders
from tests.batches import assert_same, copied, inline, take
from tests.cli.commands import COMMAND
from tests.conftest import script_environment
from tests.processes import wait_until

SOURCE = NpyArrays(np.arange(80 * 500, dtype=np.float32).reshape(80, 500), np.arange(80, dtype=np.int32))
SCRIPT = """
import numpy as np
from loader import Loader, NpyArrays
def make_loader():
    x = np.arange(80 * 500, dtype=np.float32).reshape(80, 500)
    return Loader(NpyArrays(x, np.arange(80, dtype=np.int32)), 4, shuffle=True, workers=1)
def without():
    return Loader(NpyArrays(np.zeros(8)), 4, workers=0)
"""


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Any]:
    """Return `serve(name, *arguments)`: start the command, and return its process."""
    started: list[subprocess.Popen[str]] = []
    (tmp_path / "data.py").write_text(SCRIPT)

    def begin(function: str, *arguments: str) -> subprocess.Popen[str]:
        words = [*COMMAND, "serve", f"data.py:{function}", *arguments]
        process = subprocess.Popen(words, cwd=tmp_path, env=script_environment(None), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def test_scripts_come_and_go_and_a_supervisor_that_dies_is_replaced_at_once(serve: Any) -> None:
    name = f"served-{os.getpid()}"
    server = serve("make_loader", "--name", name)
    expected = inline(SOURCE, 4, 2, shuffle=True)
    with Loader.attach(name, epoch=0, timeout_s=60) as reader:
        assert_same(take(reader), expected[:20])
        with loaders() as found:
            assert [one.status["script"] for one in found if one.name == name and one.status] == ["data.py"]
    with Loader.attach(name, epoch=0, seed=0) as one, Loader.attach(name, epoch=0) as other:
        batches, others, found = one.batches(), other.batches(), []
        for _ in range(30):
            found.append(copied(next(batches)))
            next(others)
        pid = one.pid
        os.kill(pid, signal.SIGKILL)
        while len(found) < 40:
            found.append(copied(next(batches)))
            next(others)
        assert_same(found, expected)
        wait_until(lambda: one.pid != pid or next(batches) is None, "the next supervisor")
        server.terminate()
        with pytest.raises(SupervisorDied, match="has ended"):
            deque(batches, maxlen=0)


def test_it_ends_when_nobody_has_read_for_a_while(serve: Any) -> None:
    name = f"idle-{os.getpid()}"
    server = serve("make_loader", "--name", name, "--idle-exit", "2")
    with Loader.attach(name, timeout_s=60) as reader:
        take(reader)
        time.sleep(2.5)
        take(reader)
    said, _ = server.communicate(timeout=60)
    assert server.returncode == 0
    assert f"{name}: 20 batches of (x: (500,) float32, y: () int32); attach by Loader.attach('{name}')" in said
    assert f"{name}: nobody has read for 2 s" in said


def test_a_loader_without_a_pool_is_refused(serve: Any) -> None:
    server = serve("without", "--name", "nothing")
    said, _ = server.communicate(timeout=60)
    assert server.returncode == 1
    assert "loader serve: shared=True: with workers=0 there is no pool to share" in said
