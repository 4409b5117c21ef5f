"""From what a user writes, a folder, a glob or a list, to the list of files that it means. Files are listed, never opened."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from loader.errors import ConfigError, DataNotFoundError, LoaderError, NpyError

_LOOKED_AT = 500  # files of a list: 1 ms, and half a second where each takes a millisecond
_NAMED = 5

PathLike: TypeAlias = "str | os.PathLike[str]"
Paths: TypeAlias = "PathLike | Sequence[PathLike]"


def find_files(paths: PathLike, suffixes: tuple[str, ...]) -> tuple[list[str], str]:
    """Return the files that a folder, a glob or a single path means, sorted, and the folder that their IDs are relative to.

    Args:
        paths: a folder means all files in it and in its sub-folders.
        suffixes: only files that end so, in lower or upper case; none for all.

    Raises:
        DataNotFoundError: nothing is there; says what was looked for and what to do.
    """
    place = absolute_path(paths)
    if os.path.isdir(place):
        return list_folder(place, suffixes), place
    if os.path.exists(place):  # before the glob: names may hold brackets
        return [place], os.path.dirname(place)
    if glob.has_magic(place):
        return list_glob(place, suffixes), _fixed_part(place)
    raise DataNotFoundError(f"{place} does not exist. What to do: {_nearest(place)}")


def list_folder(folder: str, suffixes: tuple[str, ...]) -> list[str]:
    """Return all files in a folder and its sub-folders that end with one of `suffixes`, sorted.

    Links are followed. Names that begin with a dot are left out: `.ipynb_checkpoints`, and the `._name.npy` that macOS puts into archives.
    """
    if not os.path.isdir(folder):
        raise DataNotFoundError(f"folder {folder} does not exist. What to do: {_nearest(folder)}")
    found: list[str] = []
    _collect(folder, suffixes, frozenset(), found)
    if not found:
        what = f"{' or '.join(suffixes)} file" if suffixes else "file"
        raise DataNotFoundError(f"folder {folder} contains no {what}, and neither do its sub-folders. {_contents(folder)}")
    found.sort()
    return found


def list_glob(pattern: str, suffixes: tuple[str, ...]) -> list[str]:
    """Return the files that match a glob and end with one of `suffixes`, sorted; `**` means any number of folders."""
    matches = glob.glob(pattern, recursive=True)
    found = sorted(path for path in matches if ends_with(path, suffixes) and (suffixes or not os.path.isdir(path)))
    if found:
        return found
    if matches:
        raise DataNotFoundError(f"{pattern} matches {len(matches):,} names, such as {matches[0]}, but none that ends with {' or '.join(suffixes)}")
    raise DataNotFoundError(f"{pattern} matches no file. What to do: {_nearest(_fixed_part(pattern))}")


def ends_with(name: str, suffixes: tuple[str, ...]) -> bool:
    """Whether a file of this name is meant, where files that end with `suffixes` are looked for; none for all."""
    return not suffixes or name.endswith(suffixes) or name.lower().endswith(suffixes)


def class_folders(folder: str) -> list[str]:
    """Return the names of the sub-folders of a folder, sorted as strings: `10` stands before `2`."""
    if not os.path.isdir(folder):
        raise DataNotFoundError(f"folder {folder} does not exist. What to do: {_nearest(folder)}")
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())
    if not names:
        raise DataNotFoundError(f"folder {folder} has no sub-folders; each class needs one. Without classes: NpyFiles({folder!r}, labels=...)")
    return names


def absolute_path(path: PathLike) -> str:
    """Return a path, such as a folder given as `root`, absolute."""
    return os.path.abspath(os.path.expanduser(path_text(path)))


def path_text(path: object) -> str:
    """Return a path as text. Raises ConfigError for what is none."""
    try:
        return os.fsdecode(path)  # type: ignore[arg-type]
    except TypeError:
        raise ConfigError(f"a path must be a str or a pathlib.Path, not {path!r}") from None


def unreadable(path: str, error: OSError) -> LoaderError | OSError:
    """Return the error to raise where a file could not be opened: one of ours where another try would not help, else `error` itself."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        place = f"it exists as far as {_existing(path)}. Relative paths start at root=, or without it at the working directory, {os.getcwd()}"
        return DataNotFoundError(f"{path}: No such file. What to do: check the path, {place}")
    if isinstance(error, IsADirectoryError):
        return NpyError(path, "is a folder, not a file; give a single folder, NpyFiles(folder), or join several sources with +")
    if isinstance(error, PermissionError):
        return NpyError(path, f"can't be opened: {error.strerror}")
    return error


def check_first(path: PathLike, suffixes: tuple[str, ...]) -> None:
    """Look at the first path of a list without `root`: raise DataNotFoundError where it is an ID, a folder or a glob, as all of them may be."""
    text = os.path.expanduser(path_text(path))
    if os.path.isfile(text):
        return
    if os.path.isdir(text):
        raise DataNotFoundError(
            f"{text} is a folder, but the list must contain files. For one folder: NpyFiles({text!r}); join several sources with +"
        )
    if glob.has_magic(text):
        raise DataNotFoundError(
            f"{text} is a pattern, but the list must contain files. For one pattern: NpyFiles({text!r}); join several sources with +"
        )
    suffix = suffixes[0] if len(suffixes) == 1 else ""
    if suffix and not text.endswith(suffix):
        there = f"{text + suffix} does" if os.path.isfile(text + suffix) else f"the working directory is {os.getcwd()}"
        raise DataNotFoundError(
            f"{os.path.abspath(text)} does not exist; {there}. IDs need root=, the folder that they are in; then {suffix} is appended to them"
        )


def _collect(folder: str, suffixes: tuple[str, ...], above: frozenset[tuple[int, int]], found: list[str]) -> None:
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
            elif ends_with(entry.name, suffixes):
                found.append(entry.path)
    for inner in folders:
        _collect(inner, suffixes, above | {here}, found)


def _fixed_part(pattern: str) -> str:
    """Return the folder of a pattern up to its first wildcard."""
    while glob.has_magic(pattern):
        pattern = os.path.dirname(pattern)
    return pattern


def _nearest(place: str) -> str:
    """Return advice that names the part of a path that does exist."""
    return f"check the path; it exists as far as {_existing(place)}. Relative paths start at the working directory, {os.getcwd()}"


def _existing(place: str) -> str:
    """Return the innermost folder of a path that exists."""
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    return place


def _contents(folder: str) -> str:
    """Return what a folder holds instead of the files that were looked for."""
    names = sorted(os.listdir(folder))
    if not names:
        return "It is empty: check the path, or whether a download finished"
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"It contains {shown}. Other files than .npy can be read in a MapSource, or saved as .npy once"


def as_path_list(paths: Paths) -> list[PathLike]:
    """Return a list of paths as a list; refuses an empty one, and what has no order or is no path."""
    if isinstance(paths, Mapping):
        raise ConfigError(f"paths is of type {type(paths).__name__}, a mapping. For several arrays per sample: Zip(x={{'a': NpyFiles(...), ...}})")
    if isinstance(paths, set | frozenset):
        raise ConfigError("paths is a set, whose order differs from run to run; give sorted(paths)")
    if getattr(paths, "ndim", 1) != 1 or getattr(getattr(paths, "dtype", None), "kind", "U") not in "UOT":
        raise ConfigError(
            f"paths is of type {type(paths).__name__}, not a list of paths; for samples that are the rows of an array: NpyArrays(array)"
        )
    try:
        names = list(paths)  # type: ignore[arg-type]
    except TypeError:
        raise ConfigError(f"paths must be a folder, a glob or a list of paths, not {paths!r}") from None
    if not names:
        raise DataNotFoundError("the list of paths is empty")
    return names


def check_there(count: int, path: Callable[[int], str]) -> None:
    """Raise DataNotFoundError if files of a list are missing: of a long list, among as many as take no time to look at, spread over it.

    Args:
        count: of files.
        path: of each, absolute, by number.
    """
    step = max(1, count / _LOOKED_AT)
    looked_at = [path(int(number * step)) for number in range(min(count, _LOOKED_AT))]
    missing = [place for place in looked_at if not os.path.lexists(place)]  # a link without its file is found in folders, too
    if missing:
        of = f"the {len(looked_at):,} files" if len(looked_at) == count else f"{len(looked_at):,} files, spread over the {count:,} of the list,"
        more = ", ..." if len(missing) > _NAMED else ""
        raise DataNotFoundError(
            f"{len(missing):,} of {of} do not exist: {', '.join(missing[:_NAMED])}{more}. What to do: {_nearest(missing[0])}; or leave them out"
        )
