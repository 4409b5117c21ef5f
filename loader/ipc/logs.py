"""Log records on their way to the trainer: what `logging` makes in the supervisor and its workers, as lines of JSON in shared memory.

    trainer: `levels`, handed on        supervisor, workers: `report_to`, then any logger        trainer: `loader.train.remote.relay`

The memory is a `LineFile`: it never makes a writer wait, outlives all of them, and is kept short.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

_KEPT = (
    *("name", "levelno", "levelname", "pathname", "filename", "module", "lineno", "funcName"),
    *("created", "msecs", "thread", "threadName", "process", "stack_info"),
)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

HANDLED = "handled there"
"""Key of a line: whether a handler that a transform has set up in the worker has had the record. No `extra=` has a space in its name."""

# Of `extra=`; a line has to end somewhere, and only texts can be cut.
_MOST_EXTRAS, _LONGEST_KEY = 50, 100


def levels() -> dict[str, int]:
    """Return the level of each logger that has one of its own, the root's included. Runs in: the trainer."""
    return {logger.name: logger.level for logger in _loggers() if logger.level}


def report_to(handler: logging.Handler, given: Mapping[str, int]) -> None:
    """Have all loggers of this process report to `handler` alone, from the levels in `given` on.

    Runs in: the supervisor, before and after the user's modules are imported. Handlers that those set up are there in the trainer as well, which
    imports them too, and would say everything twice. What a transform sets up later, in a worker, is its own.
    """
    for logger in _loggers():
        for other in logger.handlers[:]:
            logger.removeHandler(other)
            if other is not handler:
                with contextlib.suppress(OSError, ValueError):  # the stream is gone
                    other.close()
        logger.disabled, logger.propagate = False, True  # the trainer's loggers decide
        logger.setLevel(logging.NOTSET)
    for name, level in given.items():
        logging.getLogger(name).setLevel(level)
    logging.disable(logging.NOTSET)
    logging.getLogger().addHandler(handler)


def _loggers() -> list[logging.Logger]:
    known = list(logging.Logger.manager.loggerDict.values())
    return [logging.getLogger(), *(logger for logger in known if isinstance(logger, logging.Logger))]


class Lines(Protocol):
    """Where records go: a `LineFile`, or what another process brings there."""

    def append(self, record: dict[str, Any], /) -> None:
        """Append a JSON-able record."""


class LogWriter(logging.Handler):
    """Writes records for the trainer. Forks of the process that made it inherit it.

    Args:
        lines: where to.
    """

    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self._lines = lines
        self._process = "supervisor"
        self._whereabouts: Callable[[], dict[str, Any]] = dict

    def enter(self, process: str, whereabouts: Callable[[], dict[str, Any]]) -> None:
        """Write for another process from now on. Runs in: that process, a fork, or before it is forked.

        Args:
            process: its name.
            whereabouts: returns attributes for a record of this moment; `extra=` goes before them.
        """
        self._process, self._whereabouts = process, whereabouts

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, in one write. If it can't be formatted, that is said on standard error, as by every handler."""
        try:
            self._lines.append({**self._where(), **to_fields(record), "processName": self._process, HANDLED: self._is_handled(record)})
        except Exception:  # the user's arguments may raise anything; logging's own handlers do the same
            self.handleError(record)

    def pass_on(self, fields: dict[str, Any]) -> None:
        """Write what a process on another machine has written."""
        self._lines.append(fields)

    def _where(self) -> dict[str, Any]:
        """Return the whereabouts. That asks the user's source for a name; what it logs meanwhile does not ask again."""
        asked, self._whereabouts = self._whereabouts, dict
        try:
            return asked()
        finally:
            self._whereabouts = asked

    def _is_handled(self, record: logging.LogRecord) -> bool:
        """Whether the record has a handler here that a transform has set up: then nobody needs the last resort."""
        logger: logging.Logger | None = logging.getLogger(record.name)
        while logger is not None:
            if any(handler is not self for handler in logger.handlers):
                return True
            logger = logger.parent if logger.propagate else None
        return False


def to_fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return the attributes of a record as JSON-able values: the message formatted, the exception as text, and what `extra=` gave."""
    extras = [(key, _plain(value)) for key, value in vars(record).items() if key not in _STANDARD and len(str(key)) <= _LONGEST_KEY]
    trace = logging.Formatter().formatException(record.exc_info) if record.exc_info and not record.exc_text else record.exc_text
    kept = {name: getattr(record, name) for name in _KEPT}
    return {**dict(extras[:_MOST_EXTRAS]), **kept, "msg": record.getMessage(), "exc_text": trace}


def to_record(fields: dict[str, Any], loader: str) -> logging.LogRecord:
    """Make the record again. Runs in: the trainer.

    Args:
        fields: from `to_fields`, with what `LogWriter` adds.
        loader: name of the loader.
    """
    record = logging.makeLogRecord({"worker": None, "sample": None, "path": None})
    since_start = record.relativeCreated + (fields["created"] - record.created) * 1000  # this process's start, not the writer's
    vars(record).update(fields, relativeCreated=since_start, processName=f"{loader} {fields['processName']}")
    return record


def _plain(value: Any) -> Any:
    if isinstance(value, int):
        return value if abs(value) < 2**63 else str(value)
    return value if value is None or isinstance(value, float | str) else str(value)
