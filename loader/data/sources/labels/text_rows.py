"""Rows of text files of every origin: understands comments, byte-order marks and quotes, and reports files that are not text."""

from __future__ import annotations

import codecs
import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence

from loader.errors import ConfigError, DataNotFoundError, LabelError

_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas"}
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SHOWN = 6  # columns that a message lists
_COMMENT = "#"
_QUOTES = '. Is a quote missing, or one too many? A field that contains quotes must be in quotes, and each quote in it is written twice: "5"" disk"'


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
    """Yield the rows of a `.csv` or `.tsv` that are neither empty nor a comment, with the number of their first line.

    Raises:
        LabelError: a quote is not closed in its field, so that lines are taken for a part of the row before them.
        ConfigError: a field is too long.
    """
    text = read_text(path)
    comments = _Comments()
    lines = io.StringIO(text, newline="")  # `str.splitlines` would also split at characters that a field may hold
    separator = separator_of(path)
    reader = csv.reader(comments.left_out(lines) if _COMMENT in text else lines, delimiter=separator)
    before = begin = 0
    try:
        for row in reader:
            more = reader.line_num - before - 1
            number = reader.line_num + comments.count - more
            if more > 0:
                _check_quotes(text[begin : lines.tell()], separator, f"{path}, line {number}", number + more)
            if any(map(str.strip, row)):
                yield number, row
            before, begin = reader.line_num, lines.tell()
            comments.row_begins = True
    except csv.Error as error:
        raise ConfigError(f"{path}, line {before + 1 + comments.count}: {error}{_QUOTES if reader.line_num > before + 1 else ''}") from None


def _check_quotes(text: str, separator: str, where: str, last: int) -> None:
    """Raise LabelError unless the lines of a row belong together by the rules: a lenient reader takes all lines up to any other quote for one field.

    Args:
        text: of the row, and of comments before it.
        separator: of the columns.
        where: the row begins, in words.
        last: number of its last line.
    """
    try:
        next(csv.reader(_Comments().left_out(io.StringIO(text, newline="")), delimiter=separator, strict=True))
    except csv.Error:
        raise LabelError(f"{where}: has a quote that is not closed, so all lines up to line {last} would belong to this row{_QUOTES}") from None


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
