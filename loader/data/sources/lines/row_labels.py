"""The labels in the rows of a text file. One error lists all that are wrong, with their lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from loader.data.sources.labels.labels import as_array, number_classes, odd_numbers, parse_texts
from loader.data.spec import Array
from loader.errors import LabelError

_TOLD = 10

Problems = Sequence[tuple[int, str]]
"""Row and what is wrong with it."""


def number_labels(values: Sequence[Any], classes: tuple[str, ...] | None, parse: bool, place: Callable[[int], str]) -> tuple[Array, tuple[str, ...]]:
    """Return the label of each row as a number, and the names of the classes: `()` if labels are numbers and none were given.

    Args:
        values: texts or numbers.
        classes: names of all classes, in order. None: if labels are names, those that occur, sorted.
        parse: texts may be numbers, as they are in a CSV file.
        place: says where a row is.

    Raises:
        LabelError: a label is not a number although most are, is not among `classes`, or can't be a label.
    """
    refuse([(row, "has no label") for row, value in enumerate(values) if value is None or value == ""], len(values), place)
    if not all(isinstance(value, str) for value in values):
        return number_classes(as_array(list(values), len(values)), classes)
    refuse(_odd(values, classes, parse), len(values), place)
    return parse_texts(list(values), classes) if parse else number_classes(np.array(values, np.str_), classes)


def vectors(rows: Sequence[Sequence[Any]], names: Sequence[Any], place: Callable[[int], str]) -> Array:
    """Return labels of several columns as one vector a row, float32. Raises LabelError if one is not a number."""
    made = np.zeros((len(rows), len(names)), np.float32)
    problems = []
    for row, values in enumerate(rows):
        for column, value in enumerate(values):
            try:
                made[row, column] = float(value)
            except (TypeError, ValueError):
                missing = value is None or value == ""
                problems.append((row, f"has no {names[column]!r}" if missing else f"{names[column]!r} is {value!r}, not a number"))
    refuse(problems, len(rows), place)
    return made


def refuse(problems: Problems, rows: int, place: Callable[[int], str]) -> None:
    """Raise LabelError if there are problems; it lists the first ones, and their lines."""
    if problems:
        count = len({row for row, _ in problems})
        told = "".join(f"\n  {place(row)}: {problem}" for row, problem in problems[:_TOLD])
        more = f"\n  and {len(problems) - _TOLD:,} more" if len(problems) > _TOLD else ""
        raise LabelError(f"the labels of {count:,} of {rows:,} rows can't be used:{told}{more}")


def _odd(texts: Sequence[str], classes: tuple[str, ...] | None, parse: bool) -> Problems:
    """Return the rows with a label that is unlike the others."""
    if classes is not None:
        known = frozenset(classes)
        unknown = [(row, f"the label {text!r} is not in classes") for row, text in enumerate(texts) if text not in known]
        return [] if parse and len(unknown) == len(texts) else unknown  # all may be numbers of classes
    odd = odd_numbers(texts) if parse else []
    return [(row, f"the label {texts[row]!r} is not a number, but most are; if all are names, give classes=") for row in odd]
