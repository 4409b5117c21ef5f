"""The index of objects: their URLs, and what makes one of them another one."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from loader.data.remote.objects import UNKNOWN_SIZE, UNKNOWN_VERSION, Objects, Span
from loader.data.remote.urls import common_root
from loader.data.rows import Indices
from loader.data.sources.files.path_index import PathIndex


class FarIndex(PathIndex):
    """URLs as `PathIndex` has paths, with size and version of each object.

    Args:
        objects: at least one.
        root: folder that IDs are relative to, a URL. None: the one that is common to all.

    Attributes:
        sizes: in bytes, of shape `(objects,)`.
        versions: of the same shape.
    """

    far = True

    def __init__(self, objects: Objects, root: str | None = None) -> None:
        self.root = common_root(objects.urls) if root is None else root
        self._fill("\0".join(objects.urls), objects.urls)
        self.sizes: Indices = objects.sizes
        self.versions: Indices = objects.versions

    def span(self, index: int) -> Span:
        """Return what to fetch for object `index`: all of it."""
        return Span(self.path(index), 0, None, int(self.versions[index]), int(self.sizes[index]))

    def spans(self, indices: Indices) -> list[Span]:
        """Return what to fetch for many objects."""
        urls, versions, sizes = map(os.fsdecode, self.raw_paths(indices)), self.versions[indices].tolist(), self.sizes[indices].tolist()
        return [Span(url, 0, None, version, size) for url, version, size in zip(urls, versions, sizes, strict=True)]

    def mean_bytes(self) -> int:
        """Return the mean size of the objects; 0 if no size is known."""
        known = self.sizes[self.sizes != UNKNOWN_SIZE]
        return int(known.mean()) if len(known) else 0

    def stamps(self) -> Indices:
        """Return size and version of each object, of shape `(objects, 2)`: another object of the same name differs in one of them."""
        return np.stack([self.sizes, self.versions], axis=1)

    def relative(self, path: str) -> str:
        return path.removeprefix(self.root.rstrip("/") + "/")

    def __getstate__(self) -> dict[str, object]:
        return super().__getstate__() | {"sizes": self.sizes, "versions": self.versions}

    def __setstate__(self, state: dict[str, object]) -> None:
        super().__setstate__(state)
        self.sizes = state["sizes"]  # type: ignore[assignment]
        self.versions = state["versions"]  # type: ignore[assignment]


class FoundUrls(list[str]):
    """URLs that were found in a list of a store, with what it said of them.

    Args:
        objects: what was found.
    """

    def __init__(self, objects: Objects) -> None:
        super().__init__(objects.urls)
        self.objects = objects


def of_unknown(urls: Sequence[str]) -> Objects:
    """Return objects of which nothing is known but their URLs."""
    count = len(urls)
    return Objects(list(urls), np.full(count, UNKNOWN_SIZE, np.int64), np.full(count, UNKNOWN_VERSION, np.int64))
