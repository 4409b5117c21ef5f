"""What a trainer makes of its supervisor's announcements."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from loader.errors import PipelineError
from loader.ipc.board import Cells, Phase, SupervisorCell
from loader.ipc.records import Look
from loader.train.lease import Interrupt
from loader.train.life import Life

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="the pool needs Linux")

PHASE = SupervisorCell.PHASE_GAUGE
ERROR = PipelineError("there is no room for the arena").to_record()


class Overwritten(Cells):
    """Cells whose supervisor writes its error while they are read for the first time."""

    def read_text(self) -> Any:
        if self[PHASE] == Phase.RUNNING:
            self[PHASE] = Phase.BOOTING
            self._text[:6] = (40).to_bytes(4, "little") + b'{"'  # half of a text
        return super().read_text()


@pytest.fixture
def cells() -> Cells:
    return Overwritten.private()


@pytest.fixture
def life(cells: Cells) -> Iterator[Life]:
    life = Life(cells, Interrupt(), memoryview(bytearray(8)).cast("q"))
    yield life
    life.end()
    os.close(life._inbox)
    os.close(life._ready_write)


def announce(life: Life, cells: Cells, phase: Phase) -> None:
    cells[PHASE] = phase
    os.write(life._ready_write, Look().pack())


def test_a_layout_that_an_error_overwrites_is_let_go_and_the_error_raised(life: Life, cells: Cells) -> None:
    cells.write_text({"slots": 2})
    announce(life, cells, Phase.RUNNING)
    assert life.read()
    assert life.arena is None
    cells.write_text(ERROR)
    announce(life, cells, Phase.FAILED)
    with pytest.raises(PipelineError, match="no room for the arena"):
        life.read()


def test_a_supervisor_that_is_killed_while_it_writes_its_error_is_dead_and_no_more(life: Life, cells: Cells) -> None:
    cells.write_text({"slots": 2})
    announce(life, cells, Phase.RUNNING)
    assert life.read()
    os.close(life._ready_write)
    assert not life.read()
    life._ready_write = os.open(os.devnull, os.O_RDONLY)
