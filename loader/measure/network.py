"""What comes from afar, in figures."""

from __future__ import annotations

from dataclasses import dataclass

from loader.ipc.board import WorkerCell

FETCH_CELLS = (WorkerCell.FETCHED, WorkerCell.FETCHED_BYTES, WorkerCell.FETCH_RETRIES, WorkerCell.FETCH_WAIT_NS, WorkerCell.FETCH_HITS)
"""Counters about data that are far away."""


@dataclass(frozen=True)
class NetworkStats:
    """What comes from afar.

    Attributes:
        in_flight: requests that are on their way.
        objects_per_s: objects, or ranges of them, that came, over the last 10 s.
        bytes_per_s: of them.
        waiting: share of the workers' time in which they waited for them, over the last 10 s.
        retries: requests that were sent again since the loader was made, because one failed or took too long.
        hits: objects that were found in a cache since then.
    """

    in_flight: int
    objects_per_s: float
    bytes_per_s: float
    waiting: float
    retries: int
    hits: int

    def __str__(self) -> str:
        text = f"{self.in_flight} requests in flight, {self.objects_per_s:,.0f} objects/s, {self.bytes_per_s / 1e6:,.1f} MB/s"
        return f"{text}, waited for {self.waiting:.0%} of the time; {self.retries:,} retries, {self.hits:,} found in the cache"
