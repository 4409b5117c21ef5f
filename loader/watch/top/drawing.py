"""Small pictures made of characters: curves one line high, and bars; and numbers in few characters. Pure: numbers in, text out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len


@dataclass(frozen=True)
class Glyphs:
    """The characters to draw with.

    Attributes:
        levels: of a curve, the lowest first.
        full, empty: of a bar.
        ellipsis: for what was cut off.
        arrow: from old to new.
        dot: between two things.
        slots: one that is ready, lent, filling, free.
        times: so many times as much.
    """

    levels: str
    full: str
    empty: str
    ellipsis: str
    arrow: str
    dot: str
    slots: str
    times: str


FINE = Glyphs("▁▂▃▄▅▆▇█", "━", "─", "…", "→", "·", "█▓▒░", "×")
PLAIN = Glyphs("_.-:=+*#", "#", "-", "~", "->", "|", "#@+.", "x")
"""For terminals whose encoding has no others."""


def sparkline(values: Sequence[float], width: int, most: float, glyphs: Glyphs = FINE, points: int = 60) -> str:
    """Return a curve of `width` characters that ends with the last value.

    Args:
        values: the oldest first; fewer than `points` leave room at the left.
        width: characters, for `points` values: several values to a character are averaged, several characters to a value repeat it.
        most: the value that reaches the top; larger ones do so, too.
        glyphs: to draw with.
        points: how many values the whole width stands for.
    """
    if width <= 0:
        return ""
    values = values[-points:]
    padded = [None] * (points - len(values)) + list(values)
    return "".join(_level(_mean(padded[start:stop]), most, glyphs) for start, stop in _spans(points, width))


def _spans(points: int, width: int) -> list[tuple[int, int]]:
    edges = [column * points // width for column in range(width + 1)]
    return [(start, max(stop, start + 1)) for start, stop in itertools.pairwise(edges)]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _level(value: float | None, most: float, glyphs: Glyphs) -> str:
    if value is None:
        return " "
    share = min(1.0, max(0.0, value / most)) if most > 0 else 0.0
    return glyphs.levels[round(share * (len(glyphs.levels) - 1))]


def bar(share: float, width: int) -> int:
    """Return how many of `width` characters stand for a share from 0 to 1: all of them only for 1, and at least one for anything above 0."""
    if share <= 0 or width <= 0:
        return 0
    return width if share >= 1 else min(max(1, int(share * width)), max(1, width - 1))


def printable(text: str) -> str:
    """Return a text that is safe to print: whatever a file name contains, it moves no cursor and changes no colour."""
    return "".join(character if character.isprintable() else "?" for character in text)


def cut(text: str, width: int, glyphs: Glyphs = FINE, *, left: bool = False) -> str:
    """Return a text that takes at most `width` columns; what is cut off, at the right or at the left, is shown by an ellipsis."""
    if cell_len(text) <= width:
        return text
    if width <= 0:
        return ""
    kept, room = "", width - cell_len(glyphs.ellipsis)
    for character in reversed(text) if left else text:
        room -= cell_len(character)
        if room < 0:
            break
        kept = character + kept if left else kept + character
    return glyphs.ellipsis + kept if left else kept + glyphs.ellipsis


def span(seconds: float) -> str:
    """Return a length of time in a few characters."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def count(value: float) -> str:
    """Return a number in at most six characters, up to a trillion."""
    if value < 1e5:
        return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"
    unit, value = next((unit, value / size) for unit, size in (("k", 1e3), ("M", 1e6), ("G", 1e9)) if value < size * 1000 or unit == "G")
    return f"{value:.0f} {unit}" if value >= 100 else f"{value:.1f} {unit}"
