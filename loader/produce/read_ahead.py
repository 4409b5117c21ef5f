"""Reading ahead: while reads wait for storage, the kernel is told which rows come next.

The order is a pure function, so a worker knows what is read after its own ticket, by whichever worker. When it begins a ticket, it asks for as many
rows as the ticket has, some distance ahead of it: tickets follow one another without a gap, and so do the rows that all workers ask for. Then
storage has dozens of reads at a time; without it, each worker would wait for a single one. If samples are mixed within windows, a window is asked
for in the order of the files, in long pieces, while the one before it is delivered.

Asking costs about as much as reading from memory. So nobody asks while the data is in memory: a worker begins by asking, stops when nothing
comes from storage, and begins again when it has waited for storage. It looks at that when rows are timed, every 50 ms; in between, rows that are in
memory cost a comparison.
"""

from __future__ import annotations

import logging
import resource
from dataclasses import dataclass

import numpy as np

from loader.data.plans.epoch_plan import EpochPlan
from loader.data.rows import Indices
from loader.data.sources.source import Source
from loader.data.stopwatch import Timing
from loader.ipc.arena import Arena
from loader.ipc.board import Cells, WorkerCell
from loader.ipc.records import Ticket
from loader.machine import page_cache_bytes

_log = logging.getLogger("loader.worker")

# A cloud disk reaches its full speed with 32 reads of 150 KB at a time. While the oldest one is waited for, others have arrived already, so some 100
# are asked for (docs/measurements.md). There may be more if they are small, and there are fewer if they are large.
_AHEAD_BYTES = 16 * 2**20
_MOST_ROWS = 256
_LEAST_ROWS = 32
_MOST_BYTES = 64 * 2**20

# Of a window that nobody has asked for. Reading it takes some seconds on a hard disk, and the ticket waits for that.
_MOST_BYTES_AT_ONCE = 256 * 2**20

_WAITING = 0.2  # share of a worker's time


def rows_ahead(row_bytes: int) -> int:
    """Return how many rows ahead of those being read are asked for."""
    row_bytes = max(row_bytes, 1)
    return max(1, min(_MOST_ROWS, _AHEAD_BYTES // row_bytes), min(_LEAST_ROWS, _MOST_BYTES // row_bytes))


@dataclass(frozen=True)
class Spent:
    """What a worker has spent since it exists.

    Attributes:
        busy_ns: with tickets.
        working_ns: on a core, or in line for one.
        blocks: that storage had to deliver, in units of 512 bytes; those in the page cache don't count, those asked for beforehand do.
    """

    busy_ns: int
    working_ns: int
    blocks: int

    @classmethod
    def now(cls, cells: Cells) -> Spent:
        """Return what this process, whose counters `cells` are, has spent up to now. Takes 1 µs."""
        timing = cells.timing()
        return cls(cells[WorkerCell.BUSY_NS], timing[Timing.CPU_NS] + timing[Timing.QUEUE_NS], resource.getrusage(resource.RUSAGE_SELF).ru_inblock)


def waits_for_storage(before: Spent, now: Spent, already: bool) -> bool:
    """Return whether reads wait for storage, or would if nobody asked for them ahead.

    Args:
        before: when that was decided last.
        now: what has been spent up to now.
        already: what was decided then.
    """
    if now.blocks == before.blocks:
        return False
    busy = now.busy_ns - before.busy_ns
    return already or busy - (now.working_ns - before.working_ns) > _WAITING * busy


class ReadAhead:
    """Asks for the rows that come next, in one worker.

    Args:
        source: of the samples.
        plan: the rows of an epoch.
        arena: has blocks of the order.
        cells: this worker's counters.

    Attributes:
        active: whether reads wait for storage.
    """

    def __init__(self, source: Source, plan: EpochPlan, arena: Arena, cells: Cells) -> None:
        self._source = source
        self._plan = plan
        self._arena = arena
        self._cells = cells
        row_bytes = source.spec.nbytes
        # A rank would ask for whole windows, of which it reads a part. Two windows at a time must not push each other out of memory.
        self._in_windows = plan.order.window > 0 and plan.world == 1 and 4 * plan.order.window * row_bytes <= page_cache_bytes()
        self._rows = plan.order.window if self._in_windows else rows_ahead(row_bytes)
        self._rows_at_once = min(self._rows, _MOST_BYTES_AT_ONCE // max(row_bytes, 1))
        self._last = Spent.now(cells)
        # Rows that have been asked for, by this worker or by the others, counted from the first one of epoch 0; of each rank that the plan is of.
        self._asked: dict[int, range] = {}
        self._per_rank = plan.batches * plan.batch_size
        # If files are batches, each is read in one piece, which the kernel notices by itself.
        # What is far away comes to one process: each asks for the rows of its own tickets.
        self._useful = plan.one_size and type(source).will_read is not Source.will_read and not source.rows_at_once
        self.active = self._useful

    def look(self) -> None:
        """Find out whether reads wait for storage. To be called now and then, after a ticket."""
        now = Spent.now(self._cells)
        self.active = self._useful and waits_for_storage(self._last, now, self.active)
        self._last = now
        if not self.active:
            self._asked = {}

    def begin(self, ticket: Ticket) -> None:
        """Ask for what comes after a ticket, which begins now; for the ticket itself and all in between, too, if nobody can have asked for them."""
        step, row = divmod(ticket.first, self._per_rank)
        first = ticket.epoch * self._plan.rows + row
        end = first + self._rows + ticket.rows
        known = first in self._asked.get(step, ())
        self._asked[step] = range(first, end)
        start, end = (end - ticket.rows, end) if known else (first, min(end, first + ticket.rows + self._rows_at_once))
        while start < end and self._useful:
            epoch, row = divmod(start, self._plan.rows)
            stop = min(row + end - start, self._plan.rows)
            of_rank = step * self._per_rank
            self._ask(self._indices(ticket, epoch, of_rank + row, of_rank + stop))
            start += stop - row

    def _ask(self, indices: Indices) -> None:
        try:
            self._source.will_read(indices)
        except Exception:  # of a source of the user's: reading itself will tell what is wrong, if anything is
            _log.exception("the source can't say what it will read, and is not asked again")
            self._useful = self.active = False

    def _indices(self, ticket: Ticket, epoch: int, start: int, stop: int) -> Indices:
        """Return the samples of some rows: out of the ticket's block of the order as far as that goes, which takes no time."""
        if self._in_windows:
            return self._plan.order.unmixed(epoch, np.arange(start, stop))
        block = self._arena.block(ticket.block) if self._plan.in_blocks else None
        if block is not None and epoch == ticket.epoch and stop <= ticket.block_first + len(block):
            return block[start - ticket.block_first : stop - ticket.block_first]
        return self._plan.indices(epoch, start, stop)
