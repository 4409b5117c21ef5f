"""Fits blocks of lines into a terminal's height. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.text import Text


@dataclass
class Block:
    """Lines that belong together.

    Attributes:
        lines: all that there is to show.
        squeeze: how few rows it may be given, and how early: `[(2, 5), (6, 1)]` gives up rows down to five in the second round, and down to one
            in the sixth. It keeps all of them until its first round.
        more: what the last row says where lines are missing; an empty text says nothing.
        head: how many of the first lines say nothing alone.
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
