"""What a child answers, packed by it and unpacked by whoever has asked: a header, as a line of JSON, and content of so many bytes."""

from __future__ import annotations

from typing import Any

import numpy as np

from loader.data.remote.objects import Facts, Fetched, Objects

Answer = tuple[dict[str, Any], bytes]


def pack_facts(facts: list[Facts]) -> Answer:
    """Pack what is known of objects."""
    table = np.array([[each.size for each in facts], [each.version for each in facts]], np.int64)
    content = table.tobytes() + "\0".join(each.key for each in facts).encode("utf-8", "surrogatepass")
    return {"count": len(facts), "nbytes": len(content)}, content


def unpack_facts(header: dict[str, Any], content: bytes) -> Objects:
    """Return what is known of objects."""
    count = header["count"]
    table = np.frombuffer(content, np.int64, 2 * count).reshape(2, count)
    urls = content[16 * count :].decode("utf-8", "surrogatepass").split("\0") if count else []
    return Objects(urls, table[0].copy(), table[1].copy())


def pack_contents(found: list[Fetched]) -> Answer:
    """Pack objects, or ranges of them."""
    table = np.array([[each.size, each.version, len(each.content)] for each in found], np.int64)
    content = b"".join([table.tobytes(), *(each.content for each in found)])
    return {"count": len(found), "nbytes": len(content)}, content


def unpack_contents(header: dict[str, Any], content: bytes) -> list[Fetched]:
    """Return objects, or ranges of them."""
    count = header["count"]
    table = np.frombuffer(content, np.int64, 3 * count).reshape(count, 3).tolist()
    found, place = [], 24 * count
    for size, version, length in table:
        found.append(Fetched(content[place : place + length], size, version))
        place += length
    return found
