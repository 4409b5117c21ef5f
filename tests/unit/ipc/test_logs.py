"""A log record comes out of its line as it went in, whatever the user put into it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from loader.ipc.line_file import LIMIT_BYTES, LineFile
from loader.ipc.logs import LogWriter, report_to, to_fields, to_record


@pytest.fixture
def output() -> Iterator[LineFile]:
    made = LineFile.create("logs", LIMIT_BYTES)
    yield made
    made.close()


@pytest.fixture
def loggers() -> Iterator[None]:
    """Give the loggers of this process back as they were."""
    before = [(logger, logger.handlers[:], logger.level, logger.propagate, logger.disabled) for logger in every_logger()]
    yield
    for logger in every_logger():
        logger.handlers[:] = []
        logger.setLevel(logging.NOTSET)
    for logger, handlers, level, propagate, disabled in before:
        logger.handlers[:] = handlers
        logger.setLevel(level)
        logger.propagate, logger.disabled = propagate, disabled


def every_logger() -> list[logging.Logger]:
    return [logging.getLogger(), *(each for each in logging.root.manager.loggerDict.values() if isinstance(each, logging.Logger))]


def record_of(message: str, *args: Any, **extra: Any) -> logging.LogRecord:
    return logging.getLogger("a.b").makeRecord("a.b", logging.ERROR, "/x/step.py", 7, message, args, None, "step", extra or None)


def sent(record: logging.LogRecord, output: LineFile, writer: LogWriter | None = None) -> logging.LogRecord:
    (writer or LogWriter(output)).emit(record)
    (fields,) = output.records()
    return to_record(fields, "train")


def test_a_record_comes_out_as_it_went_in(output: LineFile) -> None:
    before = record_of("%s is %d", "größe", 3, answer=42, kind=None, odd={1, 2})
    after = sent(before, output)
    for name in (
        "name",
        "levelno",
        "levelname",
        "pathname",
        "module",
        "lineno",
        "funcName",
        "created",
        "msecs",
        "process",
        "thread",
        "answer",
        "kind",
    ):
        assert getattr(after, name) == getattr(before, name), name
    assert after.getMessage() == "größe is 3"
    assert vars(after)["odd"] == "{1, 2}"
    assert abs(after.relativeCreated - before.relativeCreated) < 1
    assert after.processName == "train supervisor"
    assert (vars(after)["worker"], vars(after)["sample"], vars(after)["path"]) == (None, None, None)


def test_exceptions_keep_their_traceback(output: LineFile) -> None:
    before = record_of("failed")
    try:
        raise ValueError("no such number")
    except ValueError as error:
        before.exc_info = (ValueError, error, error.__traceback__)
    text = logging.Formatter("%(message)s").format(sent(before, output))
    assert text.startswith("failed\nTraceback")
    assert text.endswith("ValueError: no such number")


def test_a_line_stays_within_its_bounds_and_the_file_whole(output: LineFile) -> None:
    extras: dict[str, Any] = {f"{number}_" + "k" * 90: "\U0001f600" * 100_000 if number == 3 else 10**30 for number in range(200)}
    after = sent(record_of("x" * 1_000_000, **extras), output)
    assert set(after.getMessage()) <= {"x"}
    assert os.fstat(output.fd).st_size <= 64 * 1024


def test_the_whereabouts_are_added_and_what_they_log_is_no_endless_story(output: LineFile, loggers: None) -> None:
    def whereabouts() -> dict[str, Any]:
        logging.getLogger("a.b").error("asked")
        return {"worker": 2, "sample": 17, "path": "x.npy"}

    writer = LogWriter(output)
    report_to(writer, {})
    writer.enter("worker 2", whereabouts)
    logging.getLogger("a.b").error("odd", extra={"sample": "mine"})
    asked, odd = (to_record(fields, "train") for fields in output.records())
    assert (asked.getMessage(), odd.getMessage()) == ("asked", "odd")
    assert odd.processName == "train worker 2"
    assert (vars(odd)["worker"], vars(odd)["sample"], vars(odd)["path"]) == (2, "mine", "x.npy")


def test_arguments_that_fail_are_said_on_standard_error(output: LineFile, capsys: pytest.CaptureFixture[str]) -> None:
    LogWriter(output).emit(record_of("%d", "no number"))
    assert output.read() == (b"", 0)
    assert "Logging error" in capsys.readouterr().err


def test_loggers_report_to_one_handler_from_the_given_levels_on(output: LineFile, loggers: None) -> None:
    other, stream = logging.getLogger("set.up"), logging.StreamHandler()
    other.addHandler(stream)
    other.propagate, other.disabled = False, True
    other.setLevel(logging.CRITICAL)
    writer = LogWriter(output)
    for _ in range(2):
        report_to(writer, {"root": logging.INFO, "quiet": logging.ERROR})
    logging.basicConfig(level=logging.DEBUG)  # as an imported module may do
    other.info("one")
    other.debug("two")
    logging.getLogger("quiet").warning("three")
    assert logging.getLogger().handlers == [writer]
    assert [fields["msg"] for fields in output.records()] == ["one"]


def test_a_record_of_the_past_has_its_time(output: LineFile) -> None:
    before = record_of("x")
    before.created = time.time() - 100
    after = sent(before, output)
    assert after.created == before.created
    assert to_fields(after)["created"] == before.created
