"""Where the slots are now, and for how long the workers had none to fill: a look now and then would miss what happens between batches."""

from __future__ import annotations

from loader.ipc.board import Cells, SupervisorCell


class SlotClock:
    """Publishes the whereabouts of the slots.

    Args:
        cells: of the supervisor.
    """

    def __init__(self, cells: Cells) -> None:
        self._cells = cells
        self._counts = -1, 0, 0  # nothing is known yet
        self._since_ns = 0

    def note(self, free: int, filling: int, handed: int, now_ns: int) -> None:
        """From now on so many slots are free, being filled, and with the trainer."""
        cells = self._cells
        elapsed_ns = now_ns - (self._since_ns or now_ns)
        self._since_ns = now_ns
        if self._counts[0] == self._counts[1] == 0:
            cells.add(SupervisorCell.NOTHING_TO_FILL_NS, elapsed_ns)
        if (free, filling, handed) != self._counts:
            self._counts = free, filling, handed
            cells[SupervisorCell.SLOTS_FREE_GAUGE] = free
            cells[SupervisorCell.SLOTS_FILLING_GAUGE] = filling
            cells[SupervisorCell.SLOTS_HANDED_GAUGE] = handed
