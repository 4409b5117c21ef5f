"""A `.csv` that gives labels to IDs or paths."""

from __future__ import annotations

from loader.data.sources.labels.text_rows import columns_in_words, csv_rows
from loader.errors import LabelError

_NAME_COLUMNS = ("path", "id")


def read_label_table(path: str) -> dict[str, str]:
    """Read a `.csv` of labels as `{path or id: label}`.

    Its header names the columns `label` and `path` or `id`; a file without header has two columns, the label second. Labels may be empty here.

    Raises:
        LabelError: a line has too few columns, or a file is labelled twice and differently; names the line.
    """
    table: dict[str, str] = {}
    columns = (0, 1)
    for number, (line, row) in enumerate(csv_rows(path)):
        if number == 0:
            header = [name.strip().lower() for name in row]
            if "label" in header and any(name in header for name in _NAME_COLUMNS):
                columns = (header.index(next(name for name in _NAME_COLUMNS if name in header)), header.index("label"))
                continue
            if len(row) != 2:
                words = columns_in_words(row)
                raise LabelError(f"{path}, line {line}: {words}; two without a header; with one, it names the columns path (or id) and label")
        if len(row) <= max(columns):
            raise LabelError(f"{path}, line {line}: {columns_in_words(row)}; expected a label in column {columns[1] + 1}")
        key, label = row[columns[0]].strip(), row[columns[1]].strip()
        if table.setdefault(key, label) != label:
            raise LabelError(f"{path}, line {line}: {key!r} has the label {label!r}, and {table[key]!r} in an earlier line")
    return table
