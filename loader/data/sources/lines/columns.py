"""What a user says about files, their format and their columns, compared with what is in them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loader.data.decode.decoder import Undecodable
from loader.data.decode.text_decoder import decode_utf8
from loader.data.sources.lines.line_index import LineIndex, TextFiles
from loader.data.sources.lines.row_formats import CsvRows, JsonRows, RowFormat, keys_of, listed, split_csv
from loader.errors import ConfigError, DataNotFoundError, DecodeError

Column = str | int

_FORMATS = ("lines", "csv", "jsonl")
_BY_EXTENSION = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl"}


@dataclass(frozen=True)
class Format:
    """How the rows of files are written.

    Attributes:
        name: `"lines"`, `"csv"` or `"jsonl"`.
        delimiter: of CSV.
    """

    name: str
    delimiter: str

    @property
    def is_csv(self) -> bool:
        """Whether rows have fields, and may span several lines."""
        return self.name == "csv"


@dataclass(frozen=True)
class Chosen:
    """What a user says about rows.

    Attributes:
        text: the column with the text: its name, number or key; None: the only one that is no label.
        labels: columns of labels.
        header: whether the first row of a CSV file names its columns.
        whole_rows: whether a row is one text if no column is given.
    """

    text: Column | None
    labels: tuple[Column, ...]
    header: bool
    whole_rows: bool


def format_of(paths: Sequence[str], given: str | None, delimiter: str | None) -> Format:
    """Return the format of files, as given or by their extensions. Raises ConfigError if it is not a format, or not the same for all."""
    if given is not None and (not isinstance(given, str) or given not in _FORMATS):
        raise ConfigError(f"format={given!r}: must be one of {', '.join(map(repr, _FORMATS))}")
    extensions = sorted({os.path.splitext(path)[1].lower() for path in paths})
    names = sorted({_BY_EXTENSION.get(extension, "lines") for extension in extensions})
    if given is None and len(names) > 1:
        raise ConfigError(
            f"the files end with {', '.join(map(repr, extensions))}, which are not of one format; give format=, or join several sources with +"
        )
    name = given or names[0]
    if delimiter is None:
        return Format(name, "\t" if extensions == [".tsv"] else ",")
    if name != "csv":
        raise ConfigError(f"delimiter={delimiter!r}: is for CSV files; the format of these is {name!r}. Give format='csv' if they are")
    if not isinstance(delimiter, str) or len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n':
        raise ConfigError(f"delimiter={delimiter!r}: must be one ASCII character, such as ',' or '\\t'")
    return Format(name, delimiter)


def as_columns(given: object) -> tuple[Column, ...]:
    """Return columns as given: one, several, or none. Whether they exist shows when the files are known."""
    if given is None:
        return ()
    return tuple(given) if isinstance(given, list | tuple) else (given,)  # type: ignore[return-value]


def choose_rows(kind: Format, index: LineIndex, files: TextFiles, chosen: Chosen) -> tuple[LineIndex, tuple[RowFormat, ...] | None]:
    """Return the lines that are samples, and how a row of each file is read; None if whole lines are the texts.

    Args:
        kind: of all files.
        index: of all lines.
        files: the same as in the index.
        chosen: what the user says.

    Raises:
        ConfigError: there is no such column, or several and none was chosen.
        DataNotFoundError: there is no line.
    """
    if not len(index):
        more = f" and {len(index.paths) - 1:,} more" if len(index.paths) > 1 else ""
        raise DataNotFoundError(f"{index.paths[0]}{more}: there are no lines, or only empty ones; it has {int(index.sizes.sum()):,} bytes")
    if not isinstance(chosen.header, bool):
        raise ConfigError(f"header={chosen.header!r}: must be True or False; the columns are named by text_column= and label_columns=")
    given = [*([] if chosen.text is None else [chosen.text]), *chosen.labels]
    if kind.name == "lines":
        if given:
            raise ConfigError(
                f"{index.paths[0]} is read as lines, which have no columns such as {given[0]!r}. If it has columns, give format='csv' or 'jsonl'"
            )
        return index, None
    for column in given:
        if isinstance(column, bool) or not isinstance(column, str | int if kind.is_csv else str):
            raise ConfigError(f"{column!r} is not a column: it must be a name{', or a number from 0 up' if kind.is_csv else ''}")
    if not kind.is_csv:
        return index, (_json(index, files, chosen),) * len(index.paths)
    formats = _csv(kind.delimiter, index, files, chosen)
    samples = index.without_first() if chosen.header else index
    if not len(samples):
        raise DataNotFoundError(f"{index.paths[0]} has a row that names the columns, and no other. If that is a sample, give header=False")
    return samples, formats


def _json(index: LineIndex, files: TextFiles, chosen: Chosen) -> RowFormat:
    if chosen.text is None and not chosen.whole_rows:
        first = index.file_of(0)
        path = index.paths[first]
        try:
            keys = keys_of(_first_row(index, files, first))
        except Undecodable as error:
            raise DecodeError(path, f"line {index.line_number(0, files)}: {error}") from None
        raise ConfigError(f"text_column= is missing: which key of each line of {path} has the text? The first line has {listed(keys)}")
    return JsonRows(chosen.text, chosen.labels)  # type: ignore[arg-type]


def _csv(delimiter: str, index: LineIndex, files: TextFiles, chosen: Chosen) -> tuple[RowFormat, ...]:
    formats: list[RowFormat] = []
    before = 0
    for file, end in enumerate(index.ends.tolist()):
        if end == before:  # an empty file
            formats.append(CsvRows(delimiter, 0, None, ()))
            continue
        before, path = end, index.paths[file]
        names = _first_fields(index, files, file, delimiter)
        text_place = None if chosen.text is None else _place(names, chosen.text, path, chosen.header)
        label_places = [_place(names, label, path, chosen.header) for label in chosen.labels]
        if chosen.text is None and not chosen.whole_rows:
            others = [place for place in range(len(names)) if place not in label_places]
            if len(others) != 1:
                shown = listed(names) if chosen.header else f"{len(names)} columns"
                raise ConfigError(f"text_column= is missing: which column of {path} has the text? It has {shown}")
            text_place = others[0]
        formats.append(CsvRows(delimiter, len(names), text_place, label_places))
    return tuple(formats)


def _place(names: list[str], column: Column, path: str, header: bool) -> int:
    """Return the place of a column, given by its name or as a place."""
    if isinstance(column, int):
        if not 0 <= column < len(names):
            raise ConfigError(f"{path} has no column {column}: its first row has {len(names)}, 0 to {len(names) - 1}")
        return column
    if not header:
        raise ConfigError(f"column {column!r} is a name, and with header=False columns have none; give its number, from 0 up")
    if names.count(column) != 1:
        problem = "no" if column not in names else "more than one"
        raise ConfigError(f"{path} has {problem} column {column!r}; its first row names {listed(names)}. Without such a row: header=False")
    return names.index(column)


def _first_fields(index: LineIndex, files: TextFiles, file: int, delimiter: str) -> list[str]:
    """Return the fields of the first row of a file."""
    try:
        return [decode_utf8(memoryview(field)).strip() for field in split_csv(bytes(_first_row(index, files, file)), delimiter.encode())]
    except Undecodable as error:
        raise DecodeError(index.paths[file], f"its first row: {error}") from None


def first_rows(index: LineIndex, files: TextFiles) -> list[bytes]:
    """Return the first row of each file; of one without rows, nothing."""
    return [bytes(_first_row(index, files, file)) if rows else b"" for file, rows in enumerate(np.diff(index.ends, prepend=0).tolist())]


def _first_row(index: LineIndex, files: TextFiles, file: int) -> memoryview:
    return files.line(index, file, int(index.ends[file - 1]) if file else 0)
