"""Text: files with one text each, files of lines, and the rows of tables that name no files."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from loader.data.decode.decoder import Undecodable
from loader.data.decode.text_decoder import text
from loader.data.npy.refusals import not_a
from loader.data.sources.labels.text_rows import separator_of
from loader.data.sources.lines.row_formats import keys_of, split_csv
from loader.data.sources.lines.text_lines import TextLines
from loader.watch.inspect.finding import Contents, Finding, Look, batch_bytes, batch_lines, in_words, look_at, spread
from loader.watch.inspect.kinds.archives import LABELS
from loader.watch.inspect.snippet import write

_MOST_BYTES = 64 << 20  # of a file of lines that are read
_HEAD_BYTES = 4096
_DELIMITERS = ";\t|,"
_LONGEST = 4096  # sample that is proposed
_MOST_CLASSES = 100
_NUMBERS = """def numbers(row):
    fields = row.split({delimiter!r})
    return np.array([float(fields[k]) for k in {places}], np.float32)
"""
_JSON_NUMBERS = """def numbers(row):
    found = json.loads(row)
    return np.array([float(found[key]) for key in {keys}], np.float32)
"""
_NO_ROW = "has no row with a text or a number"
_TOKENS = "None: the bytes of the text; or give a tokenizer, a function: str -> numbers"


def look(paths: list[str], most: int) -> Look:
    """Look at the size and the beginning of files with one text each."""
    return look_at(paths, _size_of, most)


def contents(seen: Look) -> Contents:
    """Return how long the texts are, one in each file, and how they could be decoded."""
    if not seen.good:
        return Contents({}, {}, text(None, 128), None)
    lengths = [size for _, size in seen.good]
    length, sizes = _length(lengths), spread(lengths)
    remarks = (_TOKENS, "where each line is a sample: TextLines(..., decode=decode.text(None, 128))")
    return Contents(
        {"bytes of a text": sizes}, {"bytes of a text": in_words(sizes)} | batch_lines(length), text(None, length), length, remarks=remarks
    )


def lines_of(path: str, size: int | None = None) -> Finding:
    """Return how many lines a file has and how long they are.

    Args:
        path: of the file.
        size: if it is the beginning of a larger one: of that.

    Raises:
        Undecodable: there is none.
        OSError: it can't be read.
    """
    lengths, read, size = _line_lengths(path, size)
    whole = read == size
    length, sizes = _length(lengths), spread(lengths)
    facts: dict[str, Any] = {"path": path, "kind": "lines of text", "bytes": size, "lines": len(lengths), "all lines read": whole}
    counted = f"{len(lengths):,}" + ("" if whole else f" in the first {read:,} of {size:,} bytes")
    lines = {"path": path, "kind": facts["kind"], "lines": counted, "bytes of a line": in_words(sizes)}
    script = write(f"TextLines({path!r}, decode={text(None, length)!r})", "TextLines", "decode", remarks=[_TOKENS])
    return Finding(facts | {"bytes of a line": sizes} | batch_bytes(length), lines | batch_lines(length), script)


def rows_of(path: str) -> Finding:
    """Return which columns a table has, and which of them could be the text and the label. Raises Undecodable, OSError."""
    table = _table_at(path)
    is_json, delimiter, header, names, rows, columns = table.is_json, table.delimiter, table.header, table.names, table.rows, table.columns
    label, others = table.label, table.others
    facts: dict[str, Any] = {"path": path, "kind": "rows of a table", "columns": names, "rows looked at": len(rows), "label column": label}
    lines = {"path": path, "kind": facts["kind"], "columns": ", ".join(map(str, names)), "rows looked at": f"{len(rows):,}"}
    arguments, imported, code, remarks = [repr(path)], ["TextLines"], "", []
    if label is not None:
        lines["label column"] = str(label)
    if others and all(is_number(values) for values in others.values()):
        places = tuple(names.index(name) for name in others)
        nbytes = 4 * len(places)
        facts["numbers"] = list(others)
        lines["numbers"] = ", ".join(map(str, others))
        arguments.append("decode=numbers")
        code = _JSON_NUMBERS.format(keys=list(others)) if is_json else _NUMBERS.format(delimiter=delimiter.encode(), places=places)
    else:
        if not any(map(any, others.values())):
            raise Undecodable(_NO_ROW)
        column = table.text_column
        lengths = [len(value.encode()) for value in others[column]]
        nbytes, sizes = _length(lengths), spread(lengths)
        facts |= {"text column": column, "bytes of a text": sizes}
        lines |= {"text column": str(column), "bytes of a text": in_words(sizes)}
        arguments += [f"decode={text(None, nbytes)!r}", f"text_column={column!r}"]
        imported.append("decode")
        remarks.append(_TOKENS)
    arguments += [] if label is None else [f"label_columns={label!r}"]
    arguments += [] if header else ["header=False"]
    arguments += [] if is_json or delimiter == separator_of(path) else [f"delimiter={delimiter!r}"]
    parts = ("x",) if label is None else ("x", "y")
    script = write(f"TextLines({', '.join(arguments)})", *imported, code=code, parts=parts, remarks=remarks)
    histogram = {} if label is None else dict(Counter(columns[label]).most_common(_MOST_CLASSES))
    return Finding(facts | batch_bytes(nbytes), lines | batch_lines(nbytes), script, histogram)


def rows_source(paths: Sequence[str]) -> TextLines:
    """Return a source of the rows of tables, whole, in which a row is bad that has too few columns, or too many, or is no UTF-8.

    Raises Undecodable, DecodeError, LabelError, OSError.
    """
    table = _table_at(paths[0])
    kind = "jsonl" if table.is_json else "csv"
    delimiter = None if table.is_json or table.delimiter == separator_of(paths[0]) else table.delimiter
    return TextLines(
        list(paths),
        decode=text(None, _LONGEST),
        text_column=table.text_column,
        label_columns=table.label,
        format=kind,
        header=table.header,
        delimiter=delimiter,
    )


class _Table(NamedTuple):
    """The beginning of a table.

    Attributes:
        is_json: whether its rows are objects of JSON.
        delimiter: between the columns of CSV.
        header: whether its first row names the columns.
        names: of the columns, or their numbers.
        rows: as texts.
        label: the column that could be the label, or None.
    """

    is_json: bool
    delimiter: str
    header: bool
    names: list[Any]
    rows: list[list[str]]
    label: Any

    @property
    def columns(self) -> dict[Any, list[str]]:
        """Values of each column."""
        return {name: [row[place] for row in self.rows] for place, name in enumerate(self.names)}

    @property
    def others(self) -> dict[Any, list[str]]:
        """Values of each column but the label."""
        return {name: values for name, values in self.columns.items() if name != self.label}

    @property
    def text_column(self) -> Any:
        """The column with the longest texts."""
        others = self.others
        return max(others, key=lambda name: sum(map(len, others[name])))


def _table_at(path: str) -> _Table:
    """Read the beginning of a table. Raises Undecodable, OSError."""
    is_json = os.path.splitext(path)[1].lower() in (".jsonl", ".ndjson")
    lines = _head_rows(path)
    delimiter = _delimiter_of(path, lines[0])
    names, rows, header = _json_rows(lines) if is_json else _csv_rows(lines, delimiter.encode())
    table = _Table(is_json, delimiter, header, names, rows, None)
    return table._replace(label=_label_of(table.columns))


def is_number(texts: Sequence[str]) -> bool:
    """Whether all texts are numbers."""
    return all(map(_is_number, texts))


def mostly_numbers(texts: Sequence[str]) -> bool:
    """Whether more than half of the texts are numbers: then the others are mistakes."""
    return 2 * sum(map(_is_number, texts)) > len(texts)


def _size_of(path: str) -> int:
    """Return the size of a file of text. Raises Undecodable, OSError."""
    with open(path, "rb") as file:
        head = file.read(_HEAD_BYTES)
        _check_text(head)
        return os.fstat(file.fileno()).st_size


def _check_text(head: bytes) -> None:
    if not head or b"\0" in head:
        raise Undecodable(not_a("text", head[:64]))


def _line_lengths(path: str, size: int | None) -> tuple[list[int], int, int]:
    """Return the lengths of the lines that are not empty, in bytes, how much was read, and the size of the file."""
    with open(path, "rb") as file:
        content = file.read(_MOST_BYTES)
        size = os.fstat(file.fileno()).st_size if size is None else size
    _check_text(content[:_HEAD_BYTES])
    lengths = [len(line) for line in content.splitlines() if line]
    if not lengths:
        raise Undecodable("has no line that is not empty")
    return lengths, len(content), size


def _head_rows(path: str) -> list[bytes]:
    """Return the first lines of a table."""
    with open(path, "rb") as file:
        content, more = file.read(_MOST_BYTES), file.read(1)
    _check_text(content[:_HEAD_BYTES])
    rows = [line for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()]
    if not rows:
        raise Undecodable(_NO_ROW)
    return rows[:-1] if more else rows


def _delimiter_of(path: str, first: bytes) -> str:
    """Return what separates the columns of a table: what its name says, unless its first row is one column, and several by another sign."""
    usual = separator_of(path)
    other = max(_DELIMITERS, key=lambda sign: first.count(sign.encode()))
    return other if usual.encode() not in first and other.encode() in first else usual


def _csv_rows(lines: Sequence[bytes], delimiter: bytes) -> tuple[list[Any], list[list[str]], bool]:
    """Return the names of the columns, or their numbers where they have none; rows, as texts; and whether there are names."""
    rows: list[list[str]] = []
    pending = b""
    for line in lines:
        pending = pending + b"\n" + line if pending else line
        if pending.count(b'"') % 2 == 0:  # else the row goes on in the next line
            rows.append([field.decode("utf-8", "replace").strip() for field in split_csv(pending.rstrip(b"\r"), delimiter)])
            pending = b""
    if not rows:
        raise Undecodable("has a quote in its first row that does not end")
    first = rows[0]
    header = not any(_is_number(name) or not name for name in first) and len(set(first)) == len(first) and len(rows) > 1
    names: list[Any] = list(first) if header else list(range(len(first)))
    return names, [row for row in rows[header:] if len(row) == len(names)], header


def _json_rows(lines: Sequence[bytes]) -> tuple[list[Any], list[list[str]], bool]:
    names = keys_of(memoryview(lines[0]))
    rows = [found for found in map(_json_object, lines) if found is not None]
    return names, [[_as_text(row.get(name)) for name in names] for row in rows], True


def _as_text(value: object) -> str:
    """Return a text or a number as text; nothing for other values, which are neither."""
    return str(value) if isinstance(value, str | int | float) else ""


def _json_object(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _label_of(columns: dict[Any, list[str]]) -> Any:
    """Return the column that could be the label: by its name, or the one with the fewest different values, which repeat; None for none."""
    for wanted in LABELS:
        for name in columns:
            if str(name).lower() == wanted and len(columns) > 1:
                return name
    numeric = {name for name, values in columns.items() if is_number(values)}
    repeated = {name: len(set(values)) for name, values in columns.items() if 1 < len(set(values)) <= min(_MOST_CLASSES, len(values) // 2)}
    if len(numeric) == len(columns) or len(columns) < 2:
        return None  # nothing tells one number from the others
    whole = {name: count for name, count in repeated.items() if not (name in numeric and any("." in value for value in columns[name]))}
    return min(whole, key=lambda name: (name in numeric, whole[name])) if whole else None


def _length(lengths: Sequence[int]) -> int:
    """Return the length to which texts could be cut or padded: of a power of two the smallest that holds 95 % of them whole."""
    wanted = float(np.percentile(lengths, 95))
    return min(_LONGEST, 1 << max(0, int(np.ceil(np.log2(max(wanted, 1))))))


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
