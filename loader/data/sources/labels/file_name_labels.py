"""Labels in the names of files: found by a function of the ID, or a regular expression."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from loader.data.sources.labels.labels import as_array, number_classes, parse_texts
from loader.data.spec import Array
from loader.errors import ConfigError, LabelError

_SHOWN = 3  # files that an error names


def labels_of_names(label: object, ids: Sequence[str], classes: tuple[str, ...] | None) -> tuple[Array, tuple[str, ...]]:
    """Return the label of every file as one array, and the names of the classes.

    Args:
        label: a regular expression, whose first group is the label, and which is searched anywhere in an ID; or a function of an ID.
        ids: of the files.
        classes: names of all classes, in order; None for those that occur, sorted.

    Raises:
        ConfigError: `label` is neither, or is a regular expression without a group.
        LabelError: files have no label: their IDs don't match, or the function returns None or fails.
    """
    if isinstance(label, str | re.Pattern):
        return parse_texts(_matches(_compiled(label), ids), classes)
    if not callable(label):
        raise ConfigError(
            f"label={label!r}: give a regular expression with a group, such as r'^(\\w+)_', or a function of the ID; did you mean labels=?"
        )
    values = [_call(label, name) for name in ids]
    _check_all([name for name, value in zip(ids, values, strict=True) if value is None], len(ids), "label= returns None")
    return number_classes(as_array(values, len(ids)), classes)


def _compiled(expression: str | re.Pattern[str]) -> re.Pattern[str]:
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise ConfigError(f"label={expression!r} is not a regular expression: {error}") from None
    if not isinstance(pattern.pattern, str):
        raise ConfigError(f"label={pattern.pattern!r} is a pattern of bytes; IDs are text: give a str")
    if not pattern.groups:
        raise ConfigError(
            f"label={pattern.pattern!r} has no group: put what is the label into parentheses, as in r'^(\\w+)_'. A file of labels is labels="
        )
    return pattern


def _matches(pattern: re.Pattern[str], ids: Sequence[str]) -> list[str]:
    found = [pattern.search(name) for name in ids]
    texts = [match and match[1] for match in found]
    _check_all([name for name, text in zip(ids, texts, strict=True) if not text], len(ids), f"label={pattern.pattern!r} finds nothing")
    return [text for text in texts if text]


def _call(label: Callable[[str], Any], name: str) -> Any:
    try:
        return label(name)
    except Exception as error:
        raise LabelError(f"label= fails for the ID {name!r}: {type(error).__name__}: {error}") from error


def _check_all(without: Sequence[str], total: int, what: str) -> None:
    if without:
        shown = ", ".join(map(repr, without[:_SHOWN])) + (", ..." if len(without) > _SHOWN else "")
        raise LabelError(f"{what} in {len(without):,} of {total:,} IDs: {shown}. An ID is the path relative to root, without extension")
