from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest

from loader.ipc.bad_samples import CAPACITY, BadSampleLog, KnownKillers

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="the pool needs Linux")


@pytest.fixture
def fd() -> Iterator[int]:
    fd = BadSampleLog.create()
    yield fd
    os.close(fd)


def test_the_log_keeps_what_was_noted_in_its_order_for_whoever_opens_it_next(fd: int) -> None:
    first = BadSampleLog(fd)
    assert first.read() == ([], [])
    for index in (7, 0, 2**40):
        first.note(index)
    first.cast_out(0)
    first.cast_out(7)
    second = BadSampleLog(fd)
    assert second.read() == ([7, 0, 2**40], [0, 7])
    second.note(3)
    assert first.read() == ([7, 0, 2**40, 3], [0, 7])


def test_killers_are_found_among_indices() -> None:
    known_killers = KnownKillers()
    assert known_killers.among(np.arange(10)) == []
    for index in (5, 0, 5, 10**12):
        known_killers.add(index)
    assert [index in known_killers for index in (0, 5, 10**12, 1)] == [True, True, True, False]
    assert known_killers.among(np.array([3, 0, 10**12, -1, 5])) == [1, 2, 4]


def test_a_killer_that_is_counted_before_it_is_seen_is_none_yet() -> None:
    known_killers = KnownKillers()
    known_killers.add(3)
    known_killers._cells[0] = 2
    assert known_killers.among(np.arange(6)) == [3]
    assert 0 not in known_killers


def test_more_killers_than_there_is_room_for_are_forgotten() -> None:
    known_killers = KnownKillers()
    for index in range(CAPACITY + 5):
        known_killers.add(index)
    assert CAPACITY - 1 in known_killers
    assert CAPACITY not in known_killers
