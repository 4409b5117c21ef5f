"""Objects of one source, read whole, many at the same time."""

from __future__ import annotations

from typing import Any

import numpy as np

from loader.data.remote.fetch_cache.cache_choice import CacheChoice
from loader.data.remote.fetcher import Fetcher, rows_at_once
from loader.data.remote.objects import Fetched, Span
from loader.data.remote.options import StorageOptions
from loader.data.rows import Indices
from loader.data.sources.files.far_index import FarIndex
from loader.data.sources.files.path_index import PathIndex


class FarReader:
    """Reads the objects of an index.

    Args:
        index: of the objects.
        options: of the stores.
        cache: where what was fetched is kept; None: nowhere.

    Attributes:
        index: as given.
        fetcher: what brings them.
    """

    def __init__(self, index: PathIndex, options: StorageOptions, cache: CacheChoice | None = None) -> None:
        assert isinstance(index, FarIndex)
        self.index = index
        self.fetcher = Fetcher(options, min(rows_at_once(index.mean_bytes()), len(index)), cache)
        self._begun: dict[int, Span] = {}  # by index: those that were not read yet

    def begin(self, indices: Indices) -> None:
        """Begin to fetch objects that this process will read, unless it has begun already."""
        begun, wanted = self._begun, indices.tolist()
        new = [index for index in wanted if index not in begun]
        if new:
            begun.update(zip(new, self.index.spans(np.array(new)), strict=True))
        spans = [begun[index] for index in (wanted if self.fetcher.expecting else new)]
        while len(begun) > 2 * self.fetcher.rows + len(new):  # that nobody has read since there was an error
            del begun[next(iter(begun))]
        self.fetcher.begin(spans)

    def span(self, index: int) -> Span:
        """Return what to fetch for an object that is read now."""
        return self._begun.pop(index, None) or self.index.span(index)

    def fetch(self, span: Span) -> Fetched:
        """Return a span, once it is there. Raises FetchError, DataNotFoundError."""
        return self.fetcher.fetch(span)

    def read(self, span: Span | str) -> memoryview:
        """Return the content of a span, or of a whole object, as `fetch` does."""
        content: memoryview = self.fetcher.fetch(Span(span) if isinstance(span, str) else span).content
        return content

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_begun": {}}
