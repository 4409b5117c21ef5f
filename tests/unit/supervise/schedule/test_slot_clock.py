from __future__ import annotations

from loader.ipc.board import Cells, SupervisorCell
from loader.supervise.schedule.slots import SlotClock


def test_only_time_in_which_all_slots_were_filled_is_counted() -> None:
    cells = Cells.private()
    clock = SlotClock(cells)
    clock.note(0, 4, 0, 1_000)
    clock.note(0, 0, 4, 1_010)
    clock.note(0, 1, 3, 1_030)
    clock.note(2, 2, 0, 1_100)
    clock.note(0, 0, 4, 1_500)
    clock.note(0, 0, 4, 1_600)
    assert cells[SupervisorCell.NOTHING_TO_FILL_NS] == 20 + 100
    assert [cells[cell] for cell in range(3)] == [0, 0, 4]
