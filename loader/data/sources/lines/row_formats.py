"""What is in a row of a text file: the whole line, a column of CSV, a key of a JSON object."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from loader.data.decode.decoder import Undecodable
from loader.data.decode.text_decoder import decode_utf8

_SHOWN = 10


class RowFormat(ABC):
    """Finds the text and the label in a row. Immutable and picklable."""

    @abstractmethod
    def text(self, row: memoryview) -> memoryview:
        """Return the text in a row, as UTF-8. Raises Undecodable."""

    @abstractmethod
    def labels(self, row: memoryview) -> list[Any]:
        """Return the labels in a row: texts or numbers. Raises Undecodable."""


class CsvRows(RowFormat):
    """Fields with a delimiter between them, each in quotes or not (RFC 4180).

    Args:
        delimiter: one ASCII character.
        width: fields of each row.
        text: place of the field with the text; None for the whole row.
        labels: places of those with labels.
    """

    def __init__(self, delimiter: str, width: int, text: int | None, labels: Sequence[int]) -> None:
        self._delimiter = delimiter
        self._width = width
        self._text = text
        self._labels = tuple(labels)

    def text(self, row: memoryview) -> memoryview:
        if self._text is None:
            return row
        return memoryview(self._fields(row)[self._text])

    def labels(self, row: memoryview) -> list[Any]:
        fields = self._fields(row)
        return [decode_utf8(memoryview(fields[place])).strip() for place in self._labels]

    def _fields(self, row: memoryview) -> list[bytes]:
        fields = split_csv(bytes(row), self._delimiter.encode())
        if len(fields) != self._width:
            more = f"more than the {self._width}" if len(fields) > self._width else f"of {self._width}"
            hint = f". A field that holds a {self._delimiter!r} must be in quotes" if len(fields) > self._width else ""
            raise Undecodable(f"has {len(fields)} columns, {more} of the first row{hint}")
        return fields


def split_csv(row: bytes, delimiter: bytes) -> list[bytes]:
    """Return the fields of a row of CSV. Python's `csv` would refuse long ones, by a limit that belongs to the whole process (131,072).

    Raises:
        Undecodable: quotes are not as they should be.
    """
    return quoted_fields(row, delimiter) if b'"' in row else row.split(delimiter)


def quoted_fields(row: bytes | memoryview, delimiter: bytes) -> list[bytes]:
    """Return the fields of a row of CSV in which there are quotes. Raises Undecodable as `split_csv` does."""
    other = re.escape(delimiter)
    pattern = re.compile(rb'(?:"([^"]*(?:""[^"]*)*)"|([^"\n' + other + rb"][^\n" + other + rb"]*)?)(?:(" + other + rb")|\Z)")
    fields: list[bytes] = []
    place = 0
    while True:
        match = pattern.match(row, place)
        if match is None:
            raise Undecodable(
                f"is not a row of a CSV file: column {len(fields) + 1} has an unmatched quote. A field that contains quotes must be in quotes, "
                'and each quote in it is written twice: "5"" disk"'
            )
        quoted, plain, more = match.groups()
        fields.append((plain or b"") if quoted is None else quoted.replace(b'""', b'"'))
        if more is None:
            return fields
        place = match.end()


class JsonRows(RowFormat):
    """One JSON object a line.

    Args:
        text: key of the text; None for the whole line.
        labels: keys of labels.
    """

    def __init__(self, text: str | None, labels: Sequence[str]) -> None:
        self._text = text
        self._labels = tuple(labels)

    def text(self, row: memoryview) -> memoryview:
        if self._text is None:
            return row
        value = _value(_object(row), self._text)
        if not isinstance(value, str):
            raise Undecodable(f"has no text at {self._text!r}, but {value!r:.40}")
        try:
            return memoryview(value.encode())
        except UnicodeEncodeError as error:
            raise Undecodable(f"has at {self._text!r} a string that is not valid Unicode: {error.reason}") from None

    def labels(self, row: memoryview) -> list[Any]:
        found = _object(row)
        values = [_value(found, key) for key in self._labels]
        return [value.strip() if isinstance(value, str) else value for value in values]


def _value(found: dict[str, Any], key: str) -> Any:
    try:
        return found[key]
    except KeyError:
        raise Undecodable(f"has no {key!r}; it has {listed(list(found))}") from None


def _object(row: memoryview) -> dict[str, Any]:
    text = decode_utf8(row)
    try:
        found = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise Undecodable(f"is not JSON: {error}{_if_array(text)}") from None
    if not isinstance(found, dict):
        raise Undecodable(f"is not a JSON object but {found!r:.40}{_if_array(text)}")
    return found


def _if_array(text: str) -> str:
    """Return what to do with a file that is one array of objects; nothing if the row does not look so."""
    if not text.lstrip().startswith("["):
        return ""
    return ". One object per line is read; of one array, pandas.read_json(path).to_json(new, orient='records', lines=True) makes such lines"


def keys_of(row: memoryview) -> list[str]:
    """Return the keys of a row of JSON. Raises Undecodable."""
    return list(_object(row))


def listed(names: Sequence[Any]) -> str:
    """Return names of columns in words."""
    return ", ".join(map(repr, names[:_SHOWN])) + (f", ... ({len(names):,} in all)" if len(names) > _SHOWN else "") if names else "none"
