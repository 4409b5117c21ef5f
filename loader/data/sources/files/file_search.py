"""From a folder or a glob to its list of files. Files are listed, never opened."""

from __future__ import annotations

import fnmatch
import glob
import logging
import os
import re
from collections import Counter
from collections.abc import Sequence

from loader.data.sources.files.file_listing import PathLike, absolute_path, example, nearest
from loader.errors import ConfigError, DataNotFoundError

_SHOWN = 5  # names, and kinds of files, that a message lists

_log = logging.getLogger("loader.data")


def find_files(paths: PathLike, suffixes: tuple[str, ...]) -> tuple[list[str], str]:
    """Return what `FileSearch(suffixes).find` does."""
    return FileSearch(suffixes).find(paths)


class FileSearch:
    """Lists the files of folders and globs, and counts those that it leaves out because they are of another kind.

    Args:
        suffixes: only files that end in one of these, in lower or upper case; none for all.
        maker: name of the class that the files are for.
        exclude: patterns of paths to leave out, or one, relative to `root`: `*` stands for anything, folders included, as in `fnmatch`.
        root: folder that the patterns start at. None: the folder that is listed, or the part of a glob before its first wildcard.

    Raises:
        ConfigError: `exclude` is not a pattern.
    """

    def __init__(self, suffixes: tuple[str, ...], maker: str = "NpyFiles", exclude: str | Sequence[str] = (), root: str | None = None) -> None:
        self._suffixes = suffixes
        self._maker = maker
        self._exclude = _compiled(exclude)
        self._root = root
        self._others: Counter[str] = Counter()

    def find(self, paths: PathLike) -> tuple[list[str], str]:
        """Return the files that a folder, a glob or a single path means, sorted, and the folder that their IDs are relative to.

        Raises:
            DataNotFoundError: nothing is there; says what was looked for and what to do.
        """
        place = absolute_path(paths)
        if os.path.isdir(place):
            return self.folder(place), place
        if os.path.exists(place):  # before the glob: names may hold brackets
            return [place], os.path.dirname(place)
        if glob.has_magic(place):
            return self.glob(place), _fixed_part(place)
        raise DataNotFoundError(f"{place} does not exist. What to do: {nearest(place)}")

    def folder(self, folder: str) -> list[str]:
        """Return all files in a folder and its sub-folders that are wanted, sorted.

        Links are followed. Names that begin with a dot are left out: `.ipynb_checkpoints`, and the `._name.npy` that macOS puts into archives.
        """
        if not os.path.isdir(folder):
            raise DataNotFoundError(f"folder {folder} does not exist. What to do: {nearest(folder)}")
        found: list[str] = []
        others: list[str] = []
        self._collect(folder, frozenset(), found, others)
        kept = self._keep(found, others, folder)
        if not kept:
            what = f"{' or '.join(self._suffixes)} file" if self._suffixes else "file"
            excluded = f"; exclude= leaves out all {len(found):,}" if found else ""
            raise DataNotFoundError(
                f"folder {folder} contains no {what}, and neither do its sub-folders{excluded}. {_contents(folder, self._maker, self._suffixes)}"
            )
        return kept

    def glob(self, pattern: str) -> list[str]:
        """Return the files that match a glob and are wanted, sorted; `**` means any number of folders."""
        matches = glob.glob(pattern, recursive=True)
        found = [path for path in matches if ends_with(path, self._suffixes) and (self._suffixes or not os.path.isdir(path))]
        others = [path for path in matches if self._suffixes and not ends_with(path, self._suffixes) and not os.path.isdir(path)]
        kept = self._keep(found, others, _fixed_part(pattern))
        if kept:
            return kept
        if found:
            raise DataNotFoundError(f"{pattern} matches {len(found):,} files, and exclude= leaves out all of them")
        if matches:
            missing = f"none that ends with {' or '.join(self._suffixes)}" if self._suffixes else f"only folders; for the files in them: {pattern}/*"
            raise DataNotFoundError(f"{pattern} matches {len(matches):,} names, such as {matches[0]}, but {missing}")
        raise DataNotFoundError(f"{pattern} matches no file. What to do: {nearest(_fixed_part(pattern))}")

    def classes(self, folder: str) -> list[str]:
        """Return the names of the sub-folders of a folder, sorted as strings: `10` stands before `2`."""
        if not os.path.isdir(folder):
            raise DataNotFoundError(f"folder {folder} does not exist. What to do: {nearest(folder)}")
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())
        if not names:
            without = example(self._maker, repr(folder), "labels=...")
            raise DataNotFoundError(f"folder {folder} has no sub-folders; each class needs one. Without classes: {without}")
        return names

    def with_facts(self, paths: list[str]) -> list[str]:
        """Return files that were found, with all that is known of them."""
        return paths

    def log_skipped(self, folder: str) -> None:
        """Say in one line how many files of other kinds have been skipped so far."""
        count = sum(self._others.values())
        if count:
            ranked = sorted(self._others.items(), key=lambda kind: (-kind[1], kind[0]))
            kinds = ", ".join(f"{number:,} {kind}" for kind, number in ranked[:_SHOWN]) + (", ..." if len(ranked) > _SHOWN else "")
            files = "1 file of another kind" if count == 1 else f"{count:,} files of other kinds"
            _log.warning("%s: skipped %s in %s: %s", self._maker, files, folder, kinds)

    def log_stray(self, folder: str) -> None:
        """Name the wanted files that lie beside the sub-folders that are classes. Where all files are wanted, nothing is said."""
        if not self._suffixes:
            return
        with os.scandir(folder) as entries:
            found = [entry.path for entry in entries if not entry.name.startswith(".") and ends_with(entry.name, self._suffixes) and entry.is_file()]
        stray = [os.path.basename(path) for path in self._keep(found, [], folder)]
        if stray:
            files = "1 file" if len(stray) == 1 else f"{len(stray):,} files"
            shown = ", ".join(stray[:_SHOWN]) + (", ..." if len(stray) > _SHOWN else "")
            _log.warning("%s.from_folder: left out %s in %s, beside the folders of the classes: %s", self._maker, files, folder, shown)

    def _keep(self, found: list[str], others: list[str], own_root: str) -> list[str]:
        """Return the files that are not excluded, sorted, and count the others."""
        if self._exclude is not None:
            prefix, match = (self._root or own_root).rstrip("/") + "/", self._exclude.match
            found, others = ([path for path in paths if not match(path.removeprefix(prefix))] for paths in (found, others))
        self._others.update(os.path.splitext(path)[1].lower() or "without extension" for path in others)
        return sorted(found)

    def _collect(self, folder: str, above: frozenset[tuple[int, int]], found: list[str], others: list[str]) -> None:
        """Append the files below a folder. `above`: the folders that it lies in; a link back to one of them would never end."""
        status = os.stat(folder)
        here = (status.st_dev, status.st_ino)
        if here in above:
            return
        folders = []
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    folders.append(entry.path)
                elif ends_with(entry.name, self._suffixes):
                    found.append(entry.path)
                else:
                    others.append(entry.path)
        for inner in folders:
            self._collect(inner, above | {here}, found, others)


def ends_with(name: str, suffixes: tuple[str, ...]) -> bool:
    """Whether the name of a file ends with one of `suffixes`; none for all."""
    return not suffixes or name.endswith(suffixes) or name.lower().endswith(suffixes)


def _compiled(exclude: object) -> re.Pattern[str] | None:
    """Return patterns as one regular expression; None for none."""
    patterns = [exclude] if isinstance(exclude, str) else exclude
    if not isinstance(patterns, list | tuple) or not all(isinstance(pattern, str) and pattern for pattern in patterns):
        raise ConfigError(f"exclude={exclude!r}: give a pattern, such as 'old/*', or a list of patterns")
    return re.compile("|".join(map(fnmatch.translate, patterns))) if patterns else None


def _fixed_part(pattern: str) -> str:
    """Return the folder of a pattern up to its first wildcard."""
    while glob.has_magic(pattern):
        pattern = os.path.dirname(pattern)
    return pattern


def _contents(folder: str, maker: str, suffixes: tuple[str, ...]) -> str:
    """Return what a folder holds instead of the files that were looked for."""
    names = sorted(os.listdir(folder))
    if not names:
        return "It is empty: check the path, or whether a download finished"
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    if maker != "NpyFiles":
        return f"It contains {shown}"
    return f"It contains {shown}. For other files than .npy: {example('ByteFiles', repr(folder))}, a MapSource, or save them as .npy once"
