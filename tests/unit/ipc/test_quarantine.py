"""How many samples may be bad, and the report of them: JSON lines, whoever was killed while it wrote one."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from loader.errors import SampleError
from loader.ipc.quarantine import BadEntry, ErrorBudget, Quarantine


def entry(index: int, traceback: str = "") -> BadEntry:
    return BadEntry(time="2024-01-01T00:00:00.000+00:00", path=None, index=index, reason="it is bad", traceback=traceback)


def indices_in(path: Path) -> list[int]:
    return [json.loads(line)["index"] for line in path.read_text().splitlines()]


def test_lines_follow_one_another_without_empty_ones(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    for index in range(3):
        report = Quarantine(str(path))
        report.append(entry(index))
        report.append(entry(index + 10))
        report.close()
    assert indices_in(path) == [0, 10, 1, 11, 2, 12]


def test_half_a_line_that_a_killed_writer_left_costs_no_other_one(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    report = Quarantine(str(path))
    report.append(entry(1))
    with path.open("a") as other:
        other.write('{"time": "2024')
    report.append(entry(2))
    report.append(entry(3))
    first, half, *rest = path.read_text().splitlines()
    assert half == '{"time": "2024'
    assert [json.loads(line)["index"] for line in (first, *rest)] == [1, 2, 3]
    report.close()


def test_several_writers_at_a_time_leave_whole_lines_only(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    children = []
    for child in range(3):
        pid = os.fork()
        if not pid:
            report = Quarantine(str(path))
            for number in range(200):
                report.append(entry(child * 1000 + number, "x" * 10_000))
            os.kill(os.getpid(), signal.SIGKILL)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    assert sorted(indices_in(path)) == [child * 1000 + number for child in range(3) for number in range(200)]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_report_may_be_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    report = Quarantine(str(path))
    report.append(entry(7))
    assert json.loads(os.read(reader, 1000))["index"] == 7
    report.close()
    os.close(reader)


def error(index: int) -> SampleError:
    return SampleError(index=index, name=None, reason="broken")


def test_a_bound_counts_different_samples_and_those_within_it_stay_tolerated() -> None:
    for bound in (2, 0.25):
        known = ErrorBudget(8, bound, None)
        assert [known.note(error(index)) for index in (5, 5, 1)] == [None] * 3
        for _ in range(2):
            beyond = known.note(error(3))
            assert beyond is not None
            assert "3 different samples have been bad" in beyond.reason
            assert f"max_errors={bound}" in beyond.reason
        assert known.note(error(5)) is None
        assert len(known) == 3
        assert known.first is not None
        assert known.first.index == 5


def test_what_was_bad_before_is_within_the_bound_or_not_as_it_was_then() -> None:
    known = ErrorBudget(8, 2, None)
    for index in (5, 1, 3):
        known.recall(index)
    assert [known.note(error(index)) is None for index in (5, 1, 3, 4)] == [True, True, False, False]
    assert len(known) == 4


def test_without_a_bound_all_may_be_bad() -> None:
    known = ErrorBudget(3, None, None)
    assert [known.note(error(index)) for index in range(3)] == [None] * 3
