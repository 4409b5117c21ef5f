"""Tables that list files with their labels: which column means what, and all that is wrong with them in one error."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loader.data.sources.files.file_listing import path_text
from loader.data.sources.labels.labels import as_array, number_classes, odd_numbers, parse_texts
from loader.data.sources.labels.manifest_tables import BadRows, Table, is_missing, open_table
from loader.data.sources.labels.text_rows import columns_in_words
from loader.data.spec import Array
from loader.errors import ArgumentError, ConfigError, DataNotFoundError

_LOOKED_AT = 500  # lines, of those whose paths look like any others: 1 ms
_NOT_GIVEN = ("labels", "sample_weight")
_OPTIONS = ("path_column", "label_columns", "weight_column")
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Manifest:
    """What a manifest says.

    Attributes:
        paths: of the files, with `/` as separator.
        labels: one for each, or None if there are none.
        classes: names of the classes; `()` if labels are numbers.
        weights: one for each, or None.
    """

    paths: list[str]
    labels: Array | None
    classes: tuple[str, ...]
    weights: Array | None


@dataclass(frozen=True)
class Columns:
    """Which columns of a manifest mean what: the arguments of `LabelledFiles.from_manifest`."""

    path: str
    labels: tuple[str, ...] | None
    weight: str | None

    @classmethod
    def of(cls, path: str, labels: object, weight: str | None) -> Columns:
        """Return the columns as a user gives them: `labels` may be one name or several."""
        if labels is None or isinstance(labels, str):
            return cls(path, None if labels is None else (labels,), weight)
        if not isinstance(labels, Iterable) or isinstance(labels, set | frozenset | Mapping):
            raise ConfigError(f"label_columns={labels!r}: give the name of a column, or a list of names")
        return cls(path, tuple(labels), weight)


def read_manifest(file: Any, root: str, columns: Columns, classes: tuple[str, ...] | None, appended: str, finds_folders: bool) -> Manifest:
    """Read a manifest.

    Args:
        file: a path, or a data frame.
        root: absolute folder that relative paths are in.
        columns: which of them mean what.
        classes: names of all classes; None for those that occur.
        appended: the extension of files that are listed without one, such as `.npy`; may be empty.
        finds_folders: whether a line that names a folder is bad; if there are many lines, not all are looked at.

    Raises:
        DataNotFoundError: there is no such file, or no file is listed in it.
        ConfigError: it lacks a column.
        LabelError: lines are bad; lists them, with their numbers.
    """
    table = open_table(file, paths_only=columns.labels == ())
    bad = BadRows(table.where, table.unit)
    path, labels, weight = _chosen(table, columns)
    numbers, found = table.columns([path, *labels, *([weight] if weight else [])], bad)
    paths = _paths(found[0], numbers, root, bad)
    if finds_folders:
        _note_folders(paths, numbers, root, appended, bad)
    targets = _targets(found[1 : 1 + len(labels)], labels, numbers, paths, bad, table.is_text and classes is None)
    weights = _vector(found[1 + len(labels) :], [weight or ""], numbers, bad) if weight else None
    bad.raise_any()
    if not paths:
        raise DataNotFoundError(f"{table.where} lists no files")
    if targets is None or isinstance(targets, np.ndarray):
        values, names = targets, classes or ()
    elif table.is_text:
        values, names = parse_texts(targets, classes)
    else:
        values, names = number_classes(as_array(targets, None, f"{labels[0]!r} of {table.where}"), classes)
    return Manifest(paths, values, names, None if weights is None else weights[:, 0].copy())


def _chosen(table: Table, columns: Columns) -> tuple[str, list[str], str | None]:
    """Return the names of the columns with paths, labels and weights, as the table spells them."""
    path = _find(table, columns.path, "path_column")
    if columns.labels is None:
        label = _like(table.names, "label")
        _check_unlabelled(table, label, path)
        labels = [] if label is None else [label]
    else:
        labels = [_find(table, name, "label_columns") for name in columns.labels]
    weight = _find(table, columns.weight, "weight_column") if columns.weight is not None else _like(table.names, "weight")
    if columns.weight is not None and not labels:
        raise ConfigError("weight_column needs label_columns: a sample is (x, y, sample_weight)")
    return path, labels, weight if columns.weight is not None or (labels and weight not in labels) else None


def _find(table: Table, name: object, option: str) -> str:
    """Return a column that must be there. Raises ConfigError, which lists those that are."""
    if not isinstance(name, str):
        raise ConfigError(f"{option}: the name of a column must be a str, not {name!r}")
    found = _like(table.names, name)
    if found is not None:
        return found
    close = _closest(table.names, name)
    meant = f"; did you mean {close!r}?" if close else "."
    header = " A manifest begins with a header, such as the header 'path,label'; the columns may have other names" if table.is_text else ""
    raise ConfigError(f"{table.where} has no column {name!r}{meant} It has {columns_in_words(table.names)}; name one of them by {option}=.{header}")


def _check_unlabelled(table: Table, label: str | None, path: str) -> None:
    """Refuse to take a table for one without labels if the name of a column is similar to `label`."""
    close = _closest([name for name in table.names if name != path], "label")
    if label is None and close:
        raise ConfigError(f"{table.where} has no column 'label', but {close!r}: give label_columns={close!r}; or label_columns=() for no labels")


def _like(names: Sequence[str], name: str) -> str | None:
    """Return the column of this name, or one that differs only in case."""
    if name in names:
        return name
    return next((own for own in names if own.lower() == name.strip().lower()), None)


def _closest(names: Sequence[str], name: str) -> str | None:
    import difflib

    lowered = {own.lower(): own for own in names}
    close = difflib.get_close_matches(name.lower(), lowered, 1, 0.7)
    return lowered[close[0]] if close else None


def _paths(values: Sequence[Any], numbers: Sequence[int], root: str, bad: BadRows) -> list[str]:
    """Return the paths as they are written on this system; notes lines that have none."""
    paths = [value if isinstance(value, str) else path_text(value) if isinstance(value, os.PathLike) else "" for value in values]
    if not all(map(str.strip, paths)):
        for number, path, value in zip(numbers, paths, values, strict=True):
            if not path.strip():
                bad.add(number, "has no path" if is_missing(value) else f"its path is {value!r}, which is not text")
    backslashed = next((path for path in paths if "\\" in path), None)
    if backslashed is not None and not os.path.lexists(os.path.join(root, backslashed)):  # written on Windows; here a name may hold a backslash
        for number, path in zip(numbers, paths, strict=True):
            if path[1:3] == ":\\":
                bad.add(number, f"{path!r} is an absolute path of Windows; make it relative to a folder, and give that as root=")
        paths = [path.replace("\\", "/") for path in paths]
    return paths


def _note_folders(paths: Sequence[str], numbers: Sequence[int], root: str, appended: str, bad: BadRows) -> None:
    """Note lines that name a folder; if there are many lines, only some are looked at, spread over them."""
    step = max(1, len(paths) // _LOOKED_AT)
    for place in {*range(0, len(paths), step), *(place for place, path in enumerate(paths) if path[-1:] == "/")}:
        path = paths[place]
        if path and _is_folder(os.path.join(root, os.path.expanduser(path)), appended):
            bad.add(numbers[place], f"{path!r} is a folder; list the files in it, or give the folder by itself, without a manifest")


def _is_folder(place: str, appended: str) -> bool:
    return os.path.isdir(place) and (not appended or not os.path.isfile(place + appended))


def _targets(
    values: list[list[Any]], names: list[str], numbers: Sequence[int], paths: Sequence[str], bad: BadRows, find_odd: bool
) -> list[Any] | Array | None:
    """Return the labels of one column as they are, those of several as vectors of numbers; notes those that are missing or can't be labels."""
    if len(values) > 1:
        return _vector(values, names, numbers, bad)
    if not values:
        return None
    (labels,) = values
    for number, label, path in zip(numbers, labels, paths, strict=True):
        if is_missing(label):
            bad.add(number, f"{path!r} has no label; give it one, or leave the line out")
    if find_odd:
        for place in odd_numbers(labels):
            bad.add(numbers[place], f"the label {labels[place]!r} is not a number, but most are; if all are names, give classes=")
    return labels


def _vector(columns: list[list[Any]], names: Sequence[str], numbers: Sequence[int], bad: BadRows) -> Array:
    """Return columns of numbers as one vector per row, float32; notes what is not a number."""
    made = np.zeros((len(numbers), len(columns)), np.float32)
    for place, (column, name) in enumerate(zip(columns, names, strict=True)):
        for row, value in enumerate(column):
            try:
                number = float(value)
            except (TypeError, ValueError):
                number = math.nan
            if abs(number) <= _LARGEST:
                made[row, place] = number
            else:
                problem = f"{name} is {value!r}, not a number" + ("" if number != number else f" that float32 can hold, at most {_LARGEST:.1e}")
                bad.add(numbers[row], f"{name} is missing" if is_missing(value) else problem)
    return made


def check_options(options: Iterable[str]) -> None:
    """Refuse arguments for what the manifest itself says, and misspelt options about its columns."""
    import difflib

    for name in _NOT_GIVEN:
        if name in options:
            raise ConfigError(f"from_manifest takes no {name}=, because the manifest has them: give label_columns= and weight_column=")
    for name in options:
        close = difflib.get_close_matches(name, _OPTIONS, 1, 0.75)
        if close:
            raise ArgumentError(f"from_manifest has no argument {name!r} (did you mean {close[0]}?)")
