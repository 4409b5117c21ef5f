from __future__ import annotations

from loader.ipc.board import Cells, SupervisorCell
from loader.supervise.slot_clock import SlotClock


def test_time_counts_for_the_state_that_it_was_spent_in() -> None:
    cells = Cells.private()
    clock = SlotClock(cells)
    clock.note(0, 4, 0, 1_000)
    clock.note(0, 1, 3, 1_010)
    clock.note(2, 1, 1, 1_030)
    clock.note(2, 2, 0, 1_100)
    assert cells[SupervisorCell.NO_SLOT_FREE_NS] == 30
    assert cells[SupervisorCell.SLOTS_HANDED_NS] == 3 * 20 + 70
    assert [cells[cell] for cell in range(3)] == [2, 2, 0]
