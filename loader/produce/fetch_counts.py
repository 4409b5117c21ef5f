"""What one worker has fetched from afar, on the board."""

from __future__ import annotations

from loader.data.sources.source import Source
from loader.ipc.board import Cells, WorkerCell
from loader.measure.network import FETCH_CELLS


class FetchCounts:
    """Copies the counts of a source to the cells of a worker, which continue those of the one before it.

    Args:
        source: of the samples.
        cells: of the worker.
    """

    def __init__(self, source: Source, cells: Cells) -> None:
        self._fetchers = source.fetchers()
        self._cells = cells
        self._noted = [0] * len(FETCH_CELLS)

    def note(self) -> None:
        """Note what has been done up to now. Takes some µs."""
        found = [counts for fetcher in self._fetchers if (counts := fetcher.counts) is not None]
        for number, name in enumerate(("fetched", "nbytes", "retries", "waited_ns", "hits", "took_ns")):
            total = sum(getattr(counts, name) for counts in found)
            self._cells.add(FETCH_CELLS[number], total - self._noted[number])
            self._noted[number] = total
        self._cells[WorkerCell.IN_FLIGHT_GAUGE] = sum(counts.in_flight for counts in found)
        self._cells[WorkerCell.FETCH_DEPTH_GAUGE] = sum(counts.depth for counts in found)
