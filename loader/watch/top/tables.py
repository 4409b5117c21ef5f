"""Lines for the screen of `loader top`: a table of the workers, and how blocks of lines give up rows until they fit the height. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rich.text import Text

from loader.config import brief_size
from loader.watch.top.drawing import Glyphs, cut, printable


@dataclass
class Block:
    """Lines that belong together.

    Attributes:
        lines: all that there is to show.
        squeeze: how few rows it may be given, and how early: `[(2, 5), (6, 1)]` gives up rows down to five in the second round, and down to one
            in the sixth. It keeps all of them until its first round.
        more: what the last row says where lines are missing; an empty text says nothing.
        head: how many of the first lines mean nothing without others.
        cut: what the last row ends with where lines of a text are missing.
    """

    lines: list[Text]
    squeeze: Sequence[tuple[int, int]] = field(default=())
    more: str = ""
    head: int = 0
    cut: str = ""


ROUNDS = 10


def arranged(blocks: Sequence[Block], height: int) -> list[Text]:
    """Return the lines of all blocks, at most `height`: round by round, blocks give up rows until the rest fits."""
    rows = [len(block.lines) for block in blocks]
    for number in range(ROUNDS):
        for place, block in reversed(list(enumerate(blocks))):
            for at, least in block.squeeze:
                over = sum(rows) - height
                if at == number and over > 0:
                    rows[place] = min(rows[place], max(least, rows[place] - over))
    lines = [line for block, count in zip(blocks, rows, strict=True) for line in _shortened(block, count)]
    return lines[:height]


def _shortened(block: Block, rows: int) -> list[Text]:
    missing = len(block.lines) - rows
    if missing <= 0:
        return block.lines
    if rows <= block.head:
        return []
    if not block.more or rows < block.head + 2:
        return _cut(block.lines[:rows], block.cut)
    return [*block.lines[: rows - 1], Text(block.more.format(missing + 1), "dim")]


def _cut(lines: list[Text], sign: str) -> list[Text]:
    """Return lines of a text of which more would follow; the sign takes the place of the last letters, so that they stay as long."""
    if not lines or not sign:
        return lines
    last = lines[-1].copy()
    last.right_crop(len(sign))
    return [*lines[:-1], last.append(sign)]


class _Column(NamedTuple):
    """A column.

    Attributes:
        head: its title.
        width: in characters, without the gap.
        leaves: when it is left out if there is little room: the smallest number first.
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
    """Return the titles and a line for each worker; nothing if there are none.

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
        "MEMORY": ("" if nbytes is None else brief_size(nbytes), ""),
        "DIED": (str(died), "red" if died else "dim"),
    }
    line = Text()
    for column in columns:
        text, style = cells[column.head]
        line.append(f"{cut(text, column.width, glyphs):>{column.width}}", style).append(" " * _GAP)
    room = width - line.cell_len
    line.append(cut(printable(str(worker.get("sample") or "")), max(0, room), glyphs, left=True))
    return line if line.cell_len <= width else Text(cut(line.plain, width, glyphs))
