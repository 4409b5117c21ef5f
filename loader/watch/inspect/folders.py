"""A folder: its files by kind, and whether its sub-folders are classes. A glob: the same, without classes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from loader.data.remote.urls import common_root, is_url
from loader.data.sources.files.class_listing import PARTS_OF_A_SET
from loader.data.sources.files.file_search import FileSearch
from loader.errors import ConfigError
from loader.watch.inspect.files import Files
from loader.watch.inspect.finding import Finding, counts_in_words
from loader.watch.inspect.kinds.kind import Kind, by_kind, kind_by_content
from loader.watch.inspect.reach import Reach

_READ_BY_ITSELF = frozenset((Kind.TABLE, Kind.HDF5))  # each such file is a data set


@dataclass(frozen=True)
class Listing:
    """What there is to choose from.

    Attributes:
        place: a folder or a pattern, as it is to stand in the snippet.
        root: the folder, as `paths` begin; None of a pattern.
        paths: of all files.
        folders: names of the sub-folders, sorted.
        reach: brings the beginnings of objects, if `paths` are URLs.
    """

    place: str
    root: str | None
    paths: Sequence[str]
    folders: Sequence[str] = ()
    reach: Reach | None = None

    def kinds(self) -> dict[Kind, list[str]]:
        """Return the files by their kinds, the commonest first; others only if there is nothing else."""
        found = by_kind(self.paths)
        known = {kind: files for kind, files in found.items() if kind is not Kind.OTHER}
        return known | found if known else found  # README, LICENSE and the like may be many

    def counts(self, paths: Sequence[str]) -> dict[str, int]:
        """Return how many of some files each class has; nothing if there are no classes, only one folder, or files beside the folders."""
        if self.root is None or len(self.folders) < 2:
            return {}
        prefix = self.root.rstrip("/") + "/"
        places = Counter(inner.partition("/")[0] if "/" in (inner := found.removeprefix(prefix)) else "" for found in paths)
        return {} if places[""] else {name: places[name] for name in self.folders}


def listing_of(path: str) -> Listing:
    """List a folder, or what matches a glob. Raises DataNotFoundError, OSError."""
    paths, _ = FileSearch((), "ByteFiles").find(path)
    if not os.path.isdir(path):
        return Listing(path, None, paths)
    with os.scandir(path) as entries:
        folders = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    return Listing(path, os.path.abspath(path), paths, folders)


def in_folder(listing: Listing, most: int) -> Finding:
    """Return what a folder holds, or what matches a glob; of files of several kinds, the commonest one.

    Raises:
        DataNotFoundError, FetchError, ConfigError, OSError: there is nothing that could be loaded.
    """
    kinds = listing.kinds()
    files = files_in(listing)
    if files.kind in _READ_BY_ITSELF:
        counted = counts_in_words({kind.value: len(found) for kind, found in kinds.items()})
        raise ConfigError(f"{listing.place} holds {counted}; give one of them, such as {files.paths[0]}")
    facts: dict[str, Any] = {"classes": list(files.histogram)}
    lines = {"classes": f"{len(files.histogram):,}: {', '.join(files.histogram)}"} if files.histogram else {}
    others = {kind.value: len(found) for kind, found in kinds.items() if kind is not files.kind}
    if others:
        facts["other kinds"] = others
    if listing.root is not None and not files.histogram and (inner := _common_folder(files.paths)) != listing.root.rstrip("/"):
        lines["all are in"] = inner
    kind = files.kind.value
    if files.kind is Kind.OTHER and listing.reach is None:
        _, words = kind_by_content(files.paths[0])
        kind += f": the first is {words}" if words else ""
    if others:
        lines["left out"] = ", ".join(f"{name} ({count:,})" for name, count in others.items())
    if files.kind is not Kind.NPY:
        lines = {"kind": kind} | lines
    return files.finding(listing.place, facts, lines, most)


def files_in(listing: Listing) -> Files:
    """Return the files in a folder, or of a glob, that `in_folder` is about. Raises ConfigError for parts of a data set."""
    folders, place = listing.folders, listing.place
    kind, paths = next(iter(listing.kinds().items()))
    if len(folders) > 1 and PARTS_OF_A_SET.issuperset(name.lower() for name in folders):
        part = f"loader inspect {os.path.join(place, folders[0])}"
        raise ConfigError(f"the sub-folders of {place} are {', '.join(folders)}, which are parts of a data set: {part}")
    counts = listing.counts(paths)
    if not counts:
        return Files(kind, paths, "", place, reach=listing.reach)
    return Files(kind, paths, "from_folder", place, parts=("x", "y"), histogram=counts, reach=listing.reach)


def _common_folder(paths: Sequence[str]) -> str:
    """Return the folder that all files are in."""
    if is_url(paths[0]):
        return common_root(paths)
    return os.path.commonpath([os.path.dirname(path) for path in paths])
