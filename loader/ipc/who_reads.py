"""Who reads a shared loader, as its supervisor sees it: one word of its row of the board for each reader.

A word has both the pid and the company, so nobody sees those of two readers mixed. A word of 0 is no reader.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from loader.ipc.board import MOST_READERS, Cells

_PID_BITS = 32


class Present(NamedTuple):
    """A script that reads.

    Attributes:
        number: of its row of the board; 0 is the one that made the loader.
        pid: process id.
        company: lowest number of those that are handed the same slots; its own one if it goes alone.
    """

    number: int
    pid: int
    company: int


def tell_who_reads(row: Cells, readers: Iterable[Present]) -> None:
    """Write down who reads. Only the supervisor may."""
    words = [0] * (1 + MOST_READERS)
    for reader in readers:
        words[reader.number] = reader.company << _PID_BITS | reader.pid
    for number, word in enumerate(words):
        row[number] = word


def who_reads(row: Cells) -> list[Present]:
    """Return who reads, by number; nobody where the loader is not shared, or has just lost its supervisor."""
    words = row.raw[: 1 + MOST_READERS].tolist()
    return [Present(number, word & (1 << _PID_BITS) - 1, word >> _PID_BITS) for number, word in enumerate(words) if word]
