"""Lines for the screen of `loader top`: tables of readers and workers, and how blocks of lines give up rows until they fit the height. Pure."""

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
_READER_COLUMNS = (
    _Column("#", 3, 9),
    _Column("PID", 7, 3),
    _Column("EPOCH", 5, 1),
    _Column("BATCH", 9, 2),
    _Column("SAMPLES/S", 9, 5),
    _Column("WAITS", 5, 4),
)
_NODE_COLUMNS = (
    _Column("NODE", 15, 9),
    _Column("WORKERS", 7, 6),
    _Column("SAMPLES/S", 9, 5),
    _Column("MB/S", 7, 4),
    _Column("TICKET", 7, 3),
    _Column("HEDGED", 6, 1),
    _Column("DIED", 4, 2),
)
_GAP = 2
_NARROWEST_REST = 18

_Cells = Mapping[str, tuple[str, str]]
"""Text and style by the title of the column."""


def worker_lines(status: Mapping[str, Any], rates: Mapping[int, float], width: int, glyphs: Glyphs) -> list[Text]:
    """Return the titles and a line for each worker; nothing if there are none.

    Args:
        status: as the supervisor answers it.
        rates: samples per second, by their number.
        width: most columns of a line.
        glyphs: to draw with.
    """
    rows = [(_worker(worker, rates), _place(worker)) for worker in status.get("workers") or []]
    return _table(_COLUMNS, "SAMPLE", rows, width, glyphs)


def node_lines(status: Mapping[str, Any], width: int, glyphs: Glyphs) -> list[Text]:
    """Return what workers on other machines bring, titles, and a line for each machine; nothing where there can be none."""
    remote = status.get("remote")
    if not remote:
        return []
    words = f"{'remote':<14}{remote['workers']}" + f" {glyphs.arrow} {remote['wanted']}" * (remote["wanted"] != remote["workers"])
    words += f", at most {remote['most']}"
    if remote["workers"]:
        words += f", bring {remote['brings']:.1f} {glyphs.times}, {remote['bytes_per_s'] / 1e6:,.1f} MB/s"
        words += f", at work {remote['work_ratio']:.0%} of their time"
    rows = [(_node(node), str(node.get("refused") or "")) for node in remote.get("nodes") or []]
    return [Text(cut(words, width, glyphs)), *_table(_NODE_COLUMNS, "NOT USED BECAUSE", rows, width, glyphs, keeps_end=False)]


def reader_lines(status: Mapping[str, Any], width: int, glyphs: Glyphs) -> list[Text]:
    """Return how many read and what sharing saves, titles, and a line for each reader; nothing if only the script that made the loader reads."""
    readers = status.get("readers") or []
    if not any(reader.get("number") for reader in readers):
        return []
    rows = [(_reader(reader), _company(reader)) for reader in readers]
    sharing, words = status.get("sharing"), f"{'readers':<14}{len(readers)}"
    if sharing:
        words += f", {sharing['work']:.2f} {glyphs.times} the work of one, without sharing {sharing['alone']:.2f} {glyphs.times}"
    return [Text(cut(words, width, glyphs)), *_table(_READER_COLUMNS, "BATCHES", rows, width, glyphs)]


def _table(
    every: Sequence[_Column], last: str, rows: Sequence[tuple[_Cells, str]], width: int, glyphs: Glyphs, *, keeps_end: bool = True
) -> list[Text]:
    """Return titles and a line for each row; the last column gets what is left of the width, and keeps the end of its text, or the beginning."""
    columns = list(every)
    while len(columns) > 1 and width - _taken(columns) < _NARROWEST_REST:
        columns.remove(min(columns, key=lambda column: column.leaves))
    head = "".join(f"{column.head:>{column.width}}{'':{_GAP}}" for column in columns) + last
    return [Text(cut(head, width, glyphs), "dim"), *(_line(cells, rest, columns, width, glyphs, keeps_end) for cells, rest in rows)] if rows else []


def _taken(columns: list[_Column]) -> int:
    return sum(column.width + _GAP for column in columns)


def _line(cells: _Cells, rest: str, columns: list[_Column], width: int, glyphs: Glyphs, keeps_end: bool) -> Text:
    line = Text()
    for column in columns:
        text, style = cells[column.head]
        line.append(f"{cut(text, column.width, glyphs):>{column.width}}", style).append(" " * _GAP)
    line.append(cut(printable(rest), max(0, width - line.cell_len), glyphs, left=keeps_end))
    return line if line.cell_len <= width else Text(cut(line.plain, width, glyphs))


def _worker(worker: Mapping[str, Any], rates: Mapping[int, float]) -> _Cells:
    nbytes, rate = worker.get("memory_bytes"), rates.get(worker.get("number", 0))
    busy, died = worker.get("state") == "busy", worker.get("restarts") or 0
    return {
        "#": (str(worker.get("number", "")), "dim"),
        "PID": (str(worker.get("pid", 0)), ""),
        "STATE": (str(worker.get("state", "")), "green" if busy else "dim"),
        "BUSY": (f"{worker.get('busy_ratio') or 0:.0%}", ""),
        "SAMPLES/S": ("" if rate is None else _rate(rate), "bold"),
        "MEMORY": ("" if nbytes is None else brief_size(nbytes), ""),
        "DIED": (str(died), "red" if died else "dim"),
    }


def _place(worker: Mapping[str, Any]) -> str:
    """Return where a worker is: on which machine, at which sample."""
    node, sample = worker.get("node"), str(worker.get("sample") or "")
    return f"on {node}, {sample}".removesuffix(", ") if node else sample


def _node(node: Mapping[str, Any]) -> _Cells:
    died = node.get("deaths") or 0
    return {
        "NODE": (str(node.get("name", "")), ""),
        "WORKERS": (str(node.get("workers", "")), ""),
        "SAMPLES/S": (_rate(node.get("samples_per_s") or 0), "bold"),
        "MB/S": (f"{(node.get('bytes_per_s') or 0) / 1e6:,.1f}", ""),
        "TICKET": (f"{node.get('latency_ms') or 0:,.0f} ms", ""),
        "HEDGED": (f"{node.get('hedges') or 0:,}", ""),
        "DIED": (str(died), "red" if died else "dim"),
    }


def _reader(reader: Mapping[str, Any]) -> _Cells:
    return {
        "#": (str(reader.get("number", "")), "dim"),
        "PID": (str(reader.get("pid", "")), ""),
        "EPOCH": (str(reader.get("epoch", "")), ""),
        "BATCH": (f"{reader.get('batch') or 0:,}", ""),
        "SAMPLES/S": (_rate(reader.get("samples_per_s") or 0), "bold"),
        "WAITS": (f"{reader.get('wait_ratio') or 0:.0%}", ""),
    }


def _company(reader: Mapping[str, Any]) -> str:
    """Return how a reader gets its batches, in words."""
    others, state = reader.get("shares_with") or [], reader.get("state")
    words = f"shared with {', '.join(map(str, others))}" if others else "made for it alone"
    words = words if reader.get("rank") is None else f"rank {reader['rank']}"
    return words if state in (None, "reads") else f"{state}, {words}"


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"
