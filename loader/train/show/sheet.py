"""A page of pictures with text: the only file here that imports Pillow, which writes the text and the PNG."""

from __future__ import annotations

import importlib.util
import io
import os
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from loader.data.spec import Array
from loader.errors import ConfigError

_MARGIN, _GAP, _BETWEEN = 12, 14, 4  # around the page, between blocks, between the pictures of a block
_TEXT_SIZE, _LINE = 12, 15
_WHITE, _BLACK, _GREY = (255, 255, 255), (30, 30, 30), (120, 120, 120)
_LEAST_BLOCK, _LEAST_PAGE = 96, 540
_WIDER = "DejaVuSans.ttf"
_MOST_PIXELS = 100_000_000  # of a page
_MOST_SIGNS = 1000  # of a text: more than a picture of it can hold


@dataclass(frozen=True)
class Block:
    """What is shown of one sample in one epoch: pictures side by side, each with a short caption, and below them a name and other lines."""

    pictures: Sequence[Array]
    captions: Sequence[str]
    name: str
    lines: Sequence[str] = ()


@dataclass(frozen=True)
class Page:
    """A finished page.

    Attributes:
        pixels: `(height, width, 3)` bytes.
        places: where the pictures of each block are: `(top, left, height, width)`, in their order.
    """

    pixels: Array
    places: Sequence[Sequence[tuple[int, int, int, int]]]


def check_pillow() -> None:
    """Raise ConfigError if Pillow is not installed."""
    if importlib.util.find_spec("PIL") is None:
        raise ConfigError("drawing samples needs Pillow, not installed here. What to do: pip install 'npy-loader[image]'")


def page(title: Sequence[str], heads: Sequence[str], rows: Sequence[Sequence[Block]]) -> Page:
    """Draw blocks in rows and columns of equal size.

    Args:
        title: paragraphs above all.
        heads: of the columns; none, or as many as there are.
        rows: the blocks; the last row may be shorter.
    """
    from PIL import Image, ImageDraw

    blocks = [block for row in rows for block in row]
    wide = max([_LEAST_BLOCK, *(sum(picture.shape[1] + _BETWEEN for picture in block.pictures) - _BETWEEN for block in blocks)])
    pictures_high = max((len(picture) for block in blocks for picture in block.pictures), default=0)
    lines = 1 + max(len(block.lines) for block in blocks) + any(any(block.captions) for block in blocks)
    high = pictures_high + lines * _LINE
    width = max(_LEAST_PAGE, 2 * _MARGIN + len(rows[0]) * (wide + _GAP) - _GAP)
    words = [line for paragraph in title for line in _wrapped(paragraph, width - 2 * _MARGIN)]
    top = _MARGIN + len(words) * _LINE + (_GAP if words else 0)
    first = top + (_LINE if heads else 0)
    height = first + len(rows) * (high + _GAP) - _GAP + _MARGIN
    if height * width > _MOST_PIXELS:
        raise ConfigError(f"{len(blocks):,} samples make a picture of {width:,} × {height:,} pixels; show fewer")
    image = Image.new("RGB", (width, height), _WHITE)
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(words):
        _write(draw, _MARGIN, _MARGIN + number * _LINE, line, _BLACK)
    for number, head in enumerate(heads):
        _write(draw, _MARGIN + number * (wide + _GAP), top, head, _GREY)
    places = []
    for row, blocks_of_row in enumerate(rows):
        for column, block in enumerate(blocks_of_row):
            corner = (first + row * (high + _GAP), _MARGIN + column * (wide + _GAP))
            places.append(_put(image, draw, block, corner, pictures_high, wide))
    return Page(np.asarray(image), places)


def _put(image: Any, draw: Any, block: Block, corner: tuple[int, int], high: int, wide: int) -> list[tuple[int, int, int, int]]:
    """Draw a block. Return the places of its pictures."""
    from PIL import Image

    top, left = corner
    places = []
    for picture, caption in zip(block.pictures, block.captions, strict=True):
        image.paste(Image.fromarray(np.ascontiguousarray(picture)), (left, top))
        places.append((top, left, *picture.shape[:2]))
        _write(draw, left, top + high, _start_of(caption, picture.shape[1]), _GREY)
        left += picture.shape[1] + _BETWEEN
    below = top + high + (_LINE if any(block.captions) else 0)
    _write(draw, corner[1], below, _end_of(block.name, wide), _GREY)
    for number, line in enumerate(block.lines, 1):
        _write(draw, corner[1], below + number * _LINE, _start_of(line, wide), _BLACK)
    return places


def png(pixels: Array) -> bytes:
    """Return a picture as a PNG."""
    from PIL import Image

    made = io.BytesIO()
    Image.fromarray(pixels).save(made, "PNG", optimize=True)
    return made.getvalue()


def shrunk(picture: Array, height: int, width: int) -> Array:
    """Return a picture in another size, each pixel the mean of those that it takes the place of."""
    from PIL import Image

    return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize((width, height), Image.Resampling.BOX))


def text_tile(text: str, width: int, height: int) -> Array:
    """Return a text as a picture of this width, and at most this height. What does not fit is left out, with a mark."""
    from PIL import Image, ImageDraw

    lines, fit = _wrapped(text[:_MOST_SIGNS], width), height // _LINE
    shown = lines if len(lines) <= fit else [*lines[: fit - 1], _start_of(lines[fit - 1] + " ……", width)]
    image = Image.new("RGB", (width, max(1, len(shown)) * _LINE), _WHITE)
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(shown):
        _write(draw, 0, number * _LINE, line, _BLACK)
    return np.asarray(image)


@cache
def _own_font() -> Any:
    """Return the font that Pillow brings: it has the letters of ASCII."""
    from PIL import ImageFont

    return ImageFont.load_default(_TEXT_SIZE)


@cache
def _wider_font() -> Any:
    """Return a font with the letters of more languages, from the system or from matplotlib; None if neither has it."""
    from PIL import ImageFont

    found = importlib.util.find_spec("matplotlib")
    folders = found.submodule_search_locations or [] if found else []
    for place in (_WIDER, *(os.path.join(folder, "mpl-data", "fonts", "ttf", _WIDER) for folder in folders)):
        with suppress(OSError):
            return ImageFont.truetype(place, _TEXT_SIZE)
    return None


def _font_of(line: str) -> Any:
    return (None if line.replace("…", "").isascii() else _wider_font()) or _own_font()


def _in_letters(text: str) -> str:
    """Return a text without its accents where there is no font for them, and with question marks for other letters."""
    if _wider_font() is not None:
        return text
    plain = (letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return "".join(letter if letter.isascii() else "?" for letter in plain)


def _length(line: str) -> float:
    return float(_font_of(line).getlength(line))


def _write(draw: Any, left: int, top: int, line: str, colour: tuple[int, int, int]) -> None:
    draw.text((left, top), line, fill=colour, font=_font_of(line))


def _end_of(line: str, width: int) -> str:
    """Return as much of the end of a line as fits: that of a path tells more than its beginning."""
    return _start_of(line[::-1], width)[::-1]


def _start_of(line: str, width: int) -> str:
    """Return as much of the beginning of a line as fits, and a mark where something is left out."""
    line = " ".join(_in_letters(line).split())
    if _length(line) <= width:
        return line
    while line and _length(line + "…") > width:
        line = line[:-1]
    return line + "…"


def _wrapped(text: str, width: int) -> list[str]:
    """Return a text in lines of at most `width` pixels; words that are longer are cut in pieces."""
    lines = [""]
    for word in _in_letters(text).split():
        longer = f"{lines[-1]} {word}".lstrip()
        if _length(longer) <= width:
            lines[-1] = longer
            continue
        lines.append("")
        for sign in word:
            if _length(lines[-1] + sign) > width:
                lines.append("")
            lines[-1] += sign
    return [line for line in lines if line]
