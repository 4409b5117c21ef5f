"""What fetches for one source: the one place through which all far data comes into a process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from loader.data.remote.objects import Fetched, Span
from loader.data.remote.options import StorageOptions

if TYPE_CHECKING:
    from loader.data.remote.fetch_cache.cache_choice import CacheChoice
    from loader.data.remote.gathering.flights import Counts
    from loader.data.remote.gathering.gather import Gather

# Begun at once, over all workers. Batches leave in order, so one object that comes late holds up all of them: several times as many are begun as are
# on their way, and one that has to be asked for a second or a third time still comes before it is needed (docs/measurements.md).
_MOST_ROWS = 1024
_LEAST_ROWS = 16
_MOST_BYTES = 128 * 2**20

PER_PROCESS = 128
"""Most requests on their way to one process: at 50 ms, as many as it has CPU time for. Fewer, where more bring nothing."""


def rows_at_once(nbytes: int) -> int:
    """Return how many objects, or ranges, of so many bytes may be begun and not read at once, over all workers."""
    return max(_LEAST_ROWS, min(_MOST_ROWS, _MOST_BYTES // max(nbytes, 1)))


@contextlib.contextmanager
def expecting(fetchers: Iterable[Fetcher]) -> Iterator[None]:
    """Within it, what is begun will be taken in addition to all that was begun before, as rows of later tickets are."""
    for fetcher in fetchers:
        fetcher.expecting = True
    try:
        yield
    finally:
        for fetcher in fetchers:
            fetcher.expecting = False


class Fetcher:
    """Fetches spans. Travels without what it has begun: each process begins anew.

    Args:
        options: of the stores.
        rows: that may be begun and not read, over all workers.
        cache: where what was fetched is kept; None: nowhere.

    Attributes:
        patience_s: after which a worker that waits is taken for stuck.
        rows: as given.
        expecting: set by the function of that name.
    """

    patience_s: float = 60.0
    expecting: bool = False

    def __init__(self, options: StorageOptions, rows: int, cache: CacheChoice | None = None) -> None:
        self.rows = rows
        self._cache = cache
        self._options = options
        self._gather: Gather | None = None

    def begin(self, spans: Iterable[Span]) -> None:
        """Begin to fetch spans that this process will ask for, and don't wait for them."""
        self._opened().begin(spans, again=self.expecting)

    def fetch(self, span: Span) -> Fetched:
        """Return a span, once it is there; its content is a memoryview. Raises FetchError, DataNotFoundError."""
        content, size, version = self._opened().take(span)
        return Fetched(memoryview(content), size, version)

    def keeps(self, span: Span) -> bool:
        """Return whether a span is in the cache, or would be kept there if it came."""
        return self._cache is not None and self._opened().keeps(span)

    @property
    def may_fill(self) -> bool:
        """Whether there is a cache that takes more."""
        return self._cache is not None and (self._gather is None or self._gather.fills)

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way to this process."""
        return self._gather is None or self._gather.idle

    def fill(self, spans: Iterable[Span]) -> None:
        """Fetch spans for the cache alone, which this process, or another one, will ask for some time. Does nothing without a cache."""
        if self._cache is not None:
            self._opened().fill(spans)

    @property
    def counts(self) -> Counts | None:
        """What was done so far in this process; None if nothing was."""
        return None if self._gather is None else self._gather.counts

    def _opened(self) -> Gather:
        if self._gather is None:
            from loader.data.remote.gathering.gather import Gather  # asyncio takes 50 ms to import

            cache = None if self._cache is None else self._cache.open(self._options)
            self._gather = Gather(self._options, self.patience_s, min(self.rows, PER_PROCESS), 2 * self.rows, cache)
        return self._gather

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_gather": None}
