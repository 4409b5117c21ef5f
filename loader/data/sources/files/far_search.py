"""From a URL to the objects that it means: one object, all below a folder, or those that match a pattern; or a list, that is looked at."""

from __future__ import annotations

import glob
import re
import sys
from bisect import bisect_left
from collections.abc import Collection, Sequence

import numpy as np

from loader.data.remote.objects import MISSING, Objects
from loader.data.remote.options import StorageOptions
from loader.data.remote.scouting.scout import Scout
from loader.data.remote.urls import check_url, is_url, is_web, split
from loader.data.sources.files.far_index import FoundUrls, of_unknown
from loader.data.sources.files.file_listing import PathLike, example, path_text
from loader.data.sources.files.file_search import FileSearch, ends_with
from loader.errors import ConfigError, DataNotFoundError

_ASKED_ABOUT = 2_000  # objects of a list: each is a request, some seconds for all
_NAMED = 5
_NO_CHAINS = (
    "folders and patterns are not found in an archive, or by way of a chain of URLs. What to do: give a list of URLs, each with its whole chain, or "
    "unpack the archive"
)
_NO_LISTS = "web servers can't list what they have. What to do: give a list of URLs, or a manifest that names the files (from_manifest)"


class FarSearch(FileSearch):
    """Lists what stores have, as `FileSearch` does for folders; each folder is asked for once.

    Args:
        suffixes, maker, exclude, root: as there; `root` is a URL.
        options: of the store.
        kept: names that begin with a dot, of objects that a folder has all the same.
    """

    def __init__(
        self,
        suffixes: tuple[str, ...],
        maker: str,
        exclude: str | Sequence[str],
        root: str | None,
        options: StorageOptions,
        kept: Collection[str] = (),
    ) -> None:
        super().__init__(suffixes, maker, exclude, root)
        self._scout = Scout(options)
        self._kept = frozenset(kept)
        self._found: Objects | None = None
        self._below = ""

    def find(self, paths: PathLike) -> tuple[list[str], str]:
        url = check_url(path_text(paths))
        folder = url.rpartition("/")[0] if "/" in url.partition("://")[2] else url
        if glob.has_magic(url) and not is_web(url):
            _check_listed(url)
            fixed = _fixed_part(url)
            return (self.glob(url), fixed) if url not in self._list(fixed) else ([url], folder)  # names may hold brackets
        objects = self._scout.about([url]) if split(url).key else None
        if objects is not None and objects.sizes[0] != MISSING:
            self._found = objects
            return FoundUrls(objects), folder
        if is_web(url):
            raise DataNotFoundError(f"{url}: the server says that there is no such file (404); or it is a folder: {_NO_LISTS}")
        return self.folder(url), url

    def folder(self, folder: str) -> list[str]:
        below = self._list(folder)
        kept = self._sorted_out([url for url in below if not self._hidden(url, folder)], folder)
        if not kept:
            what = f"object that ends with {' or '.join(self._suffixes)}" if self._suffixes else "object"
            holds = (
                f"It has {len(below):,} others, such as {below[0]}" if below else "It has no object at all: check the URL, and endpoint and region"
            )
            raise DataNotFoundError(f"{folder} has no {what} below it. {holds}")
        return kept

    def holds(self, folder: str, names: Collection[str]) -> bool:
        """Return whether one of these objects, hidden ones included, is in a folder itself."""
        return not {f"{folder.rstrip('/')}/{name}" for name in names}.isdisjoint(self._list(folder))

    def glob(self, pattern: str) -> list[str]:
        _check_listed(pattern)
        matches = re.compile(_as_expression(pattern)).fullmatch
        fixed = _fixed_part(pattern)
        found = [url for url in self._list(fixed) if matches(url)]
        kept = self._sorted_out(found, fixed)
        if not kept:
            raise DataNotFoundError(f"{pattern} matches no object that is wanted, of {len(self._list(fixed)):,} below {fixed}")
        return kept

    def classes(self, folder: str) -> list[str]:
        prefix = folder.rstrip("/") + "/"
        inner = {url.removeprefix(prefix) for url in self._list(folder)}
        names = sorted({name.partition("/")[0] for name in inner if "/" in name and not name.startswith(".")})
        if not names:
            raise DataNotFoundError(
                f"{folder} has no sub-folders; each class needs one. Without classes: {example(self._maker, repr(folder), 'labels=...')}"
            )
        return names

    def log_stray(self, folder: str) -> None:
        """Say nothing: what lies beside the classes has been listed with them."""

    def with_facts(self, paths: list[str]) -> FoundUrls:
        assert self._found is not None  # it was, for there to be paths
        places = {url: place for place, url in enumerate(self._found.urls)}
        chosen = np.array([places[path] for path in paths], np.int64)
        return FoundUrls(Objects(paths, self._found.sizes[chosen], self._found.versions[chosen]))

    def _hidden(self, url: str, folder: str) -> bool:
        inner = url[len(folder.rstrip("/")) :]
        name = inner.rpartition("/")[2]
        return "/." in (inner.removesuffix(name) if name in self._kept else inner)

    def _sorted_out(self, urls: list[str], folder: str) -> list[str]:
        found = [url for url in urls if ends_with(url, self._suffixes)]
        others = [url for url in urls if not ends_with(url, self._suffixes)]
        return self._keep(found, others, folder)

    def _list(self, folder: str) -> list[str]:
        """Return all below a folder; what has been listed already is not asked for again."""
        _check_listed(folder)
        if self._found is None or not f"{folder}/".startswith(f"{self._below}/"):
            self._found, self._below = self._scout.below(folder), folder
        urls, prefix = self._found.urls, folder.rstrip("/") + "/"
        return urls[bisect_left(urls, prefix) : bisect_left(urls, prefix + chr(sys.maxunicode))]


def look_at(names: Sequence[PathLike], root: str | None, appended: str, options: StorageOptions, maker: str) -> FoundUrls:
    """Return what is known of the objects of a list; of a long one, some are asked about, spread evenly over it.

    Args:
        names: URLs, or names relative to `root`.
        root: of the list, if it was given.
        appended: what is appended to names below a root, where it is missing.
        options: of the store.
        maker: name of the class that they are for.

    Raises:
        ConfigError: some are URLs and others are not.
        DataNotFoundError: some are missing.
    """
    urls = _as_urls(names, root, appended)
    step = max(1.0, len(urls) / _ASKED_ABOUT)
    places = [int(number * step) for number in range(min(len(urls), _ASKED_ABOUT))]
    asked = Scout(options).about([urls[place] for place in places])
    missing = [urls[place] for place, size in zip(places, asked.sizes.tolist(), strict=True) if size == MISSING]
    if missing:
        of = f"the {len(places):,} objects" if len(places) == len(urls) else f"{len(places):,} objects, spread over the {len(urls):,} of the list,"
        more = ", ..." if len(missing) > _NAMED else ""
        raise DataNotFoundError(
            f"{maker}: {len(missing):,} of {of} do not exist: {', '.join(missing[:_NAMED])}{more}. What to do: check the URLs; or leave them out"
        )
    objects = of_unknown(urls)
    objects.sizes[places], objects.versions[places] = asked.sizes, asked.versions
    return FoundUrls(objects)


def _as_urls(names: Sequence[PathLike], root: str | None, appended: str) -> list[str]:
    texts = list(map(path_text, names))
    far = list(map(is_url, texts))
    if root is not None and is_url(root):
        texts = [text if text.endswith(appended) else text + appended for text in texts]
        return [check_url(text) if itself else f"{root}/{text.removeprefix('./')}" for text, itself in zip(texts, far, strict=True)]
    if not all(far):
        raise ConfigError(f"paths has URLs, such as {texts[far.index(True)]}, and files, such as {texts[far.index(False)]}; join two sources with +")
    return list(map(check_url, texts))


def _check_listed(url: str) -> None:
    """Raise ConfigError if there is no list of what is below a URL."""
    if is_web(url):
        raise ConfigError(f"{url}: {_NO_LISTS}")
    if "://" in url.partition("::")[2]:
        raise ConfigError(f"{url}: {_NO_CHAINS}")


def _fixed_part(pattern: str) -> str:
    """Return the folder of a pattern up to its first wildcard."""
    while glob.has_magic(pattern):
        pattern = pattern.rpartition("/")[0]
    return pattern


def _as_expression(pattern: str) -> str:
    """Return a glob as a regular expression: `*` and `?` stop at `/`, `**/` means any number of folders."""
    made, rest = "", pattern
    while rest:
        if rest.startswith("**/"):
            made, rest = made + "(?:.*/)?", rest[3:]
        elif rest.startswith("**"):
            made, rest = made + ".*", rest[2:]
        elif (found := re.match(r"\[!?\]?[^\]]*\]", rest)) is not None:
            made, rest = made + found[0].replace("[!", "[^", 1), rest[found.end() :]
        else:
            made, rest = made + {"*": "[^/]*", "?": "[^/]"}.get(rest[0], re.escape(rest[0])), rest[1:]
    return made
