"""Which workers make no progress. Pure: the clock is an argument."""

from __future__ import annotations

from dataclasses import dataclass, field

from loader.ipc.board import Cells, WorkerCell


@dataclass
class Stalls:
    """Remembers when each worker was last seen to move.

    Attributes:
        timeout_s: a worker that holds a ticket and did not move for so long is stalled.
    """

    timeout_s: float
    _seen: dict[int, tuple[tuple[int, ...], float]] = field(default_factory=dict)

    def stalled(self, worker: int, cells: Cells, held: int, now: float) -> bool:
        """Return whether `worker`, which holds `held` tickets, is stalled at the time `now` (seconds, monotonic)."""
        moving = (WorkerCell.PID_GAUGE, WorkerCell.TICKET_STARTED_NS_GAUGE, WorkerCell.ROW_GAUGE, WorkerCell.ATTEMPT_GAUGE, WorkerCell.BAD)
        state = tuple(cells[cell] for cell in moving)
        known, since = self._seen.get(worker, (None, now))
        if not held or state != known:
            self._seen[worker] = (state, now)
            return False
        return now - since >= self.timeout_s
