"""Large pages for the arena: they come while the loader works, and change nothing that it delivers."""

from __future__ import annotations

import errno
import os
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from loader import Loader, NpyArrays
from loader.data.address_region import LARGE_PAGE, collapse
from loader.ipc import memfd
from loader.supervise.large_pages import LargePages

ROW = (64, 1024)  # float32: 256 KiB


def _large_bytes(pid: int) -> int:
    """Return how much of the arena a process sees in large pages."""
    found, here = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if "memfd:" in line:
            here = "arena" in line
        elif here and line.startswith("ShmemPmdMapped"):
            found += int(line.split()[1]) * 1024
    return found


def _supervisor(loader: Loader) -> int:
    return int(Path(f"/proc/{loader.stats().workers[0].pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def _children(pid: int) -> set[int]:
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def _until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return condition()


@pytest.fixture(scope="module", autouse=True)
def _made_on_demand() -> None:
    fd = memfd.create("probe", 2 * LARGE_PAGE)
    for _ in memfd.allocate(fd, 2 * LARGE_PAGE):
        pass
    made = collapse(memfd.attach(fd)[:LARGE_PAGE])
    os.close(fd)
    if not made:
        pytest.skip("this system makes no large pages on demand (Linux 6.1)")


@pytest.fixture
def rows() -> np.ndarray:
    return np.arange(40 * 64 * 1024, dtype=np.float32).reshape(40, *ROW)


def test_a_large_arena_gets_them_while_batches_are_taken_and_batches_stay_the_same(rows: np.ndarray) -> None:
    with Loader(NpyArrays(rows), 16, workers=1, slots=6) as loader:
        batches = loader.batches()

        def same() -> bool:
            for first in (0, 16, 32):
                (x,) = next(batches)
                np.testing.assert_array_equal(x, rows[first : first + 16])
            return _large_bytes(os.getpid()) > 0 and _large_bytes(loader.stats().workers[0].pid) > 0

        assert _until(same)
        family = {worker.pid for worker in loader.stats().workers}
        assert _until(lambda: _children(_supervisor(loader)) == family)


def test_the_end_of_the_process_that_makes_them_harms_nobody(rows: np.ndarray) -> None:
    with Loader(NpyArrays(rows), 16, workers=1, slots=40) as loader:
        next(loader.batches())
        supervisor, workers = _supervisor(loader), {worker.pid for worker in loader.stats().workers}
        assert _until(lambda: bool(_children(supervisor) - workers))
        (maker,) = _children(supervisor) - workers
        os.kill(maker, signal.SIGKILL)
        assert _until(lambda: _children(supervisor) == workers)
        np.testing.assert_array_equal(np.concatenate([x for (x,) in loader]), rows)
        assert {worker.pid for worker in loader.stats().workers} == workers


def test_they_are_made_once_and_not_for_a_small_arena() -> None:
    with select.epoll() as epoll:
        for nbytes, children in ((16 * 2**20 - 1, 0), (16 * 2**20, 1)):
            pages = LargePages(memfd.shared_with_forks("arena", nbytes), epoll)
            started = 0
            for now in (0.0, 0.9, 1.0, 2.0, 3.0):
                pages.look(now)
                started += pages.fd >= 0
                pages.end()
            assert started == children


def test_a_system_that_has_no_process_or_descriptor_for_it_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> int:
        raise OSError(errno.EMFILE, "refused")

    before = _children(os.getpid())
    for call in ("pidfd_open", "fork"):
        with select.epoll() as epoll, monkeypatch.context() as patch:
            patch.setattr(os, call, refused)
            pages = LargePages(memfd.shared_with_forks("arena", 16 * 2**20), epoll)
            for now in (0.0, 2.0, 3.0):
                pages.look(now)
            pages.end()
    assert _children(os.getpid()) <= before
