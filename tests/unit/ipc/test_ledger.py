from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest

from loader.ipc.ledger import Ledger
from loader.ipc.outcasts import CAPACITY, Outcasts

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="the pool needs Linux")


@pytest.fixture
def fd() -> Iterator[int]:
    fd = Ledger.create()
    yield fd
    os.close(fd)


def test_a_ledger_keeps_what_was_noted_in_its_order_for_whoever_opens_it_next(fd: int) -> None:
    first = Ledger(fd)
    assert first.read() == ([], [])
    for index in (7, 0, 2**40):
        first.note(index)
    first.cast_out(0)
    first.cast_out(7)
    second = Ledger(fd)
    assert second.read() == ([7, 0, 2**40], [0, 7])
    second.note(3)
    assert first.read() == ([7, 0, 2**40, 3], [0, 7])


def test_outcasts_are_found_among_indices() -> None:
    outcasts = Outcasts()
    assert outcasts.among(np.arange(10)) == []
    for index in (5, 0, 5, 10**12):
        outcasts.add(index)
    assert [index in outcasts for index in (0, 5, 10**12, 1)] == [True, True, True, False]
    assert outcasts.among(np.array([3, 0, 10**12, -1, 5])) == [1, 2, 4]


def test_an_outcast_that_is_counted_before_it_is_seen_is_none_yet() -> None:
    outcasts = Outcasts()
    outcasts.add(3)
    outcasts._cells[0] = 2
    assert outcasts.among(np.arange(6)) == [3]
    assert 0 not in outcasts


def test_more_outcasts_than_there_is_room_for_are_forgotten() -> None:
    outcasts = Outcasts()
    for index in range(CAPACITY + 5):
        outcasts.add(index)
    assert CAPACITY - 1 in outcasts
    assert CAPACITY not in outcasts
