"""Objects of one source, read whole, many at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loader.data.remote.fetch_cache.cache_choice import CacheChoice
from loader.data.remote.objects import Fetched, Span
from loader.data.remote.options import StorageOptions
from loader.data.rows import Indices
from loader.data.sources.files.far_index import FarIndex
from loader.data.sources.files.path_index import PathIndex

if TYPE_CHECKING:
    from loader.data.remote.gather import Gather

# On their way at once, over all workers: what 100 ms of latency need for 5,000 small objects a second.
_MOST_ROWS = 512
_LEAST_ROWS = 16
_MOST_BYTES = 64 * 2**20

_PER_PROCESS = 256


def rows_at_once(nbytes: int) -> int:
    """Return how many objects, or ranges, of so many bytes may be on their way at once, over all workers."""
    return max(_LEAST_ROWS, min(_MOST_ROWS, _MOST_BYTES // max(nbytes, 1)))


class FarReader:
    """Fetches spans for one source. Travels without what it has begun: each process begins anew.

    Args:
        index: of the objects.
        options: of the stores.
        cache: where what was fetched is kept; None: nowhere.

    Attributes:
        index: as given.
        patience_s: after which a worker that waits is taken for stuck.
        rows: that are on their way at once, over all workers.
    """

    patience_s: float = 60.0

    def __init__(self, index: PathIndex, options: StorageOptions, cache: CacheChoice | None = None) -> None:
        assert isinstance(index, FarIndex)
        self.index = index
        self.rows = min(rows_at_once(index.mean_bytes()), len(index))
        self._options = options
        self._cache = cache
        self._gather: Gather | None = None

    @property
    def gather(self) -> Gather:
        """What fetches in this process."""
        if self._gather is None:
            from loader.data.remote.gather import Gather  # asyncio takes 50 ms to import

            cache = None if self._cache is None else self._cache.open(self._options)
            self._gather = Gather(self._options, self.patience_s, min(self.rows, _PER_PROCESS), 2 * self.rows, cache)
        return self._gather

    def begin(self, indices: Indices) -> None:
        """Begin to fetch objects that will be read by this process."""
        self.gather.begin(map(self.index.span, indices.tolist()))

    def fetch(self, span: Span) -> Fetched:
        """Return a span, once it is there; its content is a memoryview. Raises FetchError, DataNotFoundError."""
        fetched = self.gather.take(span)
        return fetched._replace(content=memoryview(fetched.content))

    def read(self, span: Span | str) -> memoryview:
        """Return the content of a span, or of a whole object, as `fetch` does."""
        return memoryview(self.gather.take(Span(span) if isinstance(span, str) else span).content)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_gather": None}
