"""The quarantine report: one JSON line for each bad sample, as training and `loader inspect --verify` write it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timezone


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
