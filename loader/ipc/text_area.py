"""JSON in shared memory, with its length and a checksum before it.

Of two stores, a reader may see the later one first (on ARM), unless a system call of the writer and one of the reader, such as those that carry a
record, lie between. So a text has a checksum, and what tells of it may come too early.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

_HEAD_BYTES = 8


def write_text(area: memoryview, value: Any) -> None:
    """Write a JSON-able value to a text area, cut as by `fitting_json`, with its length and checksum before it."""
    raw = fitting_json(value, len(area) - _HEAD_BYTES)
    area[:_HEAD_BYTES] = len(raw).to_bytes(4, "little") + zlib.crc32(raw).to_bytes(4, "little")
    area[_HEAD_BYTES : _HEAD_BYTES + len(raw)] = raw


def fitting_json(value: Any, nbytes: int) -> bytes:
    """Return a value as JSON of at most `nbytes`; if it is too long, its longest strings are cut from the front until it fits.

    Raises:
        ValueError: it is too long without them.
    """
    raw = json.dumps(value).encode()
    while len(raw) > nbytes:
        texts = [key for key, item in value.items() if isinstance(item, str) and item]
        if not texts:
            raise ValueError(f"{len(raw):,} bytes of JSON do not fit into {nbytes:,}, and there is no text in it to cut")
        longest = max(texts, key=lambda key: len(value[key]))
        value = value | {longest: value[longest][len(value[longest]) // 4 + 1 :]}
        raw = json.dumps(value).encode()
    return raw


def read_text(area: memoryview) -> Any:
    """Return the value that `write_text` wrote, or an empty dict if there is none, or it is incomplete."""
    head = bytes(area[:_HEAD_BYTES])
    raw = bytes(area[_HEAD_BYTES : _HEAD_BYTES + int.from_bytes(head[:4], "little")])
    return json.loads(raw) if raw and zlib.crc32(raw) == int.from_bytes(head[4:], "little") else {}
