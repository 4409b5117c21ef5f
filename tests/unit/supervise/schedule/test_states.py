from __future__ import annotations

import pytest

from loader.supervise.schedule.slots import Slot, SlotState

LIVES = [
    [SlotState.FILLING, SlotState.COMPLETE, SlotState.HANDED, SlotState.FREE],
    [SlotState.FILLING, SlotState.FREE],
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
        with pytest.raises(AssertionError, match="slot 3"):
            slot.become(after)
        assert slot.state is before
