"""Who reads a shared loader, as its supervisor sees it: one word of its row of the board for each reader.

A word has all that is known of one, so nobody sees that of two readers mixed. A word of 0 is no reader.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from loader.ipc.board import MOST_READERS, Cells

_PID_BITS, _COMPANY_BITS = 32, 8


class Present(NamedTuple):
    """A script that reads.

    Attributes:
        number: of its row of the board; 0 is the one that made the loader.
        pid: process id.
        company: lowest number of those that are handed the same slots; its own one if it goes alone.
        rank: of a data-parallel job; None if there are no others.
    """

    number: int
    pid: int
    company: int
    rank: int | None = None


def tell_who_reads(row: Cells, readers: Iterable[Present]) -> None:
    """Write down who reads. Only the supervisor may."""
    words = [0] * (1 + MOST_READERS)
    for reader in readers:
        rank = 0 if reader.rank is None else reader.rank + 1
        words[reader.number] = (rank << _COMPANY_BITS | reader.company) << _PID_BITS | reader.pid
    for number, word in enumerate(words):
        row[number] = word


def who_reads(row: Cells) -> list[Present]:
    """Return who reads, by number; nobody where the loader is not shared, or has just lost its supervisor."""
    words = row.raw[: 1 + MOST_READERS].tolist()
    return [_present(number, word) for number, word in enumerate(words) if word]


def _present(number: int, word: int) -> Present:
    rank, company = divmod(word >> _PID_BITS, 1 << _COMPANY_BITS)
    return Present(number, word & (1 << _PID_BITS) - 1, company, rank - 1 if rank else None)
