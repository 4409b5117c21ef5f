"""Paths as users write them, and what to say if there is no file at one. Files are looked at, never opened."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from loader.data.remote.urls import check_no_flattened, check_url, is_url
from loader.errors import ConfigError, DataNotFoundError, DecodeError, LoaderError

_LOOKED_AT = 500  # files of a list: 1 ms, and half a second if each takes a millisecond
_NAMED = 5

PathLike: TypeAlias = "str | os.PathLike[str]"
Paths: TypeAlias = "PathLike | Sequence[PathLike]"


def absolute_path(path: PathLike) -> str:
    """Return a path absolute. Raises ConfigError for a URL."""
    text = path_text(path)
    if is_url(text):
        raise ConfigError(
            f"{check_url(text)} is a URL, and here only files of this machine can be used; what takes URLs: docs/my_data_is_in_a_bucket.md"
        )
    return os.path.abspath(os.path.expanduser(text))


def absolute_place(path: PathLike) -> str:
    """Return a path, such as a folder given as `root`, absolute; or a URL, without slashes at its end."""
    text = path_text(path)
    return check_url(text) if is_url(text) else absolute_path(path)


def path_text(path: object) -> str:
    """Return a path as text. Raises ConfigError if it is not a path."""
    check_no_flattened(path)
    try:
        return os.fsdecode(path)  # type: ignore[arg-type]
    except TypeError:
        raise ConfigError(f"a path must be a str or a pathlib.Path, not {path!r}") from None


def unreadable(path: str, error: OSError, maker: str | None = None, kind: type[DecodeError] = DecodeError) -> LoaderError | OSError:
    """Return the error to raise if a file could not be opened: one of ours if another try would not help, else `error` itself.

    Args:
        path: of the file.
        error: of the system.
        maker: name of the class that the file is read for, if it takes a root and folders.
        kind: of an error about a file of it.
    """
    if isinstance(error, LoaderError):  # about what is far away: it says all
        return error
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        start = "the working directory" if maker is None else "root=, or without it at the working directory"
        place = f"it exists as far as {existing_part(path)}. Relative paths start at {start}, {os.getcwd()}"
        return DataNotFoundError(f"{path}: No such file. What to do: check the path, {place}")
    if isinstance(error, IsADirectoryError):
        meant = f"a single folder, {example(maker, 'folder')}, or join several sources with +" if maker is not None else "the path of a file in it"
        return kind(path, f"is a folder, not a file; give {meant}")
    if isinstance(error, PermissionError):
        return kind(path, f"can't be opened: {error.strerror}")
    return error


def check_first(path: PathLike, suffix: str, maker: str) -> None:
    """Look at the first path of a list without `root`: raise DataNotFoundError if it is an ID, a folder or a glob, as all the others may be.

    Args:
        path: the first one.
        suffix: that is appended to IDs; may be empty.
        maker: name of the class that is given the list.
    """
    text = os.path.expanduser(path_text(path))
    if os.path.isfile(text):
        return
    if os.path.isdir(text):
        raise DataNotFoundError(
            f"{text} is a folder, but the list must contain files. For one folder: {example(maker, repr(text))}; join several sources with +"
        )
    if glob.has_magic(text):
        raise DataNotFoundError(
            f"{text} is a pattern, but the list must contain files. For one pattern: {example(maker, repr(text))}; join several sources with +"
        )
    if suffix and not text.endswith(suffix):
        there = f"{text + suffix} does" if os.path.isfile(text + suffix) else f"the working directory is {os.getcwd()}"
        raise DataNotFoundError(
            f"{os.path.abspath(text)} does not exist; {there}. IDs need root=, the folder that they are in; then {suffix} is appended to them"
        )


def example(maker: str, *arguments: str) -> str:
    """Return a call of `NpyFiles`, or of another class of its kind, for a message."""
    needs = () if maker.startswith("NpyFiles") else ("decode=...",)
    return f"{maker}({', '.join((*arguments, *needs))})"


def nearest(place: str, root: str | None = None) -> str:
    """Return advice that names the part of a path that does exist, and the folder that relative ones start at."""
    start = f"the working directory, {os.getcwd()}" if root is None else f"root={root!r}"
    return f"check the path; it exists as far as {existing_part(place)}. Relative paths start at {start}"


def existing_part(place: str) -> str:
    """Return the innermost folder of a path that exists."""
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    return place


def as_path_list(paths: Paths, maker: str) -> list[PathLike]:
    """Return a list of paths as a list; refuses an empty one, and what has no order or is no path."""
    if isinstance(paths, Mapping):
        raise ConfigError(f"paths is of type {type(paths).__name__}, a mapping. For several arrays per sample: Zip(x={{'a': {maker}(...), ...}})")
    if isinstance(paths, set | frozenset):
        raise ConfigError("paths is a set, whose order differs from run to run; give sorted(paths)")
    if hasattr(paths, "columns") and maker != "TextLines":
        raise ConfigError(f"paths is of type {type(paths).__name__}; for a table that lists files and labels: {maker}.from_manifest(frame)")
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


def check_there(count: int, path: Callable[[int], str], appended: str, root: str | None) -> None:
    """Raise DataNotFoundError if files of a list are missing. Of a long list, only some are looked at, spread evenly over it.

    Args:
        count: of files.
        path: of each, absolute, by number.
        appended: what their names end with, appended if it was not written; may be empty.
        root: folder that relative ones are in; None for the working directory.
    """
    step = max(1, count / _LOOKED_AT)
    looked_at = [path(int(number * step)) for number in range(min(count, _LOOKED_AT))]
    missing = [place for place in looked_at if not os.path.lexists(place)]  # a link without its file is found in folders, too
    if missing:
        of = f"the {len(looked_at):,} files" if len(looked_at) == count else f"{len(looked_at):,} files, spread over the {count:,} of the list,"
        more = ", ..." if len(missing) > _NAMED else ""
        bare = missing[0].removesuffix(appended)
        other = f"{bare} does; for other files than {appended}: {example('ByteFiles', 'paths')}" if appended and os.path.isfile(bare) else ""
        raise DataNotFoundError(
            f"{len(missing):,} of {of} do not exist: {', '.join(missing[:_NAMED])}{more}. What to do: {other or nearest(missing[0], root)}; "
            "or leave them out"
        )
    folder = next((place for place in looked_at if os.path.isdir(place)), None)
    if folder is not None:
        raise DataNotFoundError(f"{folder} is a folder, but the list must contain files; join several sources with +")
