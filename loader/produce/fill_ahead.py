"""Filling the caches of far data ahead, while the network idles: with what will be read up to the end of the next epoch, by whichever worker.

A worker that has had no ticket for a moment has nothing on its way: the model is slower than the network, or validates. Then it goes through the
order, from its latest ticket on, and fetches what is in no cache, a few objects at a time, which is all that a ticket that comes meanwhile may have
to wait for. Claims in the cache keep two workers, or two runs, from fetching the same.
"""

from __future__ import annotations

from loader.data.plans.epoch_plan import EpochPlan
from loader.data.rows import Indices
from loader.data.sources.source import Source
from loader.ipc.records import Ticket

_SHARE = 32  # of the rows that are begun at once otherwise
_LOOKS = 16  # at what is there already, before a ticket is looked for again


class FillAhead:
    """Fills caches, in one worker.

    Args:
        source: of the samples.
        plan: the rows of an epoch.

    Attributes:
        useful: whether there is a cache to fill.
    """

    def __init__(self, source: Source, plan: EpochPlan) -> None:
        self._source = source
        self._plan = plan
        self._fetchers = source.fetchers()
        self._rows = max(1, source.rows_at_once // _SHARE)
        self._place = (0, 0)  # epoch and row that come next
        self._last_epoch = 0
        self.useful = any(fetcher.may_fill for fetcher in self._fetchers)

    def follow(self, ticket: Ticket) -> None:
        """Be told of a ticket that this worker has got: what comes before its end needs no filling."""
        self._place = max(self._place, (ticket.epoch, ticket.first + ticket.rows))
        self._last_epoch = ticket.epoch + 1

    def step(self) -> bool:
        """Fetch a few more objects, if nothing is on its way; return whether there may be more to do."""
        if not any(fetcher.may_fill for fetcher in self._fetchers):
            return False
        for _ in range(_LOOKS):
            if not all(fetcher.idle for fetcher in self._fetchers):
                return True
            indices = self._next()
            if indices is None:
                return False
            for fetcher, spans in self._source.far_spans(indices):
                fetcher.fill(spans)
        return True

    def _next(self) -> Indices | None:
        """Return the samples of the next rows; None after the last epoch."""
        plan, (epoch, row) = self._plan, self._place
        while epoch <= self._last_epoch:
            batch, start = divmod(row, plan.batch_size)
            if batch >= plan.batches:
                epoch, row = epoch + 1, 0
                continue
            stop = min(start + self._rows, plan.rows_of(epoch, batch))
            if start < stop:
                self._place = (epoch, row + stop - start)
                return plan.indices(epoch, row, row + stop - start)
            row = (batch + 1) * plan.batch_size
        return None
