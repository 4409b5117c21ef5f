"""Lines lie in a memfd: they come out as they went in, whoever was killed meanwhile, and take no more memory than they may."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from loader.ipc.line_file import LIMIT_BYTES, LINE_BYTES, LineFile, records_in

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="the pool needs Linux")

MIB = 1 << 20


@pytest.fixture
def output() -> Iterator[LineFile]:
    made = LineFile.create("output", LIMIT_BYTES)
    yield made
    made.close()


@pytest.fixture
def journal() -> Iterator[LineFile]:
    made = LineFile.create("journal")
    yield made
    made.close()


def kept_bytes(output: LineFile) -> int:
    return os.fstat(output.fd).st_blocks * 512


def test_what_is_written_comes_out_once_and_in_order(output: LineFile) -> None:
    assert output.read() == (b"", 0)
    for piece in (b"one\n", b"two", b"\x00three\n"):
        os.write(output.fd, piece)
        assert output.read() == (piece, 0)
    assert output.read() == (b"", 0)


def test_processes_append_to_what_others_have_written(output: LineFile) -> None:
    os.write(output.fd, b"a\n")
    subprocess.run(["sh", "-c", "echo b; echo c >&2"], stdout=output.fd, stderr=output.fd, check=True)
    os.write(output.fd, b"d\n")
    assert output.read() == (b"a\nb\nc\nd\n", 0)


def test_memory_of_what_was_read_is_given_back(output: LineFile) -> None:
    for number in range(64):
        piece = bytes([number]) * MIB
        os.write(output.fd, piece)
        assert output.read() == (piece, 0)
        assert kept_bytes(output) <= 3 * MIB


@pytest.mark.parametrize("trimmed", [False, True])
def test_of_a_flood_the_end_is_kept_and_the_rest_counted(output: LineFile, trimmed: bool) -> None:
    writer = LineFile(output.fd, LIMIT_BYTES)  # in the supervisor it is another object over the same memory
    for number in range(50):
        os.write(output.fd, bytes([65 + number % 26]) * MIB)
        if trimmed:
            writer.trim()
            assert kept_bytes(output) <= LIMIT_BYTES + 2 * MIB
    raw, dropped = output.read()
    assert dropped == 50 * MIB - LIMIT_BYTES
    assert raw == b"".join(bytes([65 + number % 26]) * MIB for number in range(42, 50))
    assert kept_bytes(output) <= MIB


def test_who_empties_it_does_not_end_it(output: LineFile) -> None:
    os.write(output.fd, b"x" * 3 * MIB)
    output.read()
    os.ftruncate(output.fd, 0)  # as `echo > /dev/stderr` does
    os.write(output.fd, b"again\n")
    assert output.read() == (b"again\n", 0)


def test_each_record_is_read_once_and_in_order(journal: LineFile) -> None:
    assert journal.records() == []
    for number in range(5):
        journal.append({"number": number})
    assert [record["number"] for record in journal.records()] == list(range(5))
    journal.append({"text": "äöü\n"})
    assert journal.records() == [{"text": "äöü\n"}]
    assert journal.records() == []


def test_what_many_processes_append_at_a_time_arrives_whole(journal: LineFile) -> None:
    children = []
    for child in range(4):
        pid = os.fork()
        if not pid:
            for number in range(300):
                journal.append({"child": child, "number": number, "text": "x" * (number * 20)})
            os._exit(0)
        children.append(pid)
    found = []
    while children or (rest := journal.records()):
        found += journal.records() if children else rest
        if children and os.waitpid(children[0], os.WNOHANG)[0]:
            del children[0]
    for child in range(4):
        assert [record["number"] for record in found if record["child"] == child] == list(range(300))
    assert all(len(record["text"]) == record["number"] * 20 for record in found)


def test_the_beginning_of_a_line_that_a_killed_process_left_spoils_no_other_one(journal: LineFile) -> None:
    journal.append({"number": 1})
    os.write(journal.fd, b'\n{"number": 2, "te')
    assert journal.records() == [{"number": 1}]
    journal.append({"number": 3})
    assert journal.records() == [{"number": 3}]
    os.write(journal.fd, b"\n[4]\n")
    assert journal.records() == []


def test_a_long_record_is_cut_from_the_front_of_its_longest_text(journal: LineFile) -> None:
    journal.append({"index": 7, "reason": "short", "trace": "a" * 10**6 + "the end"})
    assert os.fstat(journal.fd).st_size <= LINE_BYTES
    (record,) = journal.records()
    assert (record["index"], record["reason"]) == (7, "short")
    assert record["trace"].endswith("the end")
    assert len(record["trace"]) > LINE_BYTES // 2


def test_what_has_been_read_takes_no_memory(journal: LineFile) -> None:
    for _ in range(100):
        for _ in range(20):
            journal.append({"text": "x" * 5_000})
        assert len(journal.records()) == 20
    assert os.fstat(journal.fd).st_size > 9_000_000
    assert os.fstat(journal.fd).st_blocks * 512 < 500_000


def test_a_writer_killed_at_any_moment_leaves_a_journal_that_can_be_read(journal: LineFile) -> None:
    for round_ in range(20):
        pid = os.fork()
        if not pid:
            while True:
                journal.append({"text": "x" * 60_000})
        while not journal.records():
            pass
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        journal.append({"round": round_})
        assert journal.records()[-1] == {"round": round_}


def test_the_beginning_of_a_line_waits_for_its_end(output: LineFile) -> None:
    os.write(output.fd, b"one\ntw")
    assert output.read(whole_lines=True) == (b"one\n", 0)
    assert output.read(whole_lines=True) == (b"", 0)
    os.write(output.fd, b"o\n")
    assert output.read(whole_lines=True) == (b"two\n", 0)


@pytest.mark.parametrize("line", [b'{"name": "a', b'b": 3}', b"17", b"null", b"\xff"])
def test_half_a_line_is_no_record(line: bytes) -> None:
    assert records_in(b'\n{"a": 1}\n' + line + b'\n{"a": 2}\n') == [{"a": 1}, {"a": 2}]


def test_without_a_limit_nothing_is_dropped(journal: LineFile) -> None:
    for number in range(200):
        journal.append({"number": number, "text": "x" * (LINE_BYTES - 100)})
    assert os.fstat(journal.fd).st_size > LIMIT_BYTES
    journal.trim()
    assert [record["number"] for record in journal.records()] == list(range(200))
