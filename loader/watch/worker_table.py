"""The workers of a loader as a table, a line each, in whatever width there is. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from rich.text import Text

from loader.watch.sparkline import Glyphs, cut, printable
from loader.watch.status import size


class _Column(NamedTuple):
    """A column.

    Attributes:
        head: its title.
        width: in characters, without the gap.
        leaves: when it goes, where there is little room: the smallest number first.
    """

    head: str
    width: int
    leaves: int


_COLUMNS = (
    _Column("#", 3, 9),
    _Column("PID", 7, 3),
    _Column("STATE", 5, 8),
    _Column("BUSY", 4, 4),
    _Column("SAMPLES/S", 9, 5),
    _Column("MEMORY", 8, 2),
    _Column("DIED", 4, 1),
)
_GAP = 2
_NARROWEST_SAMPLE = 18


def worker_lines(status: Mapping[str, Any], rates: Mapping[int, float], width: int, glyphs: Glyphs) -> list[Text]:
    """Return the titles and a line for each worker; nothing where there are none.

    Args:
        status: as the supervisor answers it.
        rates: samples per second, by pid.
        width: most columns of a line.
        glyphs: to draw with.
    """
    workers = status.get("workers") or []
    if not workers:
        return []
    columns = list(_COLUMNS)
    while len(columns) > 1 and width - _taken(columns) < _NARROWEST_SAMPLE:
        columns.remove(min(columns, key=lambda column: column.leaves))
    head = "".join(f"{column.head:>{column.width}}{'':{_GAP}}" for column in columns) + "SAMPLE"
    return [Text(cut(head, width, glyphs), "dim"), *(_line(worker, rates, columns, width, glyphs) for worker in workers)]


def _taken(columns: list[_Column]) -> int:
    return sum(column.width + _GAP for column in columns)


def _line(worker: Mapping[str, Any], rates: Mapping[int, float], columns: list[_Column], width: int, glyphs: Glyphs) -> Text:
    pid, nbytes, rate = worker.get("pid", 0), worker.get("memory_bytes"), rates.get(worker.get("pid", 0))
    busy, died = worker.get("state") == "busy", worker.get("restarts") or 0
    cells = {
        "#": (str(worker.get("number", "")), "dim"),
        "PID": (str(pid), ""),
        "STATE": (str(worker.get("state", "")), "green" if busy else "dim"),
        "BUSY": (f"{worker.get('busy_ratio') or 0:.0%}", ""),
        "SAMPLES/S": ("" if rate is None else f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}", "bold"),
        "MEMORY": ("" if nbytes is None else size(nbytes), ""),
        "DIED": (str(died), "red" if died else "dim"),
    }
    line = Text()
    for column in columns:
        text, style = cells[column.head]
        line.append(f"{cut(text, column.width, glyphs):>{column.width}}", style).append(" " * _GAP)
    room = width - line.cell_len
    line.append(cut(printable(str(worker.get("sample") or "")), max(0, room), glyphs, left=True))
    return line if line.cell_len <= width else Text(cut(line.plain, width, glyphs))
