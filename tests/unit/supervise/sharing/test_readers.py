"""Those that attach to a shared loader may do what they like: the supervisor goes on, and holds no more than it has to."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from loader.ipc import memfd
from loader.ipc.board import Board, SupervisorCell, TrainerCell
from loader.ipc.channels import Outlet, open_pipe
from loader.ipc.records import Released
from loader.supervise.schedule.fairness import Gap
from loader.supervise.schedule.schedule import Schedule
from loader.supervise.sharing.readers import Readers
from loader.supervise.sharing.shared_pool import SharedPool
from tests.plans import sample_batches
from tests.processes import only_free, open_files, wait_until

REQUEST: dict[str, Any] = {"name": "pool", "epoch": 0, "batch": 0, "settings": {}}
NEEDED = 7  # descriptors of a reader, at both ends: its pidfd, two pipes, arena, board


class Pool:
    """What a supervisor has when readers come, without workers."""

    def __init__(self, board: int, slots: int = 80) -> None:
        self.arena, self._ready = memfd.create("arena", 4096), open_pipe()
        self.fds = [self.arena, *self._ready]
        self.board = Board(board, 1)
        self.schedule = Schedule(sample_batches(100, 10), slots=slots, capacity=1, blocks=None, row_ns=1.0, cores=1, shared=True)
        self.epoll = select.epoll()
        shared = SharedPool(name="pool", arena=self.arena, arena_bytes=4096, board=board, identity=1, batches=10, rank=0, world=1, lag="split")
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

    def attach(self, pid: int, again: int = 0) -> int:
        """Let a process attach that closes at once all that it is given; return its number."""
        answer, given, _ = self.readers.attach({**REQUEST, "again": again}, pid)
        for fd in given:
            os.close(fd)
        return int(answer["attached"])


@pytest.fixture
def board() -> Iterator[int]:
    fd = Board.create(1)
    Board(fd, 1).told.write_text({"settings": {}})
    yield fd
    os.close(fd)


@pytest.fixture
def pool(board: int) -> Iterator[Pool]:
    made = Pool(board)
    yield made
    made.close()


@pytest.fixture
def others() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes = [subprocess.Popen(["sleep", "1000"]) for _ in range(2)]
    yield processes
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.parametrize("first", ["serves", "closes"])
def test_a_script_that_says_twice_that_it_reads_no_more_ends_nobody(pool: Pool, others: list[subprocess.Popen[bytes]], first: str) -> None:
    _, given, _ = pool.readers.attach(REQUEST, others[0].pid)
    if first == "serves":
        pool.readers.owner.serve()
    else:
        assert pool.readers.owner_ends(died=False)
    pool.readers.owner.serve()
    pool.readers.flush()
    assert pool.attached == 1
    for fd in given:
        os.close(fd)


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
    assert pool.readers.notice([fd]) == []
    assert pool.epoll.poll(0) == [(fd, select.EPOLLIN)]
    for fd in given:
        os.close(fd)


def test_readers_ahead_are_kept_by_what_all_count_on_the_board_and_looked_at_often_meanwhile(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[Any, Any]] = []
    monkeypatch.setattr(pool.schedule, "gaps", lambda: [Gap((1,), (0,), 5)])
    monkeypatch.setattr(pool.schedule, "give_way", lambda ahead, kept: told.append((ahead, kept)))
    pool.attach(os.getpid())
    for step in range(20):
        for number in (0, 1):
            pool.board.reader(number)[TrainerCell.BATCHES] += 1
        pool.readers.look(100 + step * 0.05)
    assert told[-1] == ({0}, {0})
    assert pool.readers.patience_s(1.0) == 0.01
    pool.readers.leave(1)
    assert pool.readers.patience_s(1.0) == 1.0


def test_what_is_left_to_be_said_of_a_reader_that_has_just_gone_concerns_nobody_that_has_got_its_descriptors(
    pool: Pool, others: list[subprocess.Popen[bytes]]
) -> None:
    pool.attach(others[0].pid)
    others[0].kill()
    wait_until(lambda: len(pool.epoll.poll(0)) == 2, "its death, and the end of its pipe")
    fds = [fd for fd, _ in pool.epoll.poll(0)]
    assert pool.readers.notice([fds[0], 999, *fds]) == [999]
    assert pool.attached == 0
    pool.attach(others[1].pid)
    assert pool.readers.notice([]) == []
    assert pool.attached == 1


def test_there_are_no_more_readers_than_rows_on_the_board_whatever_the_slots(pool: Pool) -> None:
    for number in range(1, 33):
        assert pool.attach(os.getpid()) == number
    answer, given, _ = pool.readers.attach(REQUEST, os.getpid())
    assert (answer["error"], given) == ("it has as many readers as a loader can have, 32 beside the script that made it", [])


def test_the_place_of_a_reader_whose_supervisor_has_died_is_kept_until_it_comes(board: int, others: list[subprocess.Popen[bytes]]) -> None:
    with contextlib.closing(Pool(board, slots=4)) as dead:
        dead.attach(others[0].pid)
        row = bytes(dead.board.reader(1).raw)
    Board(board, 1).reader(1).raw[:] = memoryview(row).cast("q")
    with contextlib.closing(Pool(board, slots=4)) as successor:
        answer, _, _ = successor.readers.attach(REQUEST, os.getpid())
        assert answer["error"] == "its 4 slots are enough for the 2 readers that it has; make it with more: slots=8"
        assert successor.attach(others[0].pid, again=1) == 1
    with contextlib.closing(Pool(board, slots=4)) as idle:
        idle.schedule.reader_left(0)  # as of `loader serve`
        assert [idle.attach(process.pid) for process in others] == [1, 2]
        answer, _, _ = idle.readers.attach(REQUEST, os.getpid())
        assert answer["error"].startswith("its 4 slots are enough for the 2 readers")


@pytest.mark.parametrize("nonsense", [2**62, -(2**62), -1])
def test_what_a_script_writes_to_the_board_can_not_end_the_supervisor(pool: Pool, nonsense: int) -> None:
    pool.attach(os.getpid())
    for number in range(1, 5):
        pool.board.reader(number)[TrainerCell.PID_GAUGE] = pool.board.reader(number)[TrainerCell.EPOCH_GAUGE] = nonsense
    answer, given, _ = pool.readers.attach({**REQUEST, "epoch": None}, os.getpid())
    for fd in given:
        os.close(fd)
    assert (answer["attached"], answer["epoch"]) == (2, 0)


def test_a_row_of_the_board_is_kept_for_the_reader_that_writes_there_until_its_new_supervisor_knows_it(
    board: int, others: list[subprocess.Popen[bytes]]
) -> None:
    first, second = (process.pid for process in others)
    with contextlib.closing(Pool(board)) as dead:
        assert [dead.attach(pid) for pid in (first, second, os.getpid())] == [1, 2, 3]
        dead.board.reader(1)[TrainerCell.BATCHES] = 77
        dead.readers.leave(3)
        rows = [bytes(dead.board.reader(number).raw) for number in (1, 2)]
    shown = Board(board, 1)
    for number, row in zip((1, 2), rows, strict=True):
        shown.reader(number).raw[:] = memoryview(row).cast("q")
    others[1].kill()
    others[1].wait()
    with contextlib.closing(Pool(board)) as successor:
        assert successor.attach(os.getpid()) == 2
        assert successor.attach(os.getpid()) == 3
        assert successor.attach(first, again=1) == 1
        assert shown.reader(1)[TrainerCell.BATCHES] == 77
