"""Text files of labels: a `.csv` that gives labels to IDs, and manifests (`.csv` or `.txt`) that list the files themselves."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass

from loader.errors import ConfigError, DataNotFoundError, LabelError

_NAME_COLUMNS = ("path", "id")
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_SHOWN = 6  # columns that a message lists


@dataclass(frozen=True)
class Manifest:
    """The columns of a manifest, as text. `weights` is None where it has no such column."""

    paths: list[str]
    labels: list[str]
    weights: list[float] | None


def read_label_table(path: str) -> dict[str, str]:
    """Read a `.csv` of labels as `{path or id: label}`.

    Its header names the columns `label` and `path` or `id`; a file without header has two columns, the label second. Labels may be empty here.

    Raises:
        LabelError: a line has too few columns, or a file is labelled twice and differently; names the line.
    """
    table: dict[str, str] = {}
    columns = (0, 1)
    for number, (line, row) in enumerate(_csv_rows(path)):
        if number == 0:
            header = [name.strip().lower() for name in row]
            if "label" in header and any(name in header for name in _NAME_COLUMNS):
                columns = (header.index(next(name for name in _NAME_COLUMNS if name in header)), header.index("label"))
                continue
            if len(row) != 2:
                raise LabelError(f"{path}, line {line}: {_columns(row)}; two without a header; with one, it names the columns path (or id) and label")
        if len(row) <= max(columns):
            raise LabelError(f"{path}, line {line}: {_columns(row)}; expected a label in column {columns[1] + 1}")
        key, label = row[columns[0]].strip(), row[columns[1]].strip()
        if table.setdefault(key, label) != label:
            raise LabelError(f"{path}, line {line}: {key!r} has the label {label!r}, and {table[key]!r} in an earlier line")
    return table


def read_manifest(path: str) -> Manifest:
    """Read a manifest: `.csv` with the header `path,label[,weight]`, or lines `path label` where the path may hold spaces.

    Raises:
        DataNotFoundError: there is no such file, or no file listed in it.
        ConfigError: it has not the columns that it needs.
        LabelError: a line lacks its label, or its weight is no number; names the line.
    """
    manifest = _read_csv_manifest(path) if path.lower().endswith(".csv") else _read_text_manifest(path)
    if not manifest.paths:
        raise DataNotFoundError(f"{path} lists no files")
    return manifest


def _read_csv_manifest(path: str) -> Manifest:
    rows = _csv_rows(path)
    header = [name.strip().lower() for name in next(rows, (0, []))[1]]
    if "path" not in header or "label" not in header:
        raise ConfigError(f"{path} begins with {_columns(header)}; a manifest begins with the header 'path,label' or 'path,label,weight'")
    paths, labels, weights = [], [], []
    for line, row in rows:
        if len(row) < len(header):
            raise LabelError(f"{path}, line {line}: {_columns(row)}, the header has {len(header)}")
        paths.append(row[header.index("path")].strip())
        labels.append(row[header.index("label")].strip())
        if not labels[-1]:
            raise LabelError(f"{path}, line {line}: {paths[-1]!r} has no label; give it one, or leave the line out")
        if "weight" in header:
            weights.append(_number(row[header.index("weight")], f"{path}, line {line}: the weight"))
    return Manifest(paths, labels, weights if "weight" in header else None)


def _read_text_manifest(path: str) -> Manifest:
    paths, labels = [], []
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not line.strip():
            continue
        fields = line.strip().rsplit(None, 1)
        if len(fields) != 2:
            raise LabelError(f"{path}, line {number}: {line.strip()!r} is no 'path label'")
        paths.append(fields[0])
        labels.append(fields[1])
    return Manifest(paths, labels, None)


def _columns(row: list[str]) -> str:
    """Return the columns of a row in words, and what may separate them instead of commas."""
    listed = f"{len(row)} column{'s' if len(row) > 1 else ''}, {', '.join(map(repr, row[:_SHOWN]))}{', ...' if len(row) > _SHOWN else ''}"
    other = next((name for sign, name in _SEPARATORS.items() if len(row) == 1 and sign in row[0]), None)
    return f"{listed} (columns are separated by commas here, not by {other})" if other else listed


def _csv_rows(path: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a `.csv` that are not empty, with the number of their line."""
    reader = csv.reader(_text(path).splitlines(keepends=True))
    try:
        for row in reader:
            if any(field.strip() for field in row):
                yield reader.line_num, row
    except csv.Error as error:
        raise ConfigError(f"{path}, line {reader.line_num}: {error}") from None


def _text(path: str) -> str:
    if not os.path.isfile(path):
        raise DataNotFoundError(f"{path} does not exist, or is no file; the working directory is {os.getcwd()}")
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:  # -sig: Excel puts a byte order mark before the header
            return file.read()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text (byte {error.start:,}); save it as UTF-8") from None


def _number(text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise LabelError(f"{what} is {text!r}, not a number") from None
