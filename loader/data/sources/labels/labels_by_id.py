"""Labels by ID or by path: from a dict or a table to the order of the files, and what to say if a file has none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from loader.data.sources.files.path_index import PathIndex
from loader.errors import LabelError

_MISSING = object()


def by_id(labels: Mapping[Any, Any], index: PathIndex, what: str) -> list[Any]:
    """Return the labels of a dict by ID, in the order of the files; its other keys are ignored."""
    ids = index.ids()
    _check_distinct(ids, index, what)
    values = [labels.get(name, _MISSING) for name in ids]
    missing = [name for name, value in zip(ids, values, strict=True) if value is _MISSING]
    if missing:
        raise LabelError(f"{_count(missing, len(ids), what)}; {_hint(labels, missing[0], index)}")
    return values


def by_path(table: Mapping[str, str], index: PathIndex, path: str, what: str) -> list[str]:
    """Return the labels of a `.csv`, whose first column may hold IDs or paths, with or without extension, even absolute ones."""
    table = {index.relative(key): label for key, label in table.items()}
    ids, paths = index.ids(), index.relative_paths()
    _check_distinct([name for name, full in zip(ids, paths, strict=True) if full not in table and name in table], index, what)
    values = [table.get(full, table.get(name)) for name, full in zip(ids, paths, strict=True)]
    missing = [name for name, value in zip(index.ids(), values, strict=True) if not value]
    if missing:
        empty = missing[0] in table or f"{missing[0]}.npy" in table
        hint = "the label in its line is empty" if empty else _hint(table, missing[0], index)
        raise LabelError(f"{path}: {_count(missing, len(values), what)}; {hint}")
    return [value for value in values if value]


def _check_distinct(ids: Sequence[str], index: PathIndex, what: str) -> None:
    """Raise LabelError if two different files have one of these IDs, as `a.jpg` and `a.png` do. The same file may be there twice."""
    if len(set(ids)) == len(ids):
        return
    wanted = set(ids)
    found: dict[str, str] = {}
    for name, path in zip(index.ids(), index.relative_paths(), strict=True):
        if name in wanted and found.setdefault(name, path) != path:
            raise LabelError(
                f"{what} by ID: {found[name]!r} and {path!r} have one ID, {name!r}, a path without its extension, so it is not clear which one is "
                "meant. Give a .csv with whole paths, or an array in the order of the files; or rename or leave out one of them"
            )


def _count(missing: Sequence[str], total: int, what: str) -> str:
    return f"no {what.removesuffix('s')} for {len(missing):,} of {total:,} files, the first is {missing[0]!r}"


def _hint(labels: Mapping[Any, Any], name: str, index: PathIndex) -> str:
    """Return why the ID `name` may be no key of `labels`, by looking at keys that resemble it."""
    rule = f"keys are IDs: the path relative to root={index.root!r}, without extension"
    if not labels:
        return f"the dict of labels is empty ({rule})"
    first = next(iter(labels))
    if isinstance(first, int):
        return f"a key that is there: {first!r}, a number ({rule}). For weights by class number: Loader(..., class_weight=...)"
    if not isinstance(first, str):
        return f"a key that is there: {first!r}, of type {type(first).__name__} ({rule}, as str)"
    short = name.rpartition("/")[2]
    if f"{name}.npy" in labels:
        return f"there is a key {name + '.npy'!r}, with extension ({rule})"
    if short != name and (short in labels or f"{short}.npy" in labels):
        return f"there is a key {short!r}, without the folder ({rule}): give another root, or put the folder into the keys"
    endings = (f"/{name}", f"/{name}.npy")
    longer = next((key for key in islice(labels, 100_000) if isinstance(key, str) and key.endswith(endings)), None)
    if longer is not None:
        return f"there is a key {longer!r}, with more folders ({rule}): give another root"
    return f"a key that is there: {first!r} ({rule})"
