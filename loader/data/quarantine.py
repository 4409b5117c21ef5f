"""The quarantine report: one JSON line for each bad sample, as training and `loader inspect --verify` write it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime, timezone

from loader.errors import ConfigError


@dataclass(frozen=True)
class BadEntry:
    """One bad sample.

    Attributes:
        time: when it was found, ISO 8601 in UTC.
        path: its file, or None where it has none.
        index: in the source.
        reason: what was expected and found.
        traceback: from where it failed; empty where there is none.
    """

    time: str
    path: str | None
    index: int
    reason: str
    traceback: str

    def line(self) -> str:
        """Return the entry as one line of JSON, with its end."""
        return json.dumps(asdict(self)) + "\n"


def utc_now() -> str:
    """Return the time for a new entry."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


class Quarantine:
    """The report's file, to which lines are appended; each is one write, so that several loaders may share a file.

    Args:
        path: made where it is missing.

    Raises:
        ConfigError: it can't be opened.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        except (OSError, ValueError) as error:  # ValueError: a zero byte in it
            raise ConfigError(f"quarantine={path!r} can't be opened to append to it: {getattr(error, 'strerror', None) or error}") from error

    def append(self, entry: BadEntry) -> None:
        """Append one line. Raises OSError."""
        os.write(self._fd, entry.line().encode())

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def make_report(path: str | os.PathLike[str] | None) -> str | None:
    """Return a report's path made absolute, or None for None; the file is there afterwards. Raises ConfigError where it can't be."""
    if path is None:
        return None
    absolute = os.path.abspath(os.path.expanduser(os.fspath(path)))
    Quarantine(absolute).close()
    return absolute
