"""A folder: its files by kind, and whether its sub-folders are classes. A glob: the same, without classes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from loader.data.sources.files.class_listing import PARTS_OF_A_SET
from loader.data.sources.files.file_search import FileSearch
from loader.errors import ConfigError
from loader.watch.inspect.files import Files
from loader.watch.inspect.finding import Finding, counts_in_words
from loader.watch.inspect.kinds.kind import Kind, by_kind, kind_by_content

_READ_BY_ITSELF = frozenset((Kind.TABLE, Kind.HDF5))  # each such file is a data set


def in_folder(path: str, most: int) -> Finding:
    """Return what a folder holds, or what matches a glob; of files of several kinds, the commonest one.

    Raises:
        DataNotFoundError, ConfigError, OSError: there is nothing that could be loaded.
    """
    kinds = _by_kind(path)
    files = _files_of(path, kinds)
    if files.kind in _READ_BY_ITSELF:
        counted = counts_in_words({kind.value: len(found) for kind, found in kinds.items()})
        raise ConfigError(f"{path} holds {counted}; give one of them, such as {files.paths[0]}")
    facts: dict[str, Any] = {"classes": list(files.histogram)}
    lines = {"classes": f"{len(files.histogram):,}: {', '.join(files.histogram)}"} if files.histogram else {}
    others = {kind.value: len(found) for kind, found in kinds.items() if kind is not files.kind}
    if others:
        facts["other kinds"] = others
    if os.path.isdir(path) and not files.histogram and (inner := os.path.commonpath(files.paths)) != os.path.abspath(path) and os.path.isdir(inner):
        lines["all are in"] = inner
    kind = files.kind.value
    if files.kind is Kind.OTHER:
        _, words = kind_by_content(files.paths[0])
        kind += f": the first is {words}" if words else ""
    if others:
        lines["left out"] = ", ".join(f"{name} ({count:,})" for name, count in others.items())
    if files.kind is not Kind.NPY:
        lines = {"kind": kind} | lines
    return files.finding(path, facts, lines, most)


def files_in(path: str) -> Files:
    """Return the files in a folder, or of a glob, that `in_folder` is about. Raises DataNotFoundError, ConfigError, OSError."""
    return _files_of(path, _by_kind(path))


def _by_kind(path: str) -> dict[Kind, list[str]]:
    paths, _ = FileSearch((), "ByteFiles").find(path)
    found = by_kind(paths)
    known = {kind: files for kind, files in found.items() if kind is not Kind.OTHER}
    return known | found if known else found  # README, LICENSE and the like may be many


def _files_of(path: str, kinds: Mapping[Kind, list[str]]) -> Files:
    kind, paths = next(iter(kinds.items()))
    if not os.path.isdir(path):
        return Files(kind, paths, "", path)
    with os.scandir(path) as entries:
        folders = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    if len(folders) > 1 and PARTS_OF_A_SET.issuperset(name.lower() for name in folders):
        part = f"loader inspect {os.path.join(path, folders[0])}"
        raise ConfigError(f"the sub-folders of {path} are {', '.join(folders)}, which are parts of a data set: {part}")
    counts = _counts(path, folders, paths)
    if not counts:
        return Files(kind, paths, "", path)
    return Files(kind, paths, "from_folder", path, parts=("x", "y"), histogram=counts)


def _counts(path: str, folders: Sequence[str], paths: Sequence[str]) -> dict[str, int]:
    """Return how many files each class has; nothing if there are no classes, only one folder, or files beside the folders."""
    prefix = os.path.abspath(path).rstrip("/") + "/"
    places = Counter(inner.partition("/")[0] if "/" in (inner := found.removeprefix(prefix)) else "" for found in paths)
    return {} if not folders or len(folders) == 1 or places[""] else {name: places[name] for name in folders}
