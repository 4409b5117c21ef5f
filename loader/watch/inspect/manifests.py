"""Manifests: tables of which a column names files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

from loader.data.remote.objects import MISSING
from loader.data.remote.options import StorageOptions
from loader.data.remote.scouting.scout import Scout
from loader.data.remote.urls import is_url
from loader.data.sources.files.byte_files import ByteFiles
from loader.data.sources.files.far_index import of_unknown
from loader.data.sources.files.npy_files import NpyFiles
from loader.data.sources.labels.manifest_tables import BadRows, is_missing, open_table
from loader.data.sources.labels.text_rows import separator_of
from loader.errors import LoaderError
from loader.watch.inspect.files import Files
from loader.watch.inspect.finding import MOST_HEADERS, SHOWN, Finding, count_of
from loader.watch.inspect.kinds.archives import LABELS
from loader.watch.inspect.kinds.kind import SUFFIXES, Kind, by_kind
from loader.watch.inspect.kinds.texts import is_number, mostly_numbers
from loader.watch.inspect.reach import Reach

_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".txt")
_LARGEST_BYTES = 256 << 20  # larger tables are rows of text: nobody lists so many files
_TRIED = 100  # values of a column that are looked for
_TRIED_FAR = 20
_TRIED_WITHOUT_ENDING = 10
_FOLDERS = 50  # beside the manifest in which they are looked for
_MOST_CLASSES = 1000
_PATH_NAMES = ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path")
_WEIGHT = "weight"


class Manifest:
    """A table, with its column of paths.

    Args:
        path: of the table; a URL, too.
        near: path of the table, or of a copy of it on this machine.

    Attributes:
        column: name of the column that names files; None if none does: then the table is not a manifest.
        root: folder that the paths are relative to, as a user gives it; None for that of the table.
        ending: what the paths lack at their end, such as `.jpg`; empty if they are whole.

    Raises:
        LoaderError: the table can't be read.
    """

    def __init__(self, path: str, near: str) -> None:
        self.path = path
        self._far = is_url(path)
        table = open_table(near, paths_only=False)
        self.names = list(dict.fromkeys(table.names))
        _, values = table.columns(self.names, BadRows(table.where, table.unit))
        self.columns: dict[str, list[Any]] = dict(zip(self.names, values, strict=True))
        self.ending = ""
        self.column, self.root = self._find_paths()
        if self.column is None and not self._far and path.lower().endswith((".csv", ".tsv")):
            self._find_ending()

    def files(self) -> Files:
        """Return the files that are listed, and how they are labelled."""
        paths = self._paths()
        kind, found = next(iter(by_kind(paths).items()))
        if kind is Kind.OTHER and self._there([paths[0] + ".npy"]):
            kind, found = Kind.NPY, [path + ".npy" for path in paths]
        assert self.column is not None
        labels = self._labels()
        options: dict[str, Any] = {} if self.column.lower() == "path" else {"path_column": self.column}
        if labels != ("label",):
            options["label_columns"] = labels[0] if len(labels) == 1 else list(labels) or ()
        if self.root is not None:
            options["root"] = self.root
        parts = ("x", "y")[: 1 + bool(labels)]
        if labels and any(name.lower() == _WEIGHT for name in self.names):
            parts = (*parts, _WEIGHT)
        if self.ending:
            return self._by_reading(kind, paths, labels)
        reach = Reach(of_unknown(found)) if self._far else None
        return Files(kind, found, "from_manifest", self.path, options, parts, self._histogram(labels), reach=reach)

    def finding(self, most: int = MOST_HEADERS) -> Finding:
        """Return what is known of the files that are listed. Raises LoaderError, OSError."""
        files = self.files()
        labels = self._labels()
        missing: list[str] = []
        if len(files.paths) <= most and not self._far:  # those at URLs are part of the problem, below
            missing = [path for path in files.paths if not os.path.exists(path)]
        facts: dict[str, Any] = {"columns": self.names, "path column": self.column, "label columns": list(labels)}
        facts |= {} if self._far else {"missing files": len(missing)}
        lines = {"kind": f"a manifest of {files.kind.value}", "columns": ", ".join(self.names), "path column": str(self.column)}
        lines["label column"] = f"{', '.join(labels) or 'none'}{self._label_kind(labels)}"
        if self.root is not None:
            lines["root"] = self.root
        if missing:
            shown = ", ".join(missing[:SHOWN]) + (", ..." if len(missing) > SHOWN else "")
            lines["missing"] = f"{count_of(len(missing))} of {len(files.paths):,}: {shown}"
        problem = "" if self.ending else self._problem(files)
        remarks: tuple[str, ...] = ("an error until the manifest is corrected: see what is said above",) if problem or missing else ()
        if self.ending:
            lines["paths lack"] = self.ending
        if not problem and by_kind([self.column or ""]).keys() == {files.kind}:
            problem = "its first line, which names the columns, names a file; put a line such as path,label before it"
            remarks = ("the first line is taken for the names of the columns",)
        if problem:
            facts["problem"] = lines["problem"] = problem
        return files.finding(self.path, facts, lines, most, remarks)

    def _find_paths(self) -> tuple[str | None, str | None]:
        """Return the column of which most values are files, and the folder that they are in; or the one that is called as such columns are."""
        roots = self._roots()
        best: tuple[int, str | None, str | None] = (0, None, None)
        for name, values in self.columns.items():
            tried = [_as_path(value) for value in values[: _TRIED_FAR if self._far else _TRIED] if isinstance(value, str) and value.strip()]
            if is_number(tried) and len(set(tried)) < len(tried):
                continue  # numbers that repeat are classes, although files may be called so
            for root in roots:
                found = self._there([_joined(root, value) + ending for value in tried for ending in ("", ".npy")])
                there = sum(not found.isdisjoint((_joined(root, value), f"{_joined(root, value)}.npy")) for value in tried)
                if 2 * there < len(tried) and root != roots[0]:
                    continue  # numbers that a few files happen to be called, too
                if there > best[0]:
                    best = (there, name, None if root == roots[0] else root.removeprefix("./"))
                if there == len(tried):
                    break
        if best[0]:
            return best[1], best[2]
        named = next((own for name in _PATH_NAMES for own in self.names if own.lower() == name), None)
        texts = [value for value in self.columns.get(named or "", [])[:_TRIED] if isinstance(value, str)]
        return (named, None) if texts and Kind.OTHER not in by_kind(map(_as_path, texts)) else (None, None)

    def _find_ending(self) -> None:
        """Find the column whose values are files but for their extension, as IDs are."""
        endings = [ending for kind in (Kind.PICTURES, Kind.SOUND, Kind.NPZ) for ending in SUFFIXES[kind]]
        for name, values in self.columns.items():
            tried = [_as_path(value) for value in values[:_TRIED_WITHOUT_ENDING]]
            if is_number(tried) and len(set(tried)) < len(tried):
                continue
            for root in self._roots():
                for ending in endings:
                    there = sum(os.path.isfile(os.path.join(root, value + ending)) for value in tried)
                    if 2 * there > len(tried):
                        self.column, self.root, self.ending = name, root.removeprefix("./"), ending
                        return

    def _roots(self) -> list[str]:
        """Return the folders that paths may be relative to: that of the table, and those in it."""
        folder = os.path.dirname(self.path) or "."
        if self._far:  # each of them would cost some hundred requests
            return [folder]
        with os.scandir(folder) as entries:
            inner = sorted(entry.path for entry in entries if entry.is_dir() and not entry.name.startswith("."))[:_FOLDERS]
        return [folder, *inner]

    def _by_reading(self, kind: Kind, paths: list[str], labels: Sequence[str]) -> Files:
        """Return files whose paths have to be completed by the script."""
        delimiter = separator_of(self.path)
        code = f"with open({self.path!r}, newline='', encoding='utf-8-sig') as file:\n    rows = list(csv.DictReader(file, delimiter={delimiter!r}))"
        given = f"[row[{self.column!r}] + {self.ending!r} for row in rows], root={self.root!r}"
        options: dict[str, Any] = {}
        if len(labels) == 1:
            (label,) = labels
            number = "float" if any("." in str(value) for value in self.columns[label]) else "int"
            read = f"{number}(row[{label!r}])" if is_number(list(map(str, self.columns[label]))) else f"row[{label!r}]"
            given = f"{given}, labels=[{read} for row in rows]"
            options = {"labels": list(map(str, self.columns[label]))}
        return Files(kind, paths, "", paths, options, ("x", "y")[: 1 + len(options)], self._histogram(labels), code, given)

    def _paths(self) -> list[str]:
        """Return the paths that are listed, as they can be opened."""
        assert self.column is not None
        root = self.root or os.path.dirname(self.path)
        values = [value for value in self.columns[self.column] if isinstance(value, str) and value.strip()]
        return [_joined(root, os.path.expanduser(_as_path(value))) + self.ending for value in values]

    def _there(self, paths: list[str]) -> set[str]:
        """Return those of some paths that are files, or objects."""
        if not self._far:
            return set(filter(os.path.isfile, paths))
        sizes = Scout(StorageOptions()).about(paths).sizes.tolist() if paths else []
        return {path for path, size in zip(paths, sizes, strict=True) if size != MISSING}

    def _labels(self) -> tuple[str, ...]:
        """Return the columns of labels: by their names; else the only other one, or all others if they are numbers."""
        others = [name for name in self.names if name != self.column and name.lower() != _WEIGHT]
        named = next((own for name in LABELS for own in others if own.lower() == name), None)
        if named is not None:
            return (named,)
        if len(others) == 1 or (others and all(self._is_numeric(name) for name in others)):
            return tuple(others)
        few = {name: len(set(map(str, self.columns[name]))) for name in others if not self._is_numeric(name)}
        repeated = {name: count for name, count in few.items() if 2 * count <= len(self.columns[name])}
        return (min(repeated, key=lambda name: repeated[name]),) if repeated else ()

    def _is_numeric(self, name: str) -> bool:
        return mostly_numbers([str(value) for value in self.columns[name]])

    def _histogram(self, labels: Sequence[str]) -> dict[str, int]:
        """Return how many samples each class has; nothing if labels are measurements."""
        if len(labels) != 1:
            return {}
        values = [str(value) for value in self.columns[labels[0]] if not is_missing(value)]
        counts = Counter(values)
        measured = is_number(values) and (any("." in value for value in values) or 2 * len(counts) > len(values))
        return {} if measured else dict(counts.most_common(_MOST_CLASSES))

    def _label_kind(self, labels: Sequence[str]) -> str:
        if not labels:
            return ""
        return " (numbers)" if all(map(self._is_numeric, labels)) else " (names)"

    def _problem(self, files: Files) -> str:
        """Return what is wrong with the manifest as such; empty if nothing is."""
        try:
            if files.kind is Kind.NPY:
                NpyFiles.from_manifest(self.path, **files.options)
            else:
                ByteFiles.from_manifest(self.path, **files.options, decode=bytes)
        except LoaderError as error:
            return str(error)
        return ""


def may_be_manifest(path: str) -> bool:
    """Whether a file is called as manifests are."""
    return path.lower().endswith(_ENDINGS)


def open_manifest(path: str, near: str | None = None) -> Manifest | None:
    """Return a table as a manifest; None if it names no files.

    Args:
        path: of the table; a URL, too.
        near: path of a copy of it on this machine, if it is a URL.

    Raises:
        OSError: it can't be read.
    """
    near = near or path
    if not may_be_manifest(path) or os.path.getsize(near) > _LARGEST_BYTES:
        return None
    try:
        manifest = Manifest(path, near)
    except LoaderError:
        return None
    return manifest if manifest.column is not None else None


def _joined(root: str, value: str) -> str:
    return value if is_url(value) else os.path.join(root, value)


def _as_path(value: str) -> str:
    """Return a path as it is written on Windows, or here, as it is here."""
    return value.strip().replace("\\", "/")
