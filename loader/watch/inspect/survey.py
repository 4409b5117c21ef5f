"""What is at a path: its kind is found, and the file for that kind looks into it."""

from __future__ import annotations

import glob
import os

from loader.data.decode.decoder import Undecodable
from loader.data.npy.refusals import kind_of
from loader.data.remote.urls import is_url
from loader.errors import DecodeError
from loader.watch.inspect.files import Files
from loader.watch.inspect.finding import MOST_HEADERS, Finding
from loader.watch.inspect.folders import files_in, in_folder, listing_of
from loader.watch.inspect.kinds import archives, npy_files, raw, texts
from loader.watch.inspect.kinds.kind import Kind, is_zarr, kind_by_content, kind_by_name
from loader.watch.inspect.kinds.stores import hdf5_file, zarr_folder
from loader.watch.inspect.manifests import open_manifest

_ONE_FILE = {
    Kind.NPY: npy_files.one_file,
    Kind.NPZ: archives.one_file,
    Kind.TEXT: texts.lines_of,
    Kind.TABLE: texts.rows_of,
    Kind.HDF5: hdf5_file,
    Kind.OTHER: raw.one_file,
}


def survey(path: str, most: int = MOST_HEADERS) -> Finding:
    """Return what is at a path.

    Args:
        path: a file, a folder, a glob or a URL, as it is to stand in the snippet.
        most: headers to read.

    Raises:
        LoaderError: nothing is there that could be loaded, or its library is not installed.
        OSError: it can't be read.
    """
    try:
        if is_url(path):
            from loader.watch.inspect.far import survey_url  # only who looks at far data waits for what it imports

            return survey_url(path, most)
        path = _single(path)
        if os.path.isdir(path) and is_zarr(path):
            return zarr_folder(path)
        if os.path.isdir(path) or is_glob(path):
            return in_folder(listing_of(path), most)
        if (manifest := open_manifest(path)) is not None:
            return manifest.finding(most)
        kind = _kind(path)
        return _ONE_FILE[kind](path) if kind in _ONE_FILE else Files(kind, [path], "", path).finding(path, {}, {"kind": kind.value}, most)
    except Undecodable as error:
        raise DecodeError(path, str(error)) from error


def files_at(path: str) -> Files:
    """Return the files that a folder, a glob, a manifest or a path means, one sample each. Raises LoaderError, OSError."""
    path = _single(path)
    if os.path.isdir(path) or is_glob(path):
        return files_in(listing_of(path))
    manifest = open_manifest(path)
    return Files(_kind(path), [path], "", path) if manifest is None else manifest.files()


def is_glob(path: str) -> bool:
    """Whether a path is a pattern for the names of files, and no name itself."""
    return glob.has_magic(path) and not os.path.exists(path)


def _single(path: str) -> str:
    """Return the only file or folder that a glob matches, as it may be a data set of its own; any other path as it is."""
    found = glob.glob(path, recursive=True) if is_glob(path) else []
    return found[0] if len(found) == 1 else path


def _kind(path: str) -> Kind:
    """Return the kind of a file, by its extension or its first bytes. Raises DecodeError for one that can't be read by anything here, OSError."""
    kind = kind_by_name(path)
    if kind is not Kind.OTHER:
        return kind
    kind, words = kind_by_content(path)
    if kind is Kind.OTHER and words:
        with open(path, "rb") as file:
            _, remedy = kind_of(file.read(64))
        raise DecodeError(path, f"is {words}" + (f"; {remedy}" if remedy else ""))
    return kind
