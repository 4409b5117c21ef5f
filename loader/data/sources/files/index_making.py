"""From what a user gives as `paths=` to the index of the files or objects that are meant."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loader.data.remote.options import StorageOptions
from loader.data.remote.urls import is_url
from loader.data.sources.files.file_listing import (
    PathLike,
    Paths,
    absolute_place,
    as_path_list,
    check_first,
    check_there,
    path_text,
)
from loader.data.sources.files.file_search import FileSearch
from loader.data.sources.files.path_index import PathIndex
from loader.errors import ConfigError

if TYPE_CHECKING:
    from loader.data.sources.files.far_reader import FarReader


@dataclass(frozen=True)
class IndexMaker:
    """Finds files for a source.

    Attributes:
        maker: name of the class of the source.
        suffixes: how the files end that a folder or glob means; empty for all.
        appended: what is appended to the names of a list that has a root, where it is missing.
        finds_missing: whether files of a list that do not exist are an error.
        exclude: patterns of files to leave out of a folder or glob.
        options: of stores.
    """

    maker: str
    suffixes: tuple[str, ...]
    appended: str
    finds_missing: bool
    exclude: str | Sequence[str]
    options: StorageOptions

    def search(self, root: str | None, place: str) -> FileSearch:
        """Return what finds the files of a folder or glob; `root` is where patterns to exclude start, None for where it is itself."""
        if is_url(place):
            from loader.data.sources.files.far_search import FarSearch  # only who has far data waits for what it imports

            return FarSearch(self.suffixes, self.maker, self.exclude, root, self.options)
        return FileSearch(self.suffixes, self.maker, self.exclude, root)

    def make(self, paths: Paths, root: PathLike | None) -> PathIndex:
        """Return the index of the files. Raises ConfigError, DataNotFoundError, FetchError."""
        folder = None if root is None else absolute_place(root)
        if isinstance(paths, (str, os.PathLike)):
            return self._of_place(path_text(paths), folder)
        if self.exclude:
            raise ConfigError("exclude= is for a folder or a glob; leave the files out of the list instead")
        if hasattr(paths, "objects"):
            return self._of_objects(paths, folder)
        names = as_path_list(paths, self.maker)
        if _may_be_far(names[0], folder):
            from loader.data.sources.files.far_search import look_at

            return self._of_objects(look_at(names, folder, self.appended, self.options, self.maker), folder)
        return self._of_files(names, folder)

    def _of_place(self, place: str, folder: str | None) -> PathIndex:
        if folder is not None and not is_url(place):
            place = f"{folder}/{place}" if is_url(folder) else os.path.join(folder, os.path.expanduser(place))
        search = self.search(folder, place)
        found, own = search.find(place)
        search.log_skipped(shown_folder(own))
        return self._of_objects(search.with_facts(found), folder or own)

    def _of_objects(self, found: Sequence[PathLike], folder: str | None) -> PathIndex:
        """Return the index of what was found, with all that is known of it."""
        if not hasattr(found, "objects"):
            return PathIndex(found, folder)
        from loader.data.sources.files.far_index import FarIndex

        return FarIndex(found.objects, folder)

    def _of_files(self, names: list[PathLike], folder: str | None) -> PathIndex:
        if folder is None:
            check_first(names[0], self.appended, self.maker)
        elif self.appended:
            names = [name if name.endswith(self.appended) else name + self.appended for name in map(path_text, names)]
        index = PathIndex(names, folder)
        if self.finds_missing:
            check_there(len(index), index.path, self.appended, folder)
        return index


def reader_of(index: PathIndex, options: StorageOptions, cache: PathLike | None, cache_bytes: int | str | None) -> FarReader | None:
    """Return what reads the objects of an index; None if they are files. Raises ConfigError for a cache that can't be."""
    if not index.far and cache is None and cache_bytes is None:
        return None
    from loader.data.remote.fetch_cache.cache_choice import CacheChoice
    from loader.data.sources.files.far_reader import FarReader

    choice = CacheChoice.of(cache, cache_bytes, far=index.far)
    return FarReader(index, options, choice) if index.far else None


def _may_be_far(first: PathLike, folder: str | None) -> bool:
    return is_url(path_text(first)) or (folder is not None and is_url(folder))


def shown_folder(folder: str) -> str:
    """Return a folder as a user would write it: relative where it lies in the working directory."""
    here = os.getcwd()
    return os.path.relpath(folder, here) if folder.startswith(here.rstrip("/") + "/") else folder
