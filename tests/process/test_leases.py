"""An array stays what it is as long as anyone holds it, and its slot is used again when nobody does."""

from __future__ import annotations

import gc
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import Loader, NpyArrays
from tests.batches import arrays_of, assert_same, inline, take
from tests.processes import wait_until

ROWS, BATCH = 64, 8
SOURCE = NpyArrays(np.arange(ROWS * 3000, dtype=np.float32).reshape(ROWS, 3000), y=np.arange(ROWS))  # 96 kB a batch


def slowly(sample: Any, rng: np.random.Generator) -> Any:
    """Keep batches from sharing a slot."""
    import time

    time.sleep(0.001)
    return sample


@pytest.fixture
def loader() -> Iterator[Loader]:
    with Loader(SOURCE, BATCH, shuffle=True, workers=2, slots=4, transforms=[slowly]) as loader:
        yield loader


@pytest.fixture(scope="module")
def expected() -> list[Any]:
    return inline(SOURCE, BATCH, 3, shuffle=True)


def lent(loader: Loader) -> int:
    return loader.stats().slots.lent


def arena_ranges() -> list[range]:
    """Return the addresses at which arenas are mapped in this process."""
    maps = [line.split() for line in Path("/proc/self/maps").read_text().splitlines() if "memfd:loader:arena" in line]
    return [range(*(int(end, 16) for end in fields[0].split("-"))) for fields in maps]


def test_whoever_keeps_all_batches_gets_copies_and_one_warning(loader: Loader, expected: list[Any]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kept = [batch for _ in range(3) for batch in loader]
    assert_same(kept, expected)
    (warning,) = caught
    assert warning.category is RuntimeWarning
    assert "all 4 slots" in str(warning.message)
    assert warning.filename == __file__
    del kept
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(take(loader)) == len(loader)  # as fast and quiet as before


def test_kept_copies_are_as_well_aligned_as_slots(loader: Loader) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kept = list(loader)
    for batch in kept:
        for _, array in arrays_of(batch):
            assert array.ctypes.data % 64 == 0
            assert array.flags.c_contiguous
            assert array.flags.writeable


def test_every_array_is_aligned_writable_and_contiguous() -> None:
    x = {"odd": np.zeros((30, 7), np.uint8), "even": np.zeros((30, 3000)), "scalar": np.zeros(30, bool)}
    with Loader(NpyArrays(x, y=np.zeros((30, 1333), np.int16)), 7, workers=2) as loader:
        for batch in loader:
            for name, array in arrays_of(batch):
                assert array.ctypes.data % 64 == 0, name
                assert array.flags.c_contiguous, name
                assert array.flags.writeable, name
                array[...] = 1


def test_a_large_array_lies_in_the_arena_itself(loader: Loader) -> None:
    x, _ = next(iter(loader))
    assert any(x.ctypes.data in mapped for mapped in arena_ranges())


def test_what_is_written_into_a_batch_is_seen_by_nobody_later(loader: Loader, expected: list[Any]) -> None:
    for x, y in loader:
        x[...] = np.nan
        y[...] = -1
    del x, y
    assert_same(take(loader, 2), expected[len(loader) :])


def test_a_view_of_a_view_keeps_the_slot(loader: Loader, expected: list[Any]) -> None:
    view = next(iter(loader))[0][2:][:, 10:20].T[::2]
    for _ in range(2):
        take(loader)
    assert lent(loader) == 1
    assert np.array_equal(view, expected[0][0][2:][:, 10:20].T[::2])
    del view
    assert lent(loader) == 0


@pytest.mark.parametrize(
    "keep", [lambda x: memoryview(x), lambda x: x.reshape(-1).view(np.uint8)[5:], lambda x: np.broadcast_to(x, (3, *x.shape)), iter]
)
def test_whatever_looks_into_the_memory_keeps_the_slot(loader: Loader, keep: Any) -> None:
    kept = keep(next(iter(loader))[0])
    take(loader)
    assert lent(loader) == 1
    del kept
    assert lent(loader) == 0


def test_a_slot_comes_back_when_another_thread_drops_it(loader: Loader) -> None:
    kept = [next(iter(loader))]
    assert lent(loader) == 1
    thread = threading.Thread(target=kept.clear)
    thread.start()
    thread.join()
    assert lent(loader) == 0
    wait_until(lambda: loader.stats().slots.ready == 4, "the slot has been filled again")


def test_a_slot_comes_back_when_a_cycle_is_collected(loader: Loader, expected: list[Any]) -> None:
    class Holder:
        pass

    def hold(batch: Any) -> None:
        holder: Any = Holder()
        holder.batch, holder.itself = batch, holder

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # cycles are collected instead of copying for ever
        gc.collect()
        for batch in loader:
            hold(batch)
    del batch
    gc.collect()
    assert lent(loader) == 0


def test_batches_dropped_in_any_order_come_back(loader: Loader, expected: list[Any]) -> None:
    held: list[Any] = []
    number = 0
    for _ in range(3):
        for batch in loader:
            held.append((number, batch))
            number += 1
            if len(held) == 3:
                dropped, old = held.pop(number * 7 % 3)
                assert_same([old], [expected[dropped]])
                del old
            del batch
    assert_same([batch for _, batch in held], [expected[number] for number, _ in held])


def test_arrays_stay_valid_after_close_and_after_the_loader_is_gone(expected: list[Any]) -> None:
    loader = Loader(SOURCE, BATCH, shuffle=True, workers=1, transforms=[slowly])
    iterator = iter(loader)
    kept = [next(iterator), next(iterator)]
    loader.close()
    assert_same(kept, expected[:2])
    del loader, iterator
    gc.collect()
    assert_same(kept, expected[:2])
    kept[0][0][...] = 0
    assert len(arena_ranges()) == 1
    del kept
    gc.collect()
    assert not arena_ranges()


def test_a_closed_loader_that_is_kept_frees_its_memory() -> None:
    loader = Loader(SOURCE, BATCH, workers=1)
    take(loader)
    loader.close()
    gc.collect()
    assert not arena_ranges()


def test_a_forgotten_loader_ends_like_a_closed_one() -> None:
    def first() -> Any:
        return next(iter(Loader(SOURCE, BATCH, workers=1)))

    x, y = first()
    gc.collect()
    assert y.tolist() == list(range(BATCH))
    assert np.array_equal(x, np.arange(BATCH * 3000).reshape(BATCH, 3000))


def test_two_slots_are_enough_for_a_loop() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Loader(SOURCE, BATCH, workers=2, slots=2, transforms=[slowly]) as loader:
            for _ in range(2):
                for batch in loader:
                    assert len(batch) == 2
