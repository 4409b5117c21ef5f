"""Pictures: their formats, sizes and modes, and the size that they could be brought to."""

from __future__ import annotations

from collections import Counter
from statistics import median

from loader.data.decode.image_decoder import image
from loader.data.decode.picture_facts import PictureFacts, read_facts
from loader.watch.inspect.finding import Contents, Look, batch_lines, counts_in_words, in_words, look_at, spread

_USUAL = 224  # to which most published models take pictures
_LARGEST = 512  # pictures of one size that is no larger stay as they are
_BYTES_OF_A_PIXEL = {"RGB": 3, "L": 1, "L16": 2}
_GREY = frozenset(("1", "L", "I;16", "I;16B", "I;16L"))


def look(paths: list[str], most: int) -> Look:
    """Read the headers of pictures."""
    return look_at(paths, read_facts, most)


def contents(seen: Look) -> Contents:
    """Return what the headers of pictures say, and how they could be decoded."""
    pictures: list[PictureFacts] = [found for _, found in seen.good]
    if not pictures:
        decoder = image(size=_USUAL)
        return Contents({}, {}, decoder, None)
    heights, widths = spread([found.height for found in pictures]), spread([found.width for found in pictures])
    formats, modes = (dict(Counter(getattr(found, name) for found in pictures).most_common()) for name in ("format", "mode"))
    size = _size(pictures)
    decoder = image(size=size, mode=_mode(modes))
    height, width = size or (pictures[0].height, pictures[0].width)
    nbytes = height * width * _BYTES_OF_A_PIXEL[decoder.mode]
    facts = {"formats": formats, "modes": modes, "heights": heights, "widths": widths, "suggested size": list(size) if size else None}
    lines = {"formats": counts_in_words(formats), "modes": counts_in_words(modes), "heights": in_words(heights), "widths": in_words(widths)}
    if size:
        lines["suggested size"] = f"{size[0]} × {size[1]}"
    return Contents(facts, lines | batch_lines(nbytes), decoder, nbytes)


def _size(pictures: list[PictureFacts]) -> tuple[int, int] | None:
    """Return the size to bring pictures to; None if they can stay as they are."""
    sizes = {(found.height, found.width) for found in pictures}
    if len(sizes) == 1 and max(*sizes.pop()) <= _LARGEST:
        return None
    height, width = int(median(found.height for found in pictures)), int(median(found.width for found in pictures))
    return (_USUAL, _USUAL) if min(height, width) >= _USUAL else (min(height, _USUAL), min(width, _USUAL))


def _mode(modes: dict[str, int]) -> str:
    """Return the mode to decode to: grey where all are grey, of 16 bits where all have them; else RGB."""
    if not _GREY.issuperset(modes):
        return "RGB"
    return "L16" if all(mode.startswith("I;16") for mode in modes) else "L"
