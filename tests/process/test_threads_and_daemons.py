"""Threads in the supervisor, which its forks do not have, and processes that code of the user's starts and that outlive whoever started them."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import mmap
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import Loader, MapSource, NpyArrays, SampleTimeout
from tests.batches import assert_same, copied, inline, inline_first, take, take_until_replaced
from tests.processes import wait_until

SOURCE = NpyArrays(np.arange(40))
THREADED = """
import sys, threading, time
lock = threading.Lock()
def beat():
    with lock:
        time.sleep(1000)
if "loader.supervise.boot" in sys.modules:
    threading.Thread(target=beat, name="heartbeat", daemon=True).start()
    while not lock.locked():
        time.sleep(0.001)
def wait_for_it():
    with lock:
        pass
"""
WHERE = r"threads .*'heartbeat' \(.*threaded_module\.py, line \d+\).*stays locked"


@pytest.fixture
def threaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module that has a thread, which holds a lock, wherever the pipeline is unpickled."""
    (tmp_path / "threaded_module.py").write_text(THREADED)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "threaded_module", raising=False)
    import threaded_module  # type: ignore[import-not-found]

    return threaded_module


def locks_at(module: Any, index: int) -> Callable[..., Any]:
    def step(sample: Any, rng: np.random.Generator) -> Any:
        if sample[0] == index:
            module.wait_for_it()
        return sample

    return step


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "loader.supervisor" and "has threads" in record.getMessage()]


def test_a_first_sample_that_waits_for_a_lock_of_another_thread_names_the_thread(threaded: Any, caplog: pytest.LogCaptureFixture) -> None:
    loader = Loader(SOURCE, 4, workers=2, transforms=[locks_at(threaded, 0)], sample_timeout_s=1.0)
    with loader, pytest.raises(SampleTimeout, match=WHERE) as caught:
        take(loader)
    assert "in step" in caught.value.remote_traceback
    (warning,) = warnings_of(caplog)
    assert "'heartbeat'" in warning
    assert "What to do" in warning


def test_a_sample_that_waits_for_a_lock_of_another_thread_names_the_thread(threaded: Any, caplog: pytest.LogCaptureFixture) -> None:
    with Loader(SOURCE, 4, workers=2, transforms=[locks_at(threaded, 20)], sample_timeout_s=1.0) as loader:
        with pytest.raises(SampleTimeout, match=WHERE) as caught:
            take(loader)
        assert caught.value.index == 20
    assert len(warnings_of(caplog)) == 1


def test_threads_that_hold_no_lock_are_a_warning_alone(threaded: Any, caplog: pytest.LogCaptureFixture) -> None:
    with Loader(SOURCE, 4, workers=2, transforms=[locks_at(threaded, 1000)]) as loader:
        assert_same(take(loader), inline(SOURCE, 4))
    assert len(warnings_of(caplog)) == 1


def test_threads_that_a_source_starts_when_it_is_opened_are_seen_too(caplog: pytest.LogCaptureFixture) -> None:
    class Opens(MapSource):
        def open(self) -> None:
            import threading
            import time

            threading.Thread(target=time.sleep, args=(1000,), name="opened", daemon=True).start()

    with Loader(Opens(list(range(8))), 4, workers=2) as loader:
        take(loader)
    (warning,) = warnings_of(caplog)
    assert "'opened'" in warning


def test_without_threads_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with Loader(SOURCE, 4, workers=2) as loader:
        take(loader)
    assert not warnings_of(caplog)


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="pyarrow is not installed")
def test_pyarrow_starts_no_thread_where_workers_are_forked(caplog: pytest.LogCaptureFixture) -> None:
    class Imports(MapSource):
        def open(self) -> None:
            importlib.import_module("pyarrow")
            assert len(os.listdir("/proc/self/task")) == 1

    with Loader(Imports(list(range(8))), 4, workers=2) as loader:
        take(loader)
    assert not warnings_of(caplog)


# --- processes that stay --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Return a function that makes a transform which forks a process that stays, for each sample of some; they end with the test."""
    folder = tmp_path / "daemons"
    folder.mkdir()

    def make(*samples: int) -> Any:
        def step(sample: Any, rng: np.random.Generator) -> Any:
            if int(sample[0]) in samples and not (folder / f"at{sample[0]}").exists():
                (folder / f"at{sample[0]}").touch()
                pid = os.fork()
                if not pid:
                    time.sleep(100)
                    os._exit(0)
                (folder / str(pid)).touch()
            return sample

        return step

    yield make
    for path in folder.iterdir():
        with contextlib.suppress(ValueError, ProcessLookupError):
            os.kill(int(path.name), signal.SIGKILL)


@pytest.mark.parametrize("sample", [0, 5], ids=["by the first sample", "in a worker"])
def test_a_process_that_a_transform_has_left_behind_does_not_hide_the_supervisors_death(daemons: Any, sample: int) -> None:
    with Loader(SOURCE, 4, workers=1, transforms=[daemons(sample)]) as loader:
        batches = loader.batches()
        found = [copied(next(batches)) for _ in range(len(loader))]
        os.kill(loader._producer.pid, signal.SIGKILL)
        started = time.monotonic()
        with pytest.warns(RuntimeWarning, match="killed by SIGKILL"):
            found += take_until_replaced(loader, batches)
        assert time.monotonic() - started < 30  # a supervisor that is merely silent is given a minute
    assert_same(found, inline_first(SOURCE, 4, len(found)))


@pytest.mark.parametrize("sample", [0, 5], ids=["by the first sample", "in a worker"])
def test_a_process_that_a_transform_has_left_behind_keeps_no_memory_of_the_arena(daemons: Any, sample: int) -> None:
    with Loader(SOURCE, 4, workers=1, transforms=[daemons(sample)]) as loader:
        take(loader)
        arena = os.dup(loader._producer._supervisor._arena_fd)
    try:
        assert os.fstat(arena).st_size > 10 * mmap.PAGESIZE
        wait_until(lambda: os.fstat(arena).st_blocks * 512 <= mmap.PAGESIZE, "the memory is given back, but for the page in which it ends")
    finally:
        os.close(arena)
