"""What others log is handed to this process's loggers: all of it, in order, and no more at once than there is time for."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest

from loader.ipc.board import Cells
from loader.ipc.line_file import LIMIT_BYTES, LineFile
from loader.ipc.logs import HANDLED, to_fields
from loader.train.remote import relay as module
from loader.train.remote.relay import LogRelay


@pytest.fixture
def relay(monkeypatch: pytest.MonkeyPatch) -> Iterator[LogRelay]:
    """One that is not interrupted after some milliseconds."""
    monkeypatch.setattr(module, "_TURN_S", 60.0)
    relay = LogRelay(Cells.private())
    yield relay
    os.close(relay.lines.fd)


def line(message: str, created: float = 0.0, *, level: int = logging.ERROR, handled: bool = False, name: str = "theirs") -> bytes:
    record = logging.LogRecord(name, level, "step.py", 1, message, (), None)
    record.created = created or record.created
    return b"\n" + json.dumps({**to_fields(record), "processName": "worker 0", HANDLED: handled}).encode() + b"\n"


def test_records_are_handed_over_in_the_order_of_time(relay: LogRelay, caplog: pytest.LogCaptureFixture) -> None:
    os.write(relay.lines.fd, line("b", 2.0) + line("a", 1.0) + line("c", 3.0)[:-20])
    relay.pass_on()
    assert caplog.messages == ["a", "b"]
    os.write(relay.lines.fd, line("d", 4.0))  # c has been killed
    relay.pass_on()
    assert caplog.messages == ["a", "b", "d"]


def test_the_levels_of_now_decide(relay: LogRelay, caplog: pytest.LogCaptureFixture) -> None:
    os.write(relay.lines.fd, line("loud") + line("quiet", level=logging.INFO))
    caplog.set_level(logging.WARNING)
    relay.pass_on()
    assert caplog.messages == ["loud"]


@pytest.mark.parametrize("handled", [False, True])
def test_the_last_resort_is_for_what_nobody_has_handled(handled: bool, relay: LogRelay, capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("nobody.listens")
    logger.propagate = False
    try:
        os.write(relay.lines.fd, line("said", handled=handled, name=logger.name))
        relay.pass_on()
    finally:
        logger.propagate = True
    assert capsys.readouterr().err == ("" if handled else "said\n")


def test_a_flood_is_handed_over_bit_by_bit(relay: LogRelay, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TURN_S", 0.0)
    os.write(relay.lines.fd, b"".join(line(str(number)) for number in range(5)))
    for number in range(5):
        relay.pass_on()
        assert caplog.messages == [str(each) for each in range(number + 1)]
    os.write(relay.lines.fd, b"".join(line(str(number)) for number in range(5, 1000)))
    relay.pass_on(ended=True)
    assert caplog.messages == [str(each) for each in range(1000)]


def test_of_a_great_flood_the_end_comes_after_a_word_on_the_rest(relay: LogRelay, caplog: pytest.LogCaptureFixture) -> None:
    os.write(relay.lines.fd, line("first"))
    relay.pass_on()
    piece = b"".join(line("y" * 10_000) for _ in range(1000))
    os.write(relay.lines.fd, piece + piece)
    LineFile(relay.lines.fd, LIMIT_BYTES).trim()
    os.write(relay.lines.fd, line("last"))
    relay.pass_on(ended=True)
    assert "bytes of log records" in caplog.messages[1]
    assert caplog.messages[-1] == "last"
    assert len(caplog.messages) < LIMIT_BYTES // 10_000 + 3


def test_handlers_that_take_too_long_do_not_hold_up_the_end(
    relay: LogRelay, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_END_S", 0.0)
    os.write(relay.lines.fd, b"".join(line("z" * 100) for _ in range(1000)))
    relay.pass_on(ended=True)
    assert caplog.messages[0] == "z" * 100
    assert caplog.messages[1].startswith("999 log records were dropped at the end")


def test_a_handler_that_raises_loses_its_own_record_alone(relay: LogRelay, caplog: pytest.LogCaptureFixture) -> None:
    class Strict(logging.Handler):
        def emit(self, record: Any) -> None:
            if record.getMessage() == "bad":
                raise RuntimeError("no")

    handler = Strict()
    os.write(relay.lines.fd, line("a") + line("bad") + line("b"))
    logging.getLogger("theirs").addHandler(handler)
    try:
        with pytest.raises(RuntimeError):
            relay.pass_on()
        relay.pass_on()
    finally:
        logging.getLogger("theirs").removeHandler(handler)
    assert caplog.messages == ["a", "b"]
