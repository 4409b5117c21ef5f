from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loader.supervise.schedule.blocks import Blocks
from tests.plans import sample_batches


@given(rows=st.integers(1, 60), size=st.integers(1, 5), epoch=st.integers(0, 5))
def test_blocks_cover_each_row_of_an_epoch_once(rows: int, size: int, epoch: int) -> None:
    plan = sample_batches(rows, size)
    blocks = Blocks(plan, size * 2, places=100)
    cursors = {blocks.key(epoch, row) for row in range(rows)}
    made = []
    for cursor in sorted(cursors):
        blocks.wanted([cursor])
        made.append(blocks.get(cursor))
    covered = [row for block in made if block is not None for row in range(block.first, block.first + block.rows)]
    assert covered == list(range(rows))
    assert {block.epoch for block in made if block is not None} == {epoch}


def test_a_block_in_use_or_being_made_keeps_its_place() -> None:
    blocks = Blocks(sample_batches(40, 4), 4, places=3)
    first, second = blocks.wanted([0]), blocks.wanted([0])
    assert first is not None
    assert second is not None
    first.ready, first.users = True, 1
    blocks.forget([5])
    assert (blocks.get(0), blocks.get(1)) == (first, second)
    first.users, second.ready = 0, True
    blocks.forget([5])
    assert blocks.get(0) is None
    assert blocks.get(1) is None
