from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from loader.ipc.line_file import LINE_BYTES, Journal


@pytest.fixture
def journal() -> Iterator[Journal]:
    made = Journal()
    yield made
    made.close()


def test_each_record_is_read_once_and_in_order(journal: Journal) -> None:
    assert journal.read() == []
    for number in range(5):
        journal.append({"number": number})
    assert [record["number"] for record in journal.read()] == list(range(5))
    journal.append({"text": "äöü\n"})
    assert journal.read() == [{"text": "äöü\n"}]
    assert journal.read() == []


def test_what_many_processes_append_at_a_time_arrives_whole(journal: Journal) -> None:
    children = []
    for child in range(4):
        pid = os.fork()
        if not pid:
            for number in range(300):
                journal.append({"child": child, "number": number, "text": "x" * (number * 20)})
            os._exit(0)
        children.append(pid)
    found = []
    while children or (rest := journal.read()):
        found += journal.read() if children else rest
        if children and os.waitpid(children[0], os.WNOHANG)[0]:
            del children[0]
    for child in range(4):
        assert [record["number"] for record in found if record["child"] == child] == list(range(300))
    assert all(len(record["text"]) == record["number"] * 20 for record in found)


def test_the_beginning_of_a_line_that_a_killed_process_left_spoils_no_other_one(journal: Journal) -> None:
    journal.append({"number": 1})
    os.write(journal.fd, b'\n{"number": 2, "te')
    assert journal.read() == [{"number": 1}]
    journal.append({"number": 3})
    assert journal.read() == [{"number": 3}]
    os.write(journal.fd, b"\n[4]\n")
    assert journal.read() == []


def test_a_long_record_is_cut_from_the_front_of_its_longest_text(journal: Journal) -> None:
    journal.append({"index": 7, "reason": "short", "trace": "a" * 10**6 + "the end"})
    assert os.fstat(journal.fd).st_size <= LINE_BYTES
    (record,) = journal.read()
    assert (record["index"], record["reason"]) == (7, "short")
    assert record["trace"].endswith("the end")
    assert len(record["trace"]) > LINE_BYTES // 2


def test_what_has_been_read_takes_no_memory(journal: Journal) -> None:
    for _ in range(100):
        for _ in range(20):
            journal.append({"text": "x" * 5_000})
        assert len(journal.read()) == 20
    assert os.fstat(journal.fd).st_size > 9_000_000
    assert os.fstat(journal.fd).st_blocks * 512 < 500_000


def test_a_writer_killed_at_any_moment_leaves_a_journal_that_can_be_read(journal: Journal) -> None:
    for round_ in range(20):
        pid = os.fork()
        if not pid:
            while True:
                journal.append({"text": "x" * 60_000})
        while not journal.read():
            pass
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        journal.append({"round": round_})
        assert journal.read()[-1] == {"round": round_}
