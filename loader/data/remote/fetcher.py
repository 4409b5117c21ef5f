"""What fetches for one source: the one place through which all far data comes into a process."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from loader.data.remote.fetch_cache.cache_choice import CacheChoice
from loader.data.remote.objects import Fetched, Span
from loader.data.remote.options import StorageOptions

if TYPE_CHECKING:
    from loader.data.remote.flights import Counts
    from loader.data.remote.gather import Gather

# On their way at once, over all workers: what 100 ms of latency need for 5,000 small objects a second.
_MOST_ROWS = 512
_LEAST_ROWS = 16
_MOST_BYTES = 64 * 2**20

_PER_PROCESS = 256


def rows_at_once(nbytes: int) -> int:
    """Return how many objects, or ranges, of so many bytes may be on their way at once, over all workers."""
    return max(_LEAST_ROWS, min(_MOST_ROWS, _MOST_BYTES // max(nbytes, 1)))


class Fetcher:
    """Fetches spans. Travels without what it has begun: each process begins anew.

    Args:
        options: of the stores.
        rows: that are on their way at once, over all workers.
        cache: where what was fetched is kept; None: nowhere.

    Attributes:
        patience_s: after which a worker that waits is taken for stuck.
        rows: as given.
    """

    patience_s: float = 60.0

    def __init__(self, options: StorageOptions, rows: int, cache: CacheChoice | None = None) -> None:
        self.rows = rows
        self._cache = cache
        self._options = options
        self._gather: Gather | None = None

    def begin(self, spans: Iterable[Span]) -> None:
        """Begin to fetch spans that this process will ask for, and don't wait for them."""
        self._opened().begin(spans)

    def fetch(self, span: Span) -> Fetched:
        """Return a span, once it is there; its content is a memoryview. Raises FetchError, DataNotFoundError."""
        fetched = self._opened().take(span)
        return fetched._replace(content=memoryview(fetched.content))

    @property
    def counts(self) -> Counts | None:
        """What was done so far in this process; None if nothing was."""
        return None if self._gather is None else self._gather.counts

    def _opened(self) -> Gather:
        if self._gather is None:
            from loader.data.remote.gather import Gather  # asyncio takes 50 ms to import

            cache = None if self._cache is None else self._cache.open(self._options)
            self._gather = Gather(self._options, self.patience_s, min(self.rows, _PER_PROCESS), 2 * self.rows, cache)
        return self._gather

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_gather": None}
