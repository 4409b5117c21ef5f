"""What comes from afar, in figures, and what would make it come faster. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from loader.data.remote.fetcher import PER_PROCESS
from loader.ipc.board import WorkerCell

FETCH_CELLS = (
    WorkerCell.FETCHED,
    WorkerCell.FETCHED_BYTES,
    WorkerCell.FETCH_RETRIES,
    WorkerCell.FETCH_WAIT_NS,
    WorkerCell.FETCH_HITS,
    WorkerCell.FETCH_TOOK_NS,
)
"""Counters about data that are far away."""

_AT_DEPTH = 0.75  # of the requests that may be in flight
_ALL = 0.9  # of those that workers may have: otherwise, more requests have turned out to bring no more
_FEW = 0.4
_SMALL_BYTES = 64 * 1024
_MOSTLY = 0.5


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
        latency_ms: from a request to its answer, on average over the last 10 s; it grows with the number of requests where they wait for each other.
        depth: requests that all workers together may have in flight; fewer where more do not bring more, or where the store has refused some.
        hit_ratio: share of the objects that were found in a cache, over the last 10 s.
    """

    in_flight: int
    objects_per_s: float
    bytes_per_s: float
    waiting: float
    retries: int
    hits: int
    latency_ms: float = 0.0
    depth: int = 0
    hit_ratio: float = 0.0

    def __str__(self) -> str:
        text = f"{self.in_flight} requests in flight, {self.latency_ms:,.0f} ms each, {self.objects_per_s:,.0f} objects/s"
        text += f", {self.bytes_per_s / 1e6:,.1f} MB/s, waited for {self.waiting:.0%} of the time"
        return f"{text}; {self.retries:,} retries, {self.hits:,} found in the cache ({self.hit_ratio:.0%} of the latest)"

    @property
    def trouble(self) -> str:
        """What to say of it where workers wait for it."""
        text = f"the workers wait for the network {self.waiting:.0%} of their time, with {self.in_flight} requests in flight that take "
        text += f"{self.latency_ms:,.0f} ms each, {self.objects_per_s:,.0f} objects/s, {self.bytes_per_s / 1e6:,.1f} MB/s "
        text += f"and {self.retries:,} retries so far"
        return f"{text}; {self.hit_ratio:.0%} of the objects are in the cache" if self.hits else text

    def cures(self, workers: int, ceiling: int) -> list[tuple[str, float]]:
        """Return what would help, each with how many times as fast the workers are expected to be with it; the best is the last.

        Args:
            workers: that there are.
            ceiling: most that there may be.
        """
        never_waiting = 1 / max(1 - self.waiting, 0.1)
        found = []
        if self.objects_per_s and self.bytes_per_s / self.objects_per_s < _SMALL_BYTES:
            found.append(("put many small objects into large files by source.pack()", 1.0))
        more = min(2 * workers, ceiling)
        if more > workers and self.in_flight >= _AT_DEPTH * self.depth and self.depth >= _ALL * workers * PER_PROCESS:
            found.append((f"use {more} workers, which may have {more * PER_PROCESS:,} requests in flight", min(more / workers, never_waiting)))
        elif self.in_flight < _FEW * self.depth:
            words = "have more samples fetched beforehand, by more slots (slots=) or a larger batch_size"
            found.append((words, min(2.0, never_waiting)))
        if not self.hits:
            found.append(("keep what was fetched for the next epochs by cache=", never_waiting))
        elif self.hit_ratio < _MOSTLY:
            found.append(("let the cache hold more, by a larger cache_bytes= or disk", never_waiting))
        return sorted(found, key=lambda cure: cure[1])
