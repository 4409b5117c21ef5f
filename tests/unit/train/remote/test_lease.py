from __future__ import annotations

import fcntl
import gc
import os
import select
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from loader.data.layout import SlotLayout
from loader.data.spec import Leaf, SampleSpec
from loader.ipc import memfd
from loader.ipc.channels import open_pipe
from loader.ipc.records import INBOX_BYTES, Released, Resize, Skip, unpack_inbox
from loader.train.remote import forks
from loader.train.remote.lease import Lease, Outbox


@dataclass
class Trainer:
    """The trainer's outbox, over a pipe whose other end the test reads."""

    outbox: Outbox
    inbox: int
    inbox_write: int

    def lease(self, slot: int = 3, delivery: int = 41, nbytes: int = 4096) -> Lease:
        return Lease(np.zeros(nbytes, np.uint8), slot, Released(slot, delivery).pack(), self.outbox)

    def released(self) -> list[Any]:
        """Return what has been sent since the last call."""
        ready, _, _ = select.select([self.inbox], [], [], 0)
        return list(unpack_inbox(os.read(self.inbox, 100 * INBOX_BYTES))) if ready else []


@pytest.fixture
def trainer() -> Iterator[Trainer]:
    read, write = open_pipe()
    yield Trainer(Outbox(write), read, write)
    os.close(read)
    os.close(write)


def test_a_slot_is_released_once_when_its_lease_is_gone(trainer: Trainer) -> None:
    lease = trainer.lease(slot=3, delivery=41)
    assert trainer.outbox.lent == {3}
    assert trainer.released() == []
    del lease
    assert trainer.released() == [Released(3, 41)]
    assert trainer.outbox.lent == set()
    gc.collect()
    assert trainer.released() == []


def test_an_array_keeps_its_slot_when_the_lease_itself_is_let_go(trainer: Trainer) -> None:
    lease = trainer.lease()
    array = np.asarray(lease)
    del lease
    assert trainer.released() == []
    del array
    assert trainer.released() == [Released(3, 41)]


VIEWS = {
    "slice": lambda array: array[10:20],
    "slice of slice": lambda array: array[10:200][5:9],
    "one element kept as an array": lambda array: array[7:8],
    "reshaped": lambda array: array.reshape(64, 64),
    "transposed": lambda array: array.reshape(64, 64).T,
    "other dtype": lambda array: array.view(np.float32),
    "reversed": lambda array: array[::-1],
    "row of batch": lambda array: list(array.reshape(64, 64))[3],
    "as an array": np.asarray,
    "memoryview": memoryview,
    "memoryview of a view": lambda array: memoryview(array[4:8]),
    "frombuffer": lambda array: np.frombuffer(array, np.int16)[2:],
    "read-only": lambda array: np.broadcast_to(array, (2, 4096)),
    "dlpack": np.from_dlpack,
}


@pytest.mark.parametrize("name", VIEWS)
def test_any_view_keeps_the_slot_after_the_array_that_it_was_made_from(name: str, trainer: Trainer) -> None:
    array = np.asarray(trainer.lease())
    view = VIEWS[name](array)
    del array
    gc.collect()
    assert trainer.released() == []
    del view
    assert trainer.released() == [Released(3, 41)]


def test_a_copy_does_not_keep_the_slot(trainer: Trainer) -> None:
    array = np.asarray(trainer.lease())
    copy, element = array[:10].copy(), array[5]
    del array
    assert trainer.released() == [Released(3, 41)]
    assert (copy.tolist(), int(element)) == ([0] * 10, 0)


def test_of_all_arrays_of_a_slot_the_last_one_releases_it(trainer: Trainer) -> None:
    layout = SlotLayout(SampleSpec((Leaf(0, None, (3,), np.dtype("float32")), Leaf(1, None, (), np.dtype("int32")))), 10, 4)
    lease = trainer.lease(nbytes=layout.nbytes)
    arrays = [array for batch in layout.batches(np.asarray(lease), 4, 10) for array in batch]
    del lease
    while arrays:
        assert trainer.released() == []
        arrays.pop()
        gc.collect()
    assert trainer.released() == [Released(3, 41)]


def test_arrays_are_the_slot_itself_and_writable(trainer: Trainer) -> None:
    memory = np.zeros(4096, np.uint8)
    array = np.asarray(Lease(memory, 0, Released(0, 1).pack(), trainer.outbox))
    memory[5] = 42
    assert array[5] == 42
    array[6] = 43
    assert memory[6] == 43


def test_the_memory_stays_mapped_as_long_as_an_array(trainer: Trainer) -> None:
    fd = memfd.create("test", 4096)
    memory = memfd.attach(fd)
    os.close(fd)
    array = np.asarray(Lease(memory[:100], 0, Released(0, 1).pack(), trainer.outbox))[20:30]
    del memory
    gc.collect()
    array[...] = 9
    assert array.tolist() == [9] * 10


def test_deliveries_of_one_slot_are_told_apart(trainer: Trainer) -> None:
    for delivery in (1, 2, 3):
        lease = trainer.lease(slot=0, delivery=delivery)
        assert trainer.outbox.lent == {0}
        del lease
        assert trainer.released() == [Released(0, delivery)]


def test_a_slot_in_a_circle_of_garbage_is_released_by_the_collector(trainer: Trainer) -> None:
    circle: list[Any] = [np.asarray(trainer.lease())]
    circle.append(circle)
    del circle
    assert trainer.released() == []
    gc.collect()
    assert trainer.released() == [Released(3, 41)]


def test_the_last_reference_may_die_on_any_thread(trainer: Trainer) -> None:
    held = [np.asarray(trainer.lease(slot=slot, delivery=slot + 1)) for slot in range(8)]
    threads = [threading.Thread(target=held.pop) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(trainer.released()) == [Released(slot, slot + 1) for slot in range(8)]
    assert trainer.outbox.lent == set()


def in_child(act: Any) -> int:
    """Fork, call `act` in the child; return its exit status."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            act()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_releases_nothing(trainer: Trainer) -> None:
    held = [np.asarray(trainer.lease())]
    assert in_child(held.clear) == 0
    assert trainer.released() == []
    assert trainer.outbox.lent == {3}
    held.clear()
    assert trainer.released() == [Released(3, 41)]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_forked_by_a_child_releases_nothing_either(trainer: Trainer) -> None:
    held = [np.asarray(trainer.lease())]
    assert in_child(lambda: os._exit(in_child(held.clear))) == 0
    assert trainer.released() == []


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_does_not_release_what_a_thread_of_the_parent_holds(trainer: Trainer) -> None:
    """Python clears the thread-local variables of threads that a fork has not taken along, before any hook runs in the child."""
    local, holds, ends = threading.local(), threading.Event(), threading.Event()

    def hold() -> None:
        local.array = np.asarray(trainer.lease())
        holds.set()
        ends.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    holds.wait()
    assert in_child(gc.collect) == 0
    assert trainer.released() == []
    ends.set()
    thread.join()
    assert trainer.released() == [Released(3, 41)]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_releases_what_it_has_itself_and_its_parent_goes_on(trainer: Trainer) -> None:
    def release() -> None:
        read, write = open_pipe()
        array = np.asarray(Lease(np.zeros(64, np.uint8), 5, Released(5, 7).pack(), Outbox(write)))
        del array
        assert list(unpack_inbox(os.read(read, INBOX_BYTES))) == [Released(5, 7)]

    array = np.asarray(trainer.lease())
    assert in_child(release) == 0
    assert forks.under_way == 0
    del array
    assert trainer.released() == [Released(3, 41)]


def test_a_program_that_is_started_is_no_fork_that_goes_on() -> None:
    subprocess.run(["true"], preexec_fn=gc.collect, check=True)
    assert forks.under_way == 0


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_release_to_a_supervisor_that_is_gone_is_no_error_whatever_sigpipe_does() -> None:
    def release() -> None:
        read, write = open_pipe()
        array = np.asarray(Lease(np.zeros(64, np.uint8), 3, Released(3, 41).pack(), Outbox(write)))
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.close(read)
        os.close(write)
        del array

    assert in_child(release) == 0


def fill(trainer: Trainer) -> int:
    """Send until nothing more fits; return how many records there are then."""
    count = fcntl.fcntl(trainer.inbox, fcntl.F_SETPIPE_SZ, 4096) // INBOX_BYTES
    for number in range(count):
        trainer.outbox.send(Resize(number, 1).pack())
    return count


def test_a_full_pipe_holds_nobody_up_and_what_waits_is_sent_in_order_later(trainer: Trainer) -> None:
    array = np.asarray(trainer.lease())
    count = fill(trainer)
    trainer.outbox.send(Skip(1, 2).pack())
    del array
    trainer.outbox.flush()
    assert trainer.released() == [Resize(number, 1) for number in range(count)][:100]
    trainer.outbox.send(Resize(0, 1).pack())
    assert len(trainer.released()) == count - 100
    assert trainer.released() == []
    trainer.outbox.flush()
    assert trainer.released() == [Skip(1, 2), Released(3, 41), Resize(0, 1)]
    trainer.outbox.send(Resize(7, 1).pack())
    assert trainer.released() == [Resize(7, 1)]


def test_those_who_share_the_pipe_still_wait_for_room_in_it(trainer: Trainer) -> None:
    assert not os.get_blocking(trainer.outbox.fd)
    assert os.get_blocking(trainer.inbox_write)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), TimeoutError("of the script's alarm")], ids=repr)
def test_a_signal_in_the_middle_of_a_release_loses_neither_the_slot_nor_what_its_handler_raised(
    error: BaseException, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, interruptions = os.write, [error]

    def interrupted(fd: int, record: bytes) -> int:
        if interruptions:
            raise interruptions.pop()
        return write(fd, record)

    array = np.asarray(trainer.lease())
    monkeypatch.setattr(os, "write", interrupted)
    del array
    monkeypatch.undo()
    assert not interruptions
    assert trainer.outbox.interrupt.pending is error
    assert trainer.outbox.lent == set()
    assert set(trainer.released()) == {Released(3, 41)}


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def test_the_descriptor_is_closed_with_the_last_lease_and_not_before() -> None:
    read, write = open_pipe()
    outbox = Outbox(write)
    os.close(write)
    fd = outbox.fd
    array = np.asarray(Lease(np.zeros(64, np.uint8), 0, Released(0, 1).pack(), outbox))
    del outbox
    assert is_open(fd)
    del array
    assert not is_open(fd)
    assert list(unpack_inbox(os.read(read, INBOX_BYTES))) == [Released(0, 1)]
    assert os.read(read, 1) == b""
    os.close(read)


def test_a_lease_and_its_outbox_in_one_circle_end_without_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    read, write = open_pipe()
    outbox = Outbox(write)
    os.close(write)
    fd = outbox.fd
    circle: list[Any] = [outbox, Lease(np.zeros(64, np.uint8), 0, Released(0, 1).pack(), outbox)]
    circle.append(circle)
    del outbox, circle
    gc.collect()
    assert not is_open(fd)
    assert capfd.readouterr().err == ""
    os.close(read)
