from __future__ import annotations

import pytest

from loader.errors import ProtocolError
from loader.supervise.schedule.slots import Slot, SlotState

LIVES = [
    [SlotState.FILLING, SlotState.COMPLETE, SlotState.HANDED, SlotState.FREE],
    [SlotState.FILLING, SlotState.COMPLETE, SlotState.FREE],
]


@pytest.mark.parametrize("life", LIVES)
def test_a_slot_ends_where_it_began(life: list[SlotState]) -> None:
    slot = Slot(0)
    for state in life:
        slot.become(state)
    assert slot.state is SlotState.FREE


@pytest.mark.parametrize("before", SlotState)
@pytest.mark.parametrize("after", SlotState)
def test_a_transition_that_is_not_part_of_a_life_raises(before: SlotState, after: SlotState) -> None:
    legal = {step for life in LIVES for step in zip([SlotState.FREE, *life], life, strict=False)}
    slot = Slot(3, before)
    if (before, after) in legal:
        slot.become(after)
    else:
        with pytest.raises(ProtocolError, match="slot 3"):
            slot.become(after)
        assert slot.state is before


def test_what_raises_tells_the_slots_history() -> None:
    slot = Slot(3)
    for delivery in (7, 8):
        slot.begin(delivery, 0, 0, 1, 0, 4, None)
        slot.become(SlotState.COMPLETE)
        slot.become(SlotState.HANDED)
        slot.become(SlotState.FREE)
    with pytest.raises(ProtocolError) as caught:
        slot.become(SlotState.HANDED)
    assert "slot 3 can't go from FREE to HANDED" in str(caught.value)
    assert "COMPLETE (delivery 7), HANDED (delivery 7), FREE (delivery 7), FILLING (delivery 8)" in str(caught.value)
