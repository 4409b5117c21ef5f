"""What is printed lies in a memfd: it comes out as it went in, and takes no more memory than it may."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from loader.ipc import last_words
from loader.ipc.line_file import LIMIT_BYTES, Output

MIB = 1 << 20


@pytest.fixture
def output() -> Iterator[Output]:
    fd = Output.create("test")
    yield Output(fd)
    os.close(fd)


def kept_bytes(output: Output) -> int:
    return os.fstat(output.fd).st_blocks * 512


def test_what_is_written_comes_out_once_and_in_order(output: Output) -> None:
    assert output.read() == (b"", 0)
    for piece in (b"one\n", b"two", b"\x00three\n"):
        os.write(output.fd, piece)
        assert output.read() == (piece, 0)
    assert output.read() == (b"", 0)


def test_processes_append_to_what_others_have_written(output: Output) -> None:
    os.write(output.fd, b"a\n")
    subprocess.run(["sh", "-c", "echo b; echo c >&2"], stdout=output.fd, stderr=output.fd, check=True)
    os.write(output.fd, b"d\n")
    assert output.read() == (b"a\nb\nc\nd\n", 0)


def test_memory_of_what_was_read_is_given_back(output: Output) -> None:
    for number in range(64):
        piece = bytes([number]) * MIB
        os.write(output.fd, piece)
        assert output.read() == (piece, 0)
        assert kept_bytes(output) <= 3 * MIB


@pytest.mark.parametrize("trimmed", [False, True])
def test_of_a_flood_the_end_is_kept_and_the_rest_counted(output: Output, trimmed: bool) -> None:
    writer = Output(output.fd)  # in the supervisor it is another object over the same memory
    for number in range(50):
        os.write(output.fd, bytes([65 + number % 26]) * MIB)
        if trimmed:
            writer.trim()
            assert kept_bytes(output) <= LIMIT_BYTES + 2 * MIB
    raw, dropped = output.read()
    assert dropped == 50 * MIB - LIMIT_BYTES
    assert raw == b"".join(bytes([65 + number % 26]) * MIB for number in range(42, 50))
    assert kept_bytes(output) <= MIB


def test_who_empties_it_does_not_end_it(output: Output) -> None:
    os.write(output.fd, b"x" * 3 * MIB)
    output.read()
    os.ftruncate(output.fd, 0)  # as `echo > /dev/stderr` does
    os.write(output.fd, b"again\n")
    assert output.read() == (b"again\n", 0)


@pytest.mark.parametrize(
    ("code", "words"),
    [(7, "exited with status 7"), (-9, "killed by SIGKILL (perhaps out of memory?)"), (-11, "killed by SIGSEGV"), (-40, "killed by signal 40")],
)
def test_a_death_in_words(code: int, words: str) -> None:
    assert last_words.in_words(code) == words
