"""What `loader inspect --verify` reads again after one of its processes has died."""

from __future__ import annotations

import pytest

from loader.watch.verify_pool import first_left


@pytest.mark.parametrize(
    ("at", "first"),
    [(10, 10), (13, 13), (19, 19), (9, 10), (20, 10), (500, 10)],
    ids=["at its start", "in the middle", "at its end", "in one before", "right behind", "in one far behind"],
)
def test_nothing_of_a_range_is_left_out_whichever_range_its_reader_was_last_seen_in(at: int, first: int) -> None:
    assert first_left((10, 20), at) == first
