from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from loader.ipc.bad_sample_log import BadSampleLog

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
    first.note_killer(0)
    first.note_killer(7)
    second = BadSampleLog(fd)
    assert second.read() == ([7, 0, 2**40], [0, 7])
    second.note(3)
    assert first.read() == ([7, 0, 2**40, 3], [0, 7])
