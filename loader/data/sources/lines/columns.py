"""What a user says about the files, their format and their columns, against what is in them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from loader.data.decode.decoder import Undecodable
from loader.data.decode.text_decoder import decode_utf8
from loader.data.sources.lines.line_index import LineIndex
from loader.data.sources.lines.mapped_files import MappedFiles
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
        """Whether rows have fields, and may go over several lines."""
        return self.name == "csv"


def format_of(paths: Sequence[str], given: str | None, delimiter: str | None) -> Format:
    """Return the format of files, as given or by their extensions. Raises ConfigError where it is no format, or not the same for all."""
    if given is not None and given not in _FORMATS:
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


def choose_rows(
    kind: Format,
    index: LineIndex,
    files: MappedFiles,
    column: Column | None,
    label_column: Column | None,
    *,
    header: bool,
    whole_rows: bool,
) -> tuple[LineIndex, tuple[RowFormat, ...] | None]:
    """Return the lines that are samples, and how a row of each file is read; None where lines are texts as they are.

    Args:
        kind: of all files.
        index: of all lines.
        files: the same as in the index.
        column, label_column: as given.
        header: whether the first row of a CSV file names its columns.
        whole_rows: whether a row is one text where no column is given.

    Raises:
        ConfigError: there is no such column, or several and none was chosen.
        DataNotFoundError: there is no line.
    """
    if not len(index):
        more = f" and {len(index.paths) - 1:,} more" if len(index.paths) > 1 else ""
        raise DataNotFoundError(f"{index.paths[0]}{more}: no line is in it that is not empty; it has {int(index.sizes.sum()):,} bytes")
    if not isinstance(header, bool):
        raise ConfigError(f"header={header!r}: must be True or False; the columns are named by column= and label_column=")
    if kind.name == "lines":
        for name, value in (("column", column), ("label_column", label_column)):
            if value is not None:
                raise ConfigError(
                    f"{name}={value!r}: {index.paths[0]} is read as lines, which have no columns; for others give format='csv' or 'jsonl'"
                )
        return index, None
    for name, value in (("column", column), ("label_column", label_column)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, str if kind.name == "jsonl" else str | int)):
            raise ConfigError(f"{name}={value!r}: must be the name of a column{', or its number from 0 up' if kind.is_csv else ''}")
    if kind.name == "jsonl":
        return index, (_json(index, files, column, label_column, whole_rows),) * len(index.paths)
    formats = _csv(kind.delimiter, index, files, column, label_column, header, whole_rows)
    samples = index.without_first() if header else index
    if not len(samples):
        raise DataNotFoundError(f"{index.paths[0]} has a row that names the columns, and no other. If that is a sample, give header=False")
    return samples, formats


def _json(index: LineIndex, files: MappedFiles, column: Column | None, label: Column | None, whole_rows: bool) -> RowFormat:
    if column is None and not whole_rows:
        row = _first_row(index, files, 0)
        try:
            keys = keys_of(row)
        except Undecodable as error:
            raise DecodeError(index.paths[0], f"line 1: {error}") from None
        raise ConfigError(f"column= is missing: which key of each line of {index.paths[0]} has the text? The first line has {listed(keys)}")
    return JsonRows(column, label)  # type: ignore[arg-type]


def _csv(
    delimiter: str, index: LineIndex, files: MappedFiles, column: Column | None, label: Column | None, header: bool, whole_rows: bool
) -> tuple[RowFormat, ...]:
    formats: list[RowFormat] = []
    before = 0
    for file, end in enumerate(index.ends.tolist()):
        if end == before:  # an empty file
            formats.append(CsvRows(delimiter, 0, None, None))
            continue
        before, path = end, index.paths[file]
        names = _first_fields(index, files, file, delimiter)
        text_place = None if column is None else _place(names, column, path, header)
        label_place = None if label is None else _place(names, label, path, header)
        if column is None and not whole_rows:
            others = [place for place in range(len(names)) if place != label_place]
            if len(others) != 1:
                shown = listed(names) if header else f"{len(names)} columns"
                raise ConfigError(f"column= is missing: which column of {path} has the text? It has {shown}")
            text_place = others[0]
        formats.append(CsvRows(delimiter, len(names), text_place, label_place))
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


def _first_fields(index: LineIndex, files: MappedFiles, file: int, delimiter: str) -> list[str]:
    """Return the fields of the first row of a file."""
    try:
        return [decode_utf8(memoryview(field)).strip() for field in split_csv(bytes(_first_row(index, files, file)), delimiter.encode())]
    except Undecodable as error:
        raise DecodeError(index.paths[file], f"its first row: {error}") from None


def _first_row(index: LineIndex, files: MappedFiles, file: int) -> memoryview:
    row = int(index.ends[file - 1]) if file else 0
    start = int(index.starts[row])
    return memoryview(files.content(file))[start : start + int(index.lengths[row])]
