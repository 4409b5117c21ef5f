"""The labels in the rows of a text file: all that are wrong are told at once, with their lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from loader.data.sources.labels.labels import as_array, number_classes, parse_texts
from loader.data.spec import Array
from loader.errors import LabelError

_TOLD = 10

Problems = Sequence[tuple[int, str]]
"""Row and what is wrong with it."""


def number_labels(values: Sequence[Any], classes: tuple[str, ...] | None, parse: bool, place: Callable[[int], str]) -> tuple[Array, tuple[str, ...]]:
    """Return the label of each row as a number, and the names of the classes: `()` where labels are numbers and none were given.

    Args:
        values: texts, numbers, or vectors.
        classes: names of all classes, in order. None: if labels are names, those that occur, sorted.
        parse: texts may be numbers, as they are in a CSV file.
        place: tells where a row is.

    Raises:
        LabelError: a label is no number where most are, is not among `classes`, or can't be a label.
    """
    missing = [(row, "has no label") for row, value in enumerate(values) if value is None or value == ""]
    refuse(missing, len(values), place)
    texts = [value for value in values if isinstance(value, str)]
    if len(texts) < len(values):
        return number_classes(as_array(list(values), len(values)), classes)
    refuse(_odd(texts, classes, parse), len(texts), place)
    return parse_texts(texts, classes) if parse else number_classes(np.array(texts, np.str_), classes)


def refuse(problems: Problems, rows: int, place: Callable[[int], str]) -> None:
    """Raise LabelError if there are problems; it has the first ones in it, and their lines."""
    if problems:
        told = "".join(f"\n  {place(row)}: {problem}" for row, problem in problems[:_TOLD])
        more = f"\n  and {len(problems) - _TOLD:,} more" if len(problems) > _TOLD else ""
        raise LabelError(f"the labels of {len(problems):,} of {rows:,} rows can't be used:{told}{more}")


def _odd(texts: Sequence[str], classes: tuple[str, ...] | None, parse: bool) -> Problems:
    """Return the rows with a label that is unlike the others."""
    numbers = [_is_number(text) for text in texts] if parse else [False] * len(texts)
    if all(numbers):
        return []
    if classes is not None:
        known = frozenset(classes)
        return [(row, f"the label {text!r} is not in classes") for row, text in enumerate(texts) if text not in known]
    if 2 * sum(numbers) <= len(texts):
        return []
    return [
        (row, f"the label {text!r} is no number, as most are; if all are names, give classes=")
        for row, (text, number) in enumerate(zip(texts, numbers, strict=True))
        if not number
    ]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
