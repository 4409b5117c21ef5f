"""The forms of a table of files: `.csv`, `.tsv`, `.txt`, JSON lines, data frames. What their columns mean is decided elsewhere."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from loader.data.sources.files.file_listing import absolute_path
from loader.data.sources.labels.text_rows import columns_in_words, csv_rows, separator_of, text_lines
from loader.errors import ConfigError, DataNotFoundError, LabelError

_SHOWN = 10  # bad lines that an error lists
_JSON_LINES = (".jsonl", ".ndjson")
_BY_PANDAS = {".json": "read_json", ".parquet": "read_parquet", ".xlsx": "read_excel", ".xls": "read_excel", ".feather": "read_feather"}


class BadRows:
    """What is wrong with the rows of a table, so that one error can list all of it.

    Args:
        where: the table in words, such as its path.
        unit: what its rows are called, `line` or `row`.
    """

    def __init__(self, where: str, unit: str) -> None:
        self._where, self._unit = where, unit
        self._problems: dict[int, str] = {}

    def add(self, number: int, problem: str) -> None:
        """Note what is wrong with a row; of several things, the first."""
        self._problems.setdefault(number, problem)

    def raise_any(self) -> None:
        """Raise LabelError if there are any."""
        if not self._problems:
            return
        listed = [f"{self._unit} {number}: {problem}" for number, problem in sorted(self._problems.items())]
        if len(listed) == 1:
            raise LabelError(f"{self._where}, {listed[0]}")
        more = f"\n  and {len(listed) - _SHOWN:,} more" if len(listed) > _SHOWN else ""
        shown = "".join(f"\n  {line}" for line in listed[:_SHOWN])
        raise LabelError(f"{self._where}: {len(listed):,} {self._unit}s are bad; correct them, or leave them out:{shown}{more}")


class Table(ABC):
    """A table of files.

    Attributes:
        where: the table in words.
        unit: what its rows are called.
        names: of its columns.
        is_text: whether values are texts, which may have to be read as numbers; else they have types of their own.
    """

    where: str
    unit = "line"
    names: Sequence[str]
    is_text = True

    @abstractmethod
    def columns(self, wanted: Sequence[str], bad: BadRows) -> tuple[list[int], list[list[Any]]]:
        """Return the numbers of the rows, and the values of some columns. Rows that can't be read are noted in `bad` and left out."""


def open_table(file: Any, *, paths_only: bool) -> Table:
    """Return the table that a user means.

    Args:
        file: a path, or a data frame of pandas or polars.
        paths_only: whether the lines of a `.txt` hold a path and nothing else.
    """
    if hasattr(file, "collect"):  # of polars; to ask it for its columns would cost
        raise ConfigError(f"a {type(file).__name__} has not been computed yet; give frame.collect()")
    if hasattr(file, "columns") and hasattr(file, "__getitem__"):
        return _FrameTable(file)
    if not isinstance(file, str | os.PathLike):
        raise ConfigError(
            f"a manifest is the path of a .csv, .tsv, .txt or .jsonl file, or a DataFrame, not of type {type(file).__name__}; a list of paths is "
            "given to the class itself, with labels="
        )
    path = absolute_path(file)
    suffix = os.path.splitext(path)[1].lower()
    if suffix in (".csv", ".tsv"):
        return _CsvTable(path)
    if suffix in _JSON_LINES:
        return _JsonTable(path)
    if suffix in _BY_PANDAS and os.path.isfile(path):
        raise ConfigError(
            f"{path}: a manifest is a .csv, .tsv, .txt or .jsonl file, or a DataFrame: give pandas.{_BY_PANDAS[suffix]}({path!r}) in its place"
        )
    return _TextTable(path, paths_only)


class _CsvTable(Table):
    def __init__(self, path: str) -> None:
        self.where = path
        self._rows = csv_rows(path)
        self.names = [name.strip() for name in next(self._rows, (0, []))[1]]
        if not self.names:
            raise DataNotFoundError(f"{path} lists no files; it is empty")

    def columns(self, wanted: Sequence[str], bad: BadRows) -> tuple[list[int], list[list[Any]]]:
        width, separator = len(self.names), separator_of(self.where)
        numbers: list[int] = []
        found: list[list[Any]] = [[] for _ in wanted]
        taken = [(self.names.index(name), column.append) for name, column in zip(wanted, found, strict=True)]
        for number, row in self._rows:
            if len(row) != width and (len(row) < width or any(field.strip() for field in row[width:])):  # spreadsheets leave commas at the end
                more = "; a field that holds a separator must be in quotes" if len(row) > width else ""
                more = "; is a quote missing?" if any("\n" in field for field in row) else more
                bad.add(number, f"{columns_in_words(row, separator)}; the header has {width}{more}")
                continue
            numbers.append(number)
            for place, take in taken:  # a list of rows would keep the garbage collector busy
                take(row[place].strip())
        return numbers, found


class _TextTable(Table):
    """Lines `path label`, where the path may hold spaces; or lines with one path each, if none has a second word."""

    def __init__(self, path: str, paths_only: bool) -> None:
        self.where = path
        self._lines = list(text_lines(path))
        self._whole = paths_only or not any(len(line.split(None, 1)) == 2 for _, line in self._lines)
        self.names = ["path"] if self._whole else ["path", "label"]

    def columns(self, wanted: Sequence[str], bad: BadRows) -> tuple[list[int], list[list[Any]]]:
        numbers: list[int] = []
        paths: list[str] = []
        labels: list[str] = []
        for number, line in self._lines:
            path, *label = [line] if self._whole else line.rsplit(None, 1)
            if not label and not self._whole:
                bad.add(number, f"{line!r} is not of the form 'path label'; if all lines are paths without labels: label_columns=()")
                continue
            numbers.append(number)
            paths.append(path)
            labels.extend(label)
        return numbers, [{"path": paths, "label": labels}[name] for name in wanted]


class _JsonTable(Table):
    """Lines with one JSON object each."""

    is_text = False

    def __init__(self, path: str) -> None:
        self.where = path
        self._lines = [(number, _object(line)) for number, line in text_lines(path)]
        self.names = list(dict.fromkeys(name for _, line in self._lines if isinstance(line, dict) for name in line))

    def columns(self, wanted: Sequence[str], bad: BadRows) -> tuple[list[int], list[list[Any]]]:
        numbers: list[int] = []
        found: list[list[Any]] = [[] for _ in wanted]
        for number, line in self._lines:
            if not isinstance(line, dict):
                bad.add(number, line)
                continue
            numbers.append(number)
            for name, column in zip(wanted, found, strict=True):
                column.append(line.get(name))
        return numbers, found


class _FrameTable(Table):
    """A data frame of pandas or polars."""

    unit = "row"
    is_text = False

    def __init__(self, frame: Any) -> None:
        self.where = f"the {type(frame).__name__}"
        self._frame = frame
        self._keys = {str(key): key for key in frame.columns}
        self.names = list(self._keys)

    def columns(self, wanted: Sequence[str], bad: BadRows) -> tuple[list[int], list[list[Any]]]:
        columns = [self._frame[self._keys[name]] for name in wanted]
        if not all(hasattr(column, "to_list") for column in columns):
            raise ConfigError(f"{self.where} has several columns of one name, among {', '.join(map(repr, wanted))}; rename them")
        return list(range(len(self._frame))), [column.to_list() for column in columns]


def _object(line: str) -> dict[str, Any] | str:
    """Return the JSON object of a line, or what is wrong with it."""
    try:
        found = json.loads(line)
    except ValueError as error:
        return f"no JSON: {error}"
    return found if isinstance(found, dict) else f'a JSON {type(found).__name__}, not an object such as {{"path": ..., "label": ...}}'


def is_missing(value: Any) -> bool:
    """Return whether a value means that there is none: an empty text, None, NaN, or pandas' NA or NaT."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, float) and value != value) or type(value).__name__ in ("NAType", "NaTType")
