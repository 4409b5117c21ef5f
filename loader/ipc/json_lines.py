"""One request or answer per line, as JSON: bytes in, objects or refusals out. Pure; a socket's bytes may be anything."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

LINE_BYTES = 64 * 1024


class BadLine(ValueError):
    """A line that is no JSON object."""


class Lines:
    """Cuts a stream of bytes into lines. Holds at most `limit` bytes more than one call brought.

    Args:
        limit: longest line in bytes.
    """

    def __init__(self, limit: int = LINE_BYTES) -> None:
        self._limit = limit
        self._pending = bytearray()
        self._searched = 0  # how much of it has no end of a line

    def feed(self, raw: bytes) -> None:
        """Take what has been received."""
        self._pending += raw

    @property
    def waiting(self) -> bool:
        """Whether `take` has something to return, or to refuse."""
        return self._end() >= 0 or len(self._pending) > self._limit

    def take(self) -> bytes | None:
        """Return the next line without its end, or None if it is not complete yet. Raises BadLine where it is too long: nothing can follow."""
        end = self._end()
        if max(end, len(self._pending) if end < 0 else 0) > self._limit:
            raise BadLine(f"the line is longer than {self._limit:,} bytes")
        if end < 0:
            return None
        line = bytes(self._pending[:end])
        del self._pending[: end + 1]
        self._searched = 0
        return line

    def _end(self) -> int:
        end = self._pending.find(b"\n", self._searched)
        self._searched = len(self._pending) if end < 0 else end
        return end


def encode(message: dict[str, Any]) -> bytes:
    """Return a message as a line."""
    return json.dumps(message, allow_nan=False).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """Return the message in a line. Raises BadLine, in words that fit on one line, whatever the bytes are."""
    try:
        message = json.loads(line.decode(), parse_constant=_refuse, parse_float=_finite)
    except UnicodeDecodeError:
        raise BadLine("the line is not UTF-8") from None
    except RecursionError:
        raise BadLine("the line is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise BadLine(f"the line is not JSON: {error}") from None
    except ValueError as error:  # a number that JSON does not have, or one of more digits than Python reads
        raise BadLine(f"the line has a number that can't be read: {error}") from None
    if not isinstance(message, dict):
        raise BadLine('the line is no JSON object, such as {"do": "status"}')
    return message


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("it is too large")
    return value
