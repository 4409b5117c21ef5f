"""What `loader.show()` returns: samples as a picture, in words, and as data."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from loader.data.spec import PART_NAMES, Array
from loader.train.show.fields import Field, Kind, fields_of, is_distribution
from loader.train.show.samples import Taken
from loader.train.show.sheet import Block, Page, check_pillow, page, png
from loader.train.show.tiles import tiles_of

_NAMED = 2  # classes of a label that is a mixture
_NUMBERS = 8  # of a vector that is told in words
_WORDS_HIGH = 60  # pixels, about, of the words below a picture
_SHARE = 0.005  # of a class that is named in a mixture


class ContactSheet:
    """Samples as a model gets them: a picture in a notebook, words in a terminal.

    Args:
        taken: the samples.
    """

    def __init__(self, taken: Taken) -> None:
        self._taken = taken
        self._fields = fields_of(taken)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture to a PNG file. Raises ConfigError if Pillow is not installed."""
        content = self._repr_png_()
        with open(path, "wb") as file:
            file.write(content)

    @property
    def pixels(self) -> Array:
        """The picture, `(height, width, 3)` bytes. Raises ConfigError if Pillow is not installed."""
        return self.page.pixels

    @cached_property
    def page(self) -> Page:
        """The picture, and where on it the samples are: row by row, a row for each sample if there are several epochs."""
        check_pillow()
        taken, several = self._taken, self._taken.epochs > 1
        blocks = [[self._block(epoch, sample) for epoch in range(taken.epochs)] for sample in range(len(taken.indices))]
        heads = [f"epoch {epoch}" for epoch in range(taken.epochs)] if several else []
        return page(self._lines(), heads, blocks if several else _in_rows([block for (block,) in blocks]))

    def _block(self, epoch: int, sample: int) -> Block:
        drawn = [field.name for field in self._fields if field.is_drawn]
        words = [f"{field.name}: {self._words(field, field.arrays[epoch][sample])}" for field in self._fields if not field.is_drawn]
        name = self._taken.name(sample)
        captions = drawn if len(drawn) > 1 else [""] * len(drawn)
        return Block(tiles_of(self._fields, epoch, sample), captions, f"sample {self._taken.indices[sample]}" if name is None else name, words)

    def _words(self, field: Field, array: Array) -> str:
        """Return the value of a field of one sample in words."""
        if is_distribution(field.leaf, array):
            order = np.argsort(-array, kind="stable")[:_NAMED]
            named = [(float(array[number]), self._class(int(number))) for number in order if array[number] > _SHARE]
            return named[0][1] if len(named) == 1 else ", ".join(f"{share:.2g} {name}" for share, name in named)
        flat = [self._number(field, value) for value in array.reshape(-1)[:_NUMBERS].tolist()]
        if not array.ndim:
            return flat[0]
        return f"[{', '.join(flat)}{', …' if array.size > _NUMBERS else ''}]" if array.size else "empty"

    def _number(self, field: Field, value: Any) -> str:
        if field.leaf.part == 1 and isinstance(value, int) and not isinstance(value, bool):
            return self._class(value)
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    def _class(self, number: int) -> str:
        classes = self._taken.classes
        return classes[number] if 0 <= number < len(classes) else str(number)

    def _lines(self) -> list[str]:
        taken = self._taken
        count, epochs = len(taken.indices), f", in {taken.epochs} epochs" if taken.epochs > 1 else ""
        bad = f"; {taken.bad:,} bad, with others in their place" if taken.bad else ""
        return [f"{taken.whose}: {count:,} of {len(taken.source):,} samples{epochs}{bad}", *map(str, self._fields)]

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def __repr__(self) -> str:
        return f"<ContactSheet of {self._lines()[0]}>"

    def _repr_png_(self) -> bytes:
        return png(self.pixels)

    def as_dict(self) -> dict[str, Any]:
        """Return what the samples hold as JSON-able data: which they are, and for each field its shape, dtype, values, and what it is shown as."""
        taken = self._taken
        return {
            "name": taken.whose,
            "of": len(taken.source),
            "epochs": taken.epochs,
            "bad": taken.bad,
            "samples": [{"index": int(index), "name": taken.name(number)} for number, index in enumerate(taken.indices)],
            "fields": [_as_dict(field) for field in self._fields],
        }


def _as_dict(field: Field) -> dict[str, Any]:
    shapes = sorted({array.shape for epoch in field.arrays for array in epoch})
    values = field.values
    return {
        "name": field.leaf.name,
        "part": PART_NAMES[field.leaf.part],
        "key": field.leaf.key,
        "dtype": field.leaf.dtype.name,
        "shapes": [list(shape) for shape in shapes],
        "shown_as": field.kind.name.lower(),
        "drawn_from": [field.scale.low, field.scale.high] if field.is_drawn and field.kind not in (Kind.TEXT, Kind.MASK) else None,
        "min": values.low,
        "max": values.high,
        "mean": values.mean if math.isfinite(values.mean) else None,  # a sum that float64 can't hold
        "nan": values.nan,
        "infinite": values.infinite,
    }


def _in_rows(blocks: Sequence[Block]) -> list[Sequence[Block]]:
    """Return blocks in rows that make about a square of the page."""
    wide = max(sum(picture.shape[1] for picture in block.pictures) for block in blocks) or 1
    high = max((len(picture) for block in blocks for picture in block.pictures), default=1)
    columns = max(1, min(len(blocks), round(math.sqrt(len(blocks) * (high + _WORDS_HIGH) / wide))))
    return [blocks[start : start + columns] for start in range(0, len(blocks), columns)]
