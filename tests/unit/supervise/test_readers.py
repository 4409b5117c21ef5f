"""Those that attach to a shared loader may do what they like: the supervisor goes on, and holds no more than it has to."""

from __future__ import annotations

import contextlib
import os
import resource
import select
from collections.abc import Iterator
from typing import Any

import pytest

from loader.ipc import memfd
from loader.ipc.board import Board, SupervisorCell
from loader.ipc.channels import Outlet, open_pipe
from loader.ipc.records import Released
from loader.supervise.readers import Readers
from loader.supervise.schedule.schedule import Schedule
from loader.supervise.sharing.shared_pool import SharedPool
from tests.plans import sample_batches

REQUEST: dict[str, Any] = {"name": "pool", "epoch": 0, "batch": 0, "settings": {}}
NEEDED = 7  # descriptors of a reader, at both ends: its pidfd, two pipes, arena, board


class Pool:
    """What a supervisor has when readers come, without workers."""

    def __init__(self) -> None:
        self.arena, board, self._ready = memfd.create("arena", 4096), Board.create(1), open_pipe()
        self.fds = [self.arena, board, *self._ready]
        self.board = Board(board, 1)
        self.board.told.write_text({"settings": {}})
        self.schedule = Schedule(sample_batches(100, 10), slots=6, capacity=1, blocks=None, row_ns=1.0, cores=1, shared=True)
        self.epoll = select.epoll()
        shared = SharedPool(name="pool", arena=self.arena, arena_bytes=4096, board=board, batches=10, rank=0, world=1, lag="split")
        self.readers = Readers(shared, self.board, self.schedule, self.epoll, Outlet(self._ready[1]))

    @property
    def attached(self) -> int:
        return self.board.supervisor[SupervisorCell.READERS_GAUGE]

    def close(self) -> None:
        for number in range(1, 33):
            self.readers.leave(number)
        self.epoll.close()
        for fd in self.fds:
            os.close(fd)


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool()
    yield made
    made.close()


def open_files() -> set[int]:
    return {fd for fd in range(1024) if os.path.lexists(f"/proc/self/fd/{fd}")}


@contextlib.contextmanager
def only_free(count: int) -> Iterator[None]:
    """Let this process open so many descriptors and no more."""
    taken = open_files()
    free = (number for number in range(max(taken) + count + 2) if number not in taken)
    limit = next(number for place, number in enumerate(free) if place == count)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("missing", range(1, NEEDED + 1))
def test_a_supervisor_that_may_open_no_more_files_refuses_and_keeps_nothing_open(pool: Pool, missing: int) -> None:
    before = open_files()
    with only_free(NEEDED - missing):
        answer, given, _ = pool.readers.attach(REQUEST, os.getpid())
    assert f"(pid {os.getpid()}) needs: Too many open files; allow the script" in answer["error"]
    assert (given, pool.attached, open_files()) == ([], 0, before)
    with only_free(NEEDED):
        answer, given, failed = pool.readers.attach(REQUEST, os.getpid())
    assert (answer["attached"], len(given), pool.attached) == (1, 4, 1)
    failed()
    for fd in given:
        os.close(fd)
    assert open_files() == before


def test_a_reader_that_writes_without_end_does_not_hold_up_the_loop(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    _, given, _ = pool.readers.attach(REQUEST, os.getpid())
    inbox = given[2]
    release = Released(0, 1).pack()
    os.set_blocking(inbox, False)

    def more(*_: Any) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(inbox, release)

    more()
    monkeypatch.setattr(pool.schedule, "released", more)  # whatever is read is followed by more
    ((fd, _),) = pool.epoll.poll(0)
    assert pool.readers.notice(fd)
    assert pool.epoll.poll(0) == [(fd, select.EPOLLIN)]
    for fd in given:
        os.close(fd)
