"""Output of other processes appears in this one's `sys.stdout` and `sys.stderr`, whatever these are."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from loader.ipc.board import Cells
from loader.ipc.logs import HANDLED, to_fields
from loader.train.remote import relay as module
from loader.train.remote.relay import Relay


@pytest.fixture
def relay() -> Iterator[Relay]:
    relay = Relay(Cells.private())
    yield relay
    relay.close()


def say(relay: Relay, text: bytes, name: str = "stdout") -> None:
    os.write(relay.descriptors[name], text)


def test_each_stream_arrives_at_its_own(relay: Relay, capsys: pytest.CaptureFixture[str]) -> None:
    say(relay, b"out\n")
    say(relay, b"err\n", "stderr")
    relay.pass_on()
    assert tuple(capsys.readouterr()) == ("out\n", "err\n")


def test_an_incomplete_line_waits_for_its_end_or_for_the_end_of_its_writers(relay: Relay, capsys: pytest.CaptureFixture[str]) -> None:
    seen = []
    for piece in (b"one\ntw", b"o\nthr", b"ee"):
        say(relay, piece)
        relay.pass_on()
        seen.append(capsys.readouterr().out)
    relay.pass_on(ended=True)
    assert [*seen, capsys.readouterr().out] == ["one\n", "two\n", "", "three"]


def test_a_line_without_an_end_does_not_gather_for_ever(relay: Relay, capsys: pytest.CaptureFixture[str]) -> None:
    say(relay, b"\r50 %" * (module._LONGEST_LINE // 4))
    relay.pass_on()
    assert "50 %" in capsys.readouterr().out


def test_letters_that_are_cut_in_the_middle_are_put_together(relay: Relay, capsys: pytest.CaptureFixture[str]) -> None:
    for byte in "äö→😀\n".encode():
        say(relay, bytes([byte]))
        relay.pass_on()
    say(relay, b"\xff\n")
    relay.pass_on()
    assert capsys.readouterr().out == "äö→😀\n\N{REPLACEMENT CHARACTER}\n"


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [None, closed(), Broken()], ids=["missing", "closed", "broken"])
def test_a_stream_that_takes_nothing_is_no_error(stream: Any, relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", stream)
    say(relay, b"text\n")
    relay.pass_on()


def test_a_terminal_that_lacks_a_letter_shows_its_number(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "ascii"))
    say(relay, "5 → 6\n".encode())
    relay.pass_on()
    assert raw.getvalue() == b"5 \\u2192 6\n"


def test_what_was_dropped_is_said(relay: Relay, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(20):
        say(relay, f"{number:>9}\n".encode() * 100_000)
    relay.pass_on()
    lines = capsys.readouterr().out.splitlines()
    assert "11,611,392 bytes of output were dropped" in lines[1]
    assert lines[-1].split() == ["19"]


def test_the_last_words_are_the_last_lines_of_standard_error(relay: Relay, capsys: pytest.CaptureFixture[str]) -> None:
    say(relay, b"".join(b"%d\n" % number for number in range(50)), "stderr")
    say(relay, b"not this\n")
    relay.pass_on()
    assert relay.last_words().split() == [str(number) for number in range(30, 50)]
    assert relay.last_words() == ""


def test_a_look_just_after_another_costs_nothing_and_loses_nothing(
    relay: Relay, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOOK_S", 60.0)
    relay.look()
    say(relay, b"now\n")
    relay.look()
    assert capsys.readouterr().out == ""
    relay._next_look = 0.0
    relay.look()
    assert capsys.readouterr().out == "now\n"


def test_two_threads_that_relay_at_once_print_each_line_once(relay: Relay, capsys: pytest.CaptureFixture[str]) -> None:
    """As where `as_tf_dataset` takes batches in a thread of TensorFlow and the script asks for `stats()`."""
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            relay.pass_on(patience_s=0.0)

    others = [threading.Thread(target=look) for _ in range(2)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in others:
            thread.start()
        for number in range(2_000):
            say(relay, b"line %d\n" % number)
            relay.pass_on()
    finally:
        sys.setswitchinterval(interval)
        over.set()
        for thread in others:
            thread.join()
    assert capsys.readouterr().out.splitlines() == [f"line {number}" for number in range(2_000)]


class Blocking(logging.Handler):
    """A handler that waits for an event."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.go = threading.Event(), threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.entered.set()
        self.go.wait(60)


def test_a_handler_that_waits_for_the_thread_that_closes_is_no_deadlock() -> None:
    relay, handler = Relay(Cells.private()), Blocking()
    record = logging.LogRecord("theirs", logging.ERROR, "step.py", 1, "said", (), None)
    say(relay, b"\n" + json.dumps({**to_fields(record), "processName": "worker 0", HANDLED: False}).encode() + b"\n", "logs")
    logging.getLogger("theirs").addHandler(handler)
    other = threading.Thread(target=relay.pass_on)
    try:
        other.start()
        handler.entered.wait(60)
        relay.pass_on(patience_s=0.0)
        relay.close()
        assert all(os.fstat(fd) for fd in relay.descriptors.values())
        relay.pass_on(patience_s=0.0)
    finally:
        handler.go.set()
        other.join()
        logging.getLogger("theirs").removeHandler(handler)
        for fd in relay.descriptors.values():
            os.close(fd)


def test_a_finalizer_or_signal_handler_in_the_middle_of_it_may_relay_as_well(relay: Relay, capsys: pytest.CaptureFixture[str]) -> None:
    class Asking(io.StringIO):
        def write(self, text: str) -> int:
            relay.pass_on()
            return super().write(text)

    stream, sys.stdout = sys.stdout, Asking()
    try:
        say(relay, b"line\n")
        relay.pass_on()
        assert sys.stdout.getvalue() == "line\n"
    finally:
        sys.stdout = stream
