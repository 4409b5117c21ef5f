"""Bad samples: how many of them are tolerated (`max_errors`), and the report that lists them as JSON lines (`quarantine`).

The supervisor keeps count; with `workers=0` it is the trainer. `loader inspect --verify` writes the same lines.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timezone

from loader.data.npy.file_io import pread
from loader.data.sources.files.file_listing import absolute_path
from loader.errors import ConfigError, SampleError
from loader.ipc.line_file import LineFile

# While a line is being written, others may see only its beginning, for some microseconds, or longer if the writer loses its core.
_LOOKS, _PAUSE_S = 50, 0.001


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
        """Return the entry as one line of JSON, with its line break."""
        return json.dumps(asdict(self)) + "\n"


def utc_now() -> str:
    """Return the time for a new entry."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


class Quarantine:
    """The report's file, to which lines are appended; each is one write, so that several loaders may share a file.

    People and their tools read it, and an empty line is no JSON. So a line begins with a line break only after half a line of a killed writer.

    Args:
        path: made where it is missing.

    Raises:
        ConfigError: it can't be opened.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._lines = LineFile(os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666))
        except (OSError, ValueError) as error:  # ValueError: a zero byte in it
            raise ConfigError(f"quarantine={path!r} can't be opened to append to it: {getattr(error, 'strerror', None) or error}") from error

    def append(self, entry: BadEntry) -> None:
        """Append one line. Raises OSError."""
        self._lines.append(asdict(entry), lead=b"\n" if self._is_torn() else b"")

    def close(self) -> None:
        """Close the file."""
        self._lines.close()

    def _is_torn(self) -> bool:
        """Whether the last line is incomplete and nobody is writing it. A pipe has no size, so it is not checked."""
        for _ in range(_LOOKS):
            size = os.fstat(self._lines.fd).st_size
            if not size or pread(self._lines.fd, 1, size - 1) == b"\n":
                return False
            time.sleep(_PAUSE_S)
        return True


def make_report(path: str | os.PathLike[str] | None) -> str | None:
    """Return a report's path made absolute, or None for None; the file is there afterwards. Raises ConfigError where it can't be."""
    if path is None:
        return None
    absolute = absolute_path(path)
    Quarantine(absolute).close()
    return absolute


class ErrorBudget:
    """The different samples that have been bad so far.

    Args:
        samples: in the source.
        max_errors: how many of them may be bad: a count, a share of them (a float), or None for any number.
        quarantine: path of the report, or None.

    Attributes:
        first: the error of the first one that `note` was told of, or None; also None where not even one may be bad.

    Raises:
        ConfigError: the report can't be opened.
    """

    def __init__(self, samples: int, max_errors: float | None, quarantine: str | os.PathLike[str] | None) -> None:
        self.first: SampleError | None = None
        self._samples = samples
        self._setting = max_errors
        self._limit: float = math.inf if max_errors is None else math.floor(max_errors * samples) if isinstance(max_errors, float) else max_errors
        self._report = None if quarantine is None else Quarantine(os.fspath(quarantine))
        self._known: dict[int, bool] = {}  # whether it is among those that may be bad

    def __len__(self) -> int:
        return len(self._known)

    def note(self, error: SampleError) -> SampleError | None:
        """Note that a sample is bad, and report it if it was not known. Return the error to raise, if more have been bad than may be."""
        if error.index not in self._known:
            self.recall(error.index)
            self.first = self.first or (error if self._known[error.index] else None)
            self._write(error)
        return None if self._known[error.index] else self._beyond(error)

    def recall(self, index: int) -> None:
        """Count a sample that was found bad, and was reported, before this object was made."""
        self._known[index] = len(self._known) < self._limit

    def close(self) -> None:
        """Close the report."""
        if self._report is not None:
            self._report.close()
            self._report = None

    def _write(self, error: SampleError) -> None:
        if self._report is None:
            return
        reason = f"{error.field}: {error.reason}" if error.field else error.reason
        try:
            self._report.append(BadEntry(utc_now(), error.name, error.index, reason, error.remote_traceback))
        except OSError as problem:  # a full disk; training goes on, and the line is not lost
            print(f"loader: {self._report.path} can't be written ({problem.strerror}), so it lacks {error}", file=sys.stderr, flush=True)

    def _beyond(self, error: SampleError) -> SampleError:
        allowed = f"max_errors={self._setting}" + (f" of {self._samples:,} samples" if isinstance(self._setting, float) else "")
        where = "give quarantine=PATH for a list of them" if self._report is None else f"all of them are listed in {self._report.path}"
        fields = error.fields()
        fields["reason"] += f"\n  {len(self):,} different samples have been bad, and {allowed} allows {self._limit:,}; {where}"
        return SampleError(**fields)
