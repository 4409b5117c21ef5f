"""Rows of text files of every origin: understands comments, byte-order marks and quotes, and reports files that are not text."""

from __future__ import annotations

import codecs
import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence

from loader.errors import ConfigError, DataNotFoundError

_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas"}
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SHOWN = 6  # columns that a message lists
_COMMENT = "#"


def read_text(path: str) -> str:
    """Return a file as text: UTF-8, or UTF-16 if it begins with that byte-order mark."""
    if os.path.isdir(path):
        raise DataNotFoundError(f"{path} is a folder; this takes a text file. For the files in a folder, give the folder as paths, or to from_folder")
    if not os.path.isfile(path):
        raise DataNotFoundError(f"{path} does not exist, or is no file; the working directory is {os.getcwd()}")
    with open(path, "rb") as file:
        content = file.read()
    try:
        return content.decode("utf-16" if content.startswith(_UTF16) else "utf-8-sig")  # -sig: Excel puts a byte-order mark before the header
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text (byte {error.start:,}); save it as UTF-8") from None


def text_lines(path: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file that are neither empty nor a comment, stripped, with their numbers."""
    for number, line in enumerate(io.StringIO(read_text(path), newline=None), 1):
        text = line.strip()
        if text and not text.startswith(_COMMENT):
            yield number, text


def csv_rows(path: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a `.csv` or `.tsv` that are neither empty nor a comment, with the number of their (last) line."""
    text = read_text(path)
    comments = _Comments()
    lines = io.StringIO(text, newline="")  # `str.splitlines` would also split at characters that a field may hold
    reader = csv.reader(comments.left_out(lines) if _COMMENT in text else lines, delimiter=separator_of(path))
    try:
        for row in reader:
            if any(map(str.strip, row)):
                yield reader.line_num + comments.count, row
            comments.row_begins = True
    except csv.Error as error:
        raise ConfigError(f"{path}, line {reader.line_num + comments.count}: {error}") from None


def separator_of(path: str) -> str:
    """Return what separates the columns of a file, by its name."""
    return "\t" if path.lower().endswith(".tsv") else ","


def columns_in_words(row: Sequence[str], separator: str = ",") -> str:
    """Return the columns of a row in words, and what may separate them instead."""
    listed = f"{len(row)} column{'s' if len(row) > 1 else ''}, {', '.join(map(repr, row[:_SHOWN]))}{', ...' if len(row) > _SHOWN else ''}"
    other = next((name for sign, name in _SEPARATORS.items() if len(row) == 1 and sign != separator and sign in row[0]), None)
    return f"{listed} (columns are separated by {_SEPARATORS[separator]} here, not by {other})" if other else listed


class _Comments:
    """Takes comments out of the lines for a `csv.reader`. What begins inside a quoted field is not one.

    Attributes:
        count: of comments, so far.
        row_begins: whether the next line is the first one of a row.
    """

    def __init__(self) -> None:
        self.count = 0
        self.row_begins = True

    def left_out(self, lines: Iterable[str]) -> Iterator[str]:
        """Yield the lines that are not comments."""
        for line in lines:
            if self.row_begins and line.lstrip().startswith(_COMMENT):
                self.count += 1
            else:
                self.row_begins = False
                yield line
