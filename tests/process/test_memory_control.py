"""The control of memory, on processes that do nothing: allowances, a limit that changes, what it costs."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from loader.errors import MemoryLimitError
from loader.ipc.board import Cells, SupervisorCell
from loader.ipc.records import Exhausted, Resource
from loader.supervise.memory.control import MemoryControl
from loader.supervise.memory.gauges import Gauges, private_bytes, read_statm

pytestmark = pytest.mark.cold

MIB = 2**20
SHARED = 100 * MIB


@pytest.fixture
def pids() -> Iterator[list[int]]:
    sleepers = [subprocess.Popen(["sleep", "1000"]) for _ in range(3)]
    yield [sleeper.pid for sleeper in sleepers]
    for sleeper in sleepers:
        sleeper.kill()
        sleeper.wait()


@pytest.fixture
def room() -> int:
    """What this process, as the supervisor, takes, and 1 GiB for workers."""
    return SHARED + read_statm(os.getpid()).anonymous + 1024 * MIB


def allowance(pid: int) -> int:
    return resource.prlimit(pid, resource.RLIMIT_DATA)[0] - read_statm(os.getpid()).data


def control_of(limit: int, pids: list[int]) -> tuple[MemoryControl, Cells]:
    cells = Cells.private()
    control = MemoryControl(cells, limit, SHARED, is_default=True)
    for number, pid in enumerate(pids):
        control.born(number, pid)
    control.share_out(len(pids))
    return control, cells


def test_workers_share_what_the_limit_leaves(pids: list[int], room: int) -> None:
    control, cells = control_of(room, pids)
    assert all(allowance(pid) == pytest.approx(1024 / 3 * MIB, rel=0.05) for pid in pids)
    assert cells[SupervisorCell.LIMIT_BYTES_GAUGE] == room
    control.gone(0)
    control.share_out(2)
    assert all(allowance(pid) == pytest.approx(512 * MIB, rel=0.05) for pid in pids[1:])


def test_a_worker_that_has_more_than_its_share_keeps_it_at_every_moment(pids: list[int], room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    program = f"import mmap\nkept = mmap.mmap(-1, {700 * MIB}, flags=mmap.MAP_PRIVATE)\nprint(flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as large:
        assert large.stdout is not None
        large.stdout.readline()
        control, _ = control_of(room, [large.pid])
        has = read_statm(large.pid).data - read_statm(os.getpid()).data
        limits: list[dict[int, int]] = [{large.pid: allowance(large.pid)}]
        prlimit = resource.prlimit

        def noted(pid: int, which: int, *value: Any) -> Any:
            found = prlimit(pid, which, *value)
            if value:
                limits.append({**limits[-1], pid: allowance(pid)})
            return found

        monkeypatch.setattr(resource, "prlimit", noted)
        for number, pid in enumerate(pids, 1):
            control.born(number, pid)
        control.share_out(4)
        large.communicate(b"\n")
    assert len(limits) == 5
    assert min(known[large.pid] for known in limits) >= has
    assert all(sum(known.values()) <= 1024 * MIB for known in limits)


def test_a_new_limit_moves_the_allowances_at_once(pids: list[int], room: int) -> None:
    control, cells = control_of(room, pids)
    assert cells[SupervisorCell.LIMIT_IS_DEFAULT_GAUGE]
    control.set_limit(room - 512 * MIB, time.monotonic())
    control.share_out(3)
    assert all(allowance(pid) == pytest.approx(512 / 3 * MIB, rel=0.05) for pid in pids)
    assert cells[SupervisorCell.LIMIT_BYTES_GAUGE] == room - 512 * MIB
    assert not cells[SupervisorCell.LIMIT_IS_DEFAULT_GAUGE]
    (decision,) = control.decisions
    assert "memory_limit changed" in decision[1]


def test_a_new_limit_that_leaves_nothing_for_a_worker_is_refused_with_the_arithmetic(pids: list[int], room: int) -> None:
    control, cells = control_of(room, pids)
    with pytest.raises(MemoryLimitError, match=r"100\.0 MiB arena .* supervisor \+ 4\.0 MiB one worker = .* what to do: allow"):
        control.check(SHARED)
    assert cells[SupervisorCell.LIMIT_BYTES_GAUGE] == room


def test_only_the_whole_allowance_of_a_fresh_worker_is_enough_to_blame_a_sample(pids: list[int], room: int) -> None:
    control, cells = control_of(room, pids[:1])
    assert not control.exhausted(Exhausted(0, 0, False, Resource.MEMORY), 0.0, False, 1)
    assert cells[SupervisorCell.MEMORY_REPLACED] == 1
    assert control.exhausted(Exhausted(0, 0, True, Resource.MEMORY), 0.0, False, 1)
    assert cells[SupervisorCell.MEMORY_REPLACED] == 1


def test_a_worker_whose_allowance_grew_may_have_failed_before_so_its_sample_is_not_blamed(pids: list[int], room: int) -> None:
    control, _ = control_of(room, pids[:2])
    control.gone(1)
    control.share_out(1)
    assert allowance(pids[0]) == pytest.approx(1024 * MIB, rel=0.05)
    assert not control.exhausted(Exhausted(0, 0, True, Resource.MEMORY), 0.0, False, 1)
    assert control.decisions[-1][1].startswith("worker 0 replaced: it used up its allowance of 1,02")


def test_the_carried_on_figure_is_that_of_the_kernel() -> None:
    gauges, pid = Gauges(), os.getpid()
    gauges.look([pid], 0.0)
    kept = bytearray(os.urandom(MIB) * 50)
    found = gauges.look([pid], 0.0)[pid]
    assert found == pytest.approx(private_bytes(pid), rel=0.1)
    assert gauges.look([pid, 2**22 + 1], 0.0)[2**22 + 1] == 0
    assert len(kept) == 50 * MIB


def test_looking_asks_for_pauses_that_make_it_cheap(pids: list[int]) -> None:
    gauges = Gauges()
    for _ in range(5):
        started = time.perf_counter()
        gauges.look(pids, time.monotonic())
        assert gauges.pause_s <= (time.perf_counter() - started) * 250
        assert gauges.pause_s > 0
