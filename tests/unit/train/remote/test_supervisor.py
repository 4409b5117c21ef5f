"""What a trainer makes of its supervisor's announcements, and of one that does not end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from loader.data.layout import SlotLayout
from loader.data.spec import Leaf, SampleSpec
from loader.errors import IterationError, PipelineError, ProtocolError
from loader.ipc.arena import ArenaLayout
from loader.ipc.board import Cells, Phase, SupervisorCell
from loader.ipc.records import INBOX_BYTES, Look, Ready, Skip, unpack_inbox
from loader.train.producer import Cursor
from loader.train.remote import supervisor as module
from loader.train.remote.interrupts import Interrupt
from loader.train.remote.supervisor import SupervisorProcess
from tests.processes import wait_until

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="the pool needs Linux")

PHASE = SupervisorCell.PHASE_GAUGE
ERROR = PipelineError("there is no room for the arena").to_record()


@pytest.fixture
def cells() -> Cells:
    return Cells.private()


@pytest.fixture
def life(cells: Cells) -> Iterator[SupervisorProcess]:
    life = SupervisorProcess(cells, Interrupt(), memoryview(bytearray(8)).cast("q"), shared=False)
    yield life
    life.end()
    for fd in (life._inbox, life._inbox_write, life._ready_write):
        os.close(fd)


def announce(life: SupervisorProcess, cells: Cells, phase: Phase) -> None:
    cells[PHASE] = phase
    os.write(life._ready_write, Look().pack())


def test_the_layout_of_a_sample_of_ten_thousand_arrays_arrives(life: SupervisorProcess, cells: Cells) -> None:
    leaves = tuple(Leaf(0, f"array {number}", (3,), np.dtype("float32")) for number in range(10_000))
    layout = ArenaLayout((SlotLayout(SampleSpec(leaves), 2, 1),), 2, 64, 0)
    os.ftruncate(life._arena_fd, layout.nbytes)
    layout.write(life._arena_fd)
    cells[SupervisorCell.ARENA_BYTES_GAUGE] = layout.nbytes
    announce(life, cells, Phase.RUNNING)
    assert life.read()
    assert life.arena is not None
    assert life.arena.layout == layout


def test_an_error_that_is_seen_before_its_text_is_raised_when_the_record_has_come(life: SupervisorProcess, cells: Cells) -> None:
    announce(life, cells, Phase.FAILED)
    assert life.read()
    cells.write_text(ERROR)
    announce(life, cells, Phase.FAILED)
    with pytest.raises(PipelineError, match="no room for the arena"):
        life.read()


def test_a_supervisor_that_is_killed_while_it_writes_its_error_is_dead_and_no_more(life: SupervisorProcess, cells: Cells) -> None:
    cells.write_text(ERROR)
    cells._text[20:24] = b"    "  # not whole
    cells[PHASE] = Phase.FAILED
    os.close(life._ready_write)
    assert not life.read()
    life._ready_write = os.open(os.devnull, os.O_RDONLY)


def test_a_slot_of_an_arena_that_was_never_announced_breaks_the_protocol(life: SupervisorProcess) -> None:
    os.write(life._ready_write, Ready(slot=2, delivery=5, term=0, epoch=1, first=3, batches=1, failed=False, last_rows=2).pack())
    assert life.read()
    with pytest.raises(ProtocolError, match=r"Ready\(slot=2, delivery=5.*no arena"):
        life.lend(Cursor(1, 3))


def test_a_slot_for_another_batch_than_the_cursors_is_refused_and_asked_for_again(life: SupervisorProcess) -> None:
    os.write(life._ready_write, Ready(slot=2, delivery=5, term=0, epoch=1, first=3, batches=1, failed=False, last_rows=2).pack())
    assert life.read()
    with pytest.raises(IterationError, match="two threads take batches"):
        life.lend(Cursor(1, 4))
    assert list(unpack_inbox(os.read(life._inbox, INBOX_BYTES))) == [Skip(1, 1, 4)]


def test_two_threads_that_wait_at_the_same_time_are_told_what_is_allowed(life: SupervisorProcess) -> None:
    started = threading.Event()

    def wait() -> None:
        started.set()
        life.wait(20_000)

    other = threading.Thread(target=wait)
    other.start()
    started.wait()

    def wait_too() -> bool:
        try:
            life.wait(1)
        except IterationError as error:
            return "two threads take batches from one loader at the same time" in str(error)
        return False

    wait_until(wait_too, "the second one is refused")
    os.write(life._ready_write, Look().pack())
    other.join()


# The end.


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])


def test_a_supervisor_that_is_stopped_is_given_up_sooner_than_one_that_is_silent(life: SupervisorProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    life._process = sleeper()
    life._silence_ms = 30_000
    assert life.given_up(60) == ""
    assert "no sign of life for 30 s" in life.given_up(30)
    os.kill(life.pid, signal.SIGSTOP)
    wait_until(lambda: life.given_up(60), "it is seen to be stopped")
    assert "it was stopped (SIGSTOP) for 30 s" in life.given_up(60)
    life._silence_ms = 9_500
    assert life.given_up(60) == ""
    monkeypatch.setattr(module, "_END_S", 1000.0)  # the end does not wait for one that is stopped
    life.end()
    assert life.death.startswith("killed by SIGKILL")


class Undying:
    """A process that waits for a device: a signal is kept for it, and nothing happens."""

    pid, returncode = 2**22 + 1, None

    def kill(self) -> None:
        pass

    def wait(self, timeout: float | None = None) -> int:
        assert timeout is not None, "waits without a bound"
        raise subprocess.TimeoutExpired("supervisor", timeout)


def test_a_supervisor_that_cant_even_be_killed_is_not_waited_for(life: SupervisorProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_END_S", 0.1)
    monkeypatch.setattr(module, "_STOPPED_END_S", 0.1)
    life._process = Undying()  # type: ignore[assignment]
    life.end()
    assert "waits for a device" in life.death
