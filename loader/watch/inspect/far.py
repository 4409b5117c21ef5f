"""What is at a URL: the same as at a path, from a list of the store and from the beginnings of objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from loader.data.remote.objects import UNKNOWN_SIZE, Objects
from loader.data.remote.options import StorageOptions
from loader.data.remote.scouting.scout import check_library
from loader.data.remote.urls import check_url, is_web
from loader.data.sources.files.far_search import FarSearch
from loader.errors import ConfigError, DecodeError
from loader.watch.inspect.files import Files
from loader.watch.inspect.finding import Finding
from loader.watch.inspect.folders import Listing, in_folder
from loader.watch.inspect.kinds import npy_files, raw, texts
from loader.watch.inspect.kinds.kind import ZARR, Kind, kind_by_content, kind_by_name
from loader.watch.inspect.manifests import may_be_manifest, open_manifest
from loader.watch.inspect.reach import Reach, beginning_of
from loader.watch.inspect.snippet import in_double_quotes

_HEAD_BYTES = 256 * 2**10
_TEXT_BYTES = 8 * 2**20  # of lines and rows
_TABLE_BYTES = 64 * 2**20  # up to which a table may be a manifest

_NEAR_ONLY = {Kind.NPZ: "rows of .npz files", Kind.HDF5: "HDF5 files"}


def survey_url(url: str, most: int) -> Finding:
    """Return what is at a URL: an object, a folder, or a pattern.

    Args:
        url: as it is to stand in the snippet.
        most: headers to read.

    Raises:
        LoaderError: nothing is there that could be loaded, or it can't be reached.
    """
    url = check_url(url)
    check_library(url)
    search = FarSearch((), "ByteFiles", (), None, StorageOptions())
    found, root = search.find(url)
    objects = search.with_facts(found).objects
    if objects.urls == [url]:
        return _object(url, int(objects.sizes[0]), objects, most)
    if root == url and search.holds(url, ZARR):
        raise _near_only(url, "Zarr folders")
    return in_folder(_listing(url, root, objects), most)


def _listing(url: str, root: str, objects: Objects) -> Listing:
    is_folder = root == url
    inner = [each.removeprefix(f"{url}/") for each in objects.urls] if is_folder else []
    folders = sorted({name.partition("/")[0] for name in inner if "/" in name})
    return Listing(url, url if is_folder else None, objects.urls, folders, Reach(objects))


def _object(url: str, size: int, objects: Objects, most: int) -> Finding:
    kind = kind_by_name(url)
    if kind is Kind.OTHER:
        with beginning_of(url, size, _HEAD_BYTES, lines=False) as (near, _):
            kind, _ = kind_by_content(near)
    if kind in _NEAR_ONLY:
        raise _near_only(url, _NEAR_ONLY[kind])
    if kind not in _ONE_OBJECT:
        return Files(kind, [url], "", url, reach=Reach(objects)).finding(url, {}, {"kind": kind.value}, most)
    lines = kind in (Kind.TABLE, Kind.TEXT)
    with beginning_of(url, size, _most_bytes(url, size) if lines else _HEAD_BYTES, lines) as (near, whole):
        if lines and whole and (manifest := open_manifest(url, near)) is not None:
            return manifest.finding(most)
        try:
            return _told_of(_ONE_OBJECT[kind](near, None if size == UNKNOWN_SIZE else size), near, url)
        except DecodeError as error:
            raise DecodeError(url, error.problem) from error


def _most_bytes(url: str, size: int) -> int:
    """Return how much of lines and rows is fetched: all, where only that tells whether they are a manifest."""
    return _TABLE_BYTES if may_be_manifest(url) and size <= _TABLE_BYTES else _TEXT_BYTES


_ONE_OBJECT: Mapping[Kind, Callable[[str, int | None], Finding]] = {
    Kind.NPY: lambda near, size: npy_files.one_file(near),
    Kind.TEXT: texts.lines_of,
    Kind.TABLE: lambda near, size: texts.rows_of(near),
    Kind.OTHER: lambda near, size: raw.one_file(near),
}


def _near_only(url: str, what: str) -> ConfigError:
    bring = "download it" if is_web(url) else f"loader fetch {url} FOLDER --files"
    return ConfigError(f"{url}: {what} are read from this machine only. What to do: bring it here ({bring}), and inspect what is there then")


def _told_of(finding: Finding, near: str, url: str) -> Finding:
    """Return what was found in a file of this machine that stands for an object, as said of the object."""
    quoted = in_double_quotes(repr(url))
    snippet = finding.snippet.replace(in_double_quotes(repr(near)), quoted).replace(repr(near), quoted)
    return Finding(_replaced(finding.facts, near, url), _replaced(finding.lines, near, url), snippet, finding.histogram)


def _replaced(value: Any, old: str, new: str) -> Any:
    """Return a value for JSON with another text in place of one, wherever that is in it."""
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, dict):
        return {key: _replaced(inner, old, new) for key, inner in value.items()}
    return [_replaced(inner, old, new) for inner in value] if isinstance(value, list) else value
