"""Memory: refused in words before it is allocated, and not one copy more than needed."""

from __future__ import annotations

import errno
import itertools
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import Loader, MapSource, MemoryLimitError, NpyArrays, NpyFiles
from tests.batches import assert_same, inline, take
from tests.processes import anonymous_bytes, supervisor_of, wait_until, workers_of

pytestmark = pytest.mark.cold


def shared_bytes(pid: int, name: str) -> int:
    """Return the bytes of the mappings of a memory file in a process."""
    found = re.findall(rf"^(\w+)-(\w+) .*/memfd:loader:{name}", Path(f"/proc/{pid}/maps").read_text(), re.MULTILINE)
    return sum(int(end, 16) - int(start, 16) for start, end in found)


def more_for_each_worker(loader: Loader) -> float:
    """Return the anonymous memory that each of four more workers adds to all processes together, pages that they share counted once."""
    totals = []
    for count in (1, 5):
        loader.resize(count)
        for _ in range(3):
            for _ in itertools.islice(loader.batches(), 30):
                pass
        totals.append(sum(map(anonymous_bytes, [*workers_of(loader, count), supervisor_of(loader)])))
    return (totals[1] - totals[0]) / 4


@pytest.mark.parametrize("settings", [{}, {"slots": 4}])
def test_a_limit_below_what_is_needed_is_refused_with_the_arithmetic(settings: dict[str, Any]) -> None:
    source = NpyArrays(np.zeros((64, 100_000), np.float32))
    with Loader(source, 32, workers=2, memory_limit="30MiB", **settings) as loader:
        for _ in range(2):
            with pytest.raises(MemoryLimitError) as caught:
                next(iter(loader))
            with pytest.raises(MemoryError):
                assert loader.spec
    text = str(caught.value)
    slots = settings.get("slots", 2)
    assert "memory_limit is 30.0 MiB" in text
    assert f"{slots} slots × 12.2 MiB" in text
    assert "24.4 MiB arrays from the script" in text
    assert "2 workers ×" in text
    numbers = [float(number) * (2**20 if unit == "MiB" else 2**10) for number, unit in re.findall(r"([\d.]+) (MiB|KiB)", text)]
    assert sum(numbers[1:5]) + (slots - 1) * numbers[1] + numbers[5] * 2 == pytest.approx(numbers[6], rel=0.01)
    assert "What to do" in text


class Megabytes:
    """64 samples of 1 MB that weigh nothing on their way."""

    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> Any:
        return np.full(250_000, index, np.float32)


class FullMachine(Megabytes):
    """A machine that gives the supervisor's arena 8 MiB and no more."""

    def __init__(self) -> None:
        self.script = os.getpid()

    def __setstate__(self, state: dict[str, int]) -> None:
        self.__dict__.update(state)
        allocate = os.posix_fallocate

        def full(fd: int, start: int, nbytes: int) -> None:
            if start:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            allocate(fd, start, nbytes)

        if os.getpid() != self.script:
            os.posix_fallocate = full


def test_an_arena_for_which_the_system_has_no_pages_is_an_error_at_once_that_says_its_size() -> None:
    with Loader(MapSource(FullMachine()), 16, workers=1, slots=3) as loader:
        with pytest.raises(MemoryLimitError, match=r"gave only \d+\.\d MiB of the 4\d\.\d MiB .* 3 slots × 15\.3 MiB: No space .* fewer slots"):
            take(loader)
        assert loader.stats().supervisor_restarts == 0


def test_what_the_message_says_would_fit_fits() -> None:
    source = MapSource(Megabytes())
    with Loader(source, 32, workers=1, memory_limit="90MiB") as loader, pytest.raises(MemoryLimitError) as caught:
        take(loader)
    (fitting,) = re.findall(r"batch_size=(\d+) would fit", str(caught.value))
    with Loader(source, int(fitting), workers=1, memory_limit="90MiB") as loader:
        assert sum(len(x) for (x,) in loader) == 64


def test_more_than_the_machine_has_is_refused_not_allocated() -> None:
    def grow(sample: Any, rng: np.random.Generator) -> Any:
        return np.broadcast_to(np.uint8(1), (2**28,))

    with Loader(NpyArrays(np.zeros(5000)), 4000, workers=1, transforms=[grow]) as loader, pytest.raises(MemoryLimitError, match="available now"):
        take(loader)


def test_a_limit_leaves_fewer_slots_and_the_same_batches() -> None:
    source = MapSource(Megabytes())
    with Loader(source, 4, workers=4, memory_limit="85MiB") as loader:
        assert_same(take(loader), inline(source, 4))
        processes = [*workers_of(loader, 4), supervisor_of(loader)]
        assert loader.stats().memory.arena_bytes + sum(map(anonymous_bytes, processes)) <= 85 * 2**20
        assert 2 <= sum(loader.stats().as_dict()["slots"].values()) < 6


def test_stats_tell_the_private_memory_as_the_kernel_does() -> None:
    with Loader(MapSource(Megabytes()), 4, workers=4) as loader:
        take(loader)
        processes = [*workers_of(loader, 4), supervisor_of(loader)]
        measured = sum(map(anonymous_bytes, processes))
        wait_until(lambda: loader.stats().memory.private_bytes == pytest.approx(measured, rel=0.3), f"it tells about {measured:,} bytes")


def test_workers_without_transforms_take_hardly_any_memory_of_their_own(npy_folder: Any) -> None:
    with Loader(NpyFiles(npy_folder(200, (32, 32))), 20, shuffle=True, workers=1, max_workers=5) as loader:
        assert more_for_each_worker(loader) < 5 * 2**20


def test_arrays_of_the_script_are_stored_once() -> None:
    x = np.arange(20_000_000, dtype=np.float32).reshape(2000, 10_000)  # 80 MB
    with Loader(NpyArrays(x), 20, shuffle=True, workers=3) as loader:
        assert all(np.array_equal(row, x[int(row[0]) // 10_000]) for (batch,) in loader for row in batch)
        pids = [*workers_of(loader, 3), supervisor_of(loader)]
        assert all(shared_bytes(pid, "pipeline") >= x.nbytes for pid in pids)
        assert sum(map(anonymous_bytes, pids)) < x.nbytes
        assert x.nbytes <= loader.stats().memory.arena_bytes < 2 * x.nbytes


@pytest.mark.filterwarnings("ignore:.*names variable table, which takes 31 MiB:RuntimeWarning")
def test_arrays_in_a_function_of_the_script_are_stored_once_too() -> None:
    table = np.random.default_rng(0).random(4_000_000)  # 32 MB

    def look_up(sample: Any, rng: np.random.Generator) -> Any:
        return table[sample[0]]

    with Loader(NpyArrays(np.arange(400)), 20, transforms=[look_up], workers=3) as loader:
        assert np.array_equal(np.concatenate([x for (x,) in loader]), table[:400])
        found = sum(map(anonymous_bytes, workers_of(loader, 3)))
        assert found < table.nbytes, found


def test_the_index_of_many_files_is_shared(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros(4))
    path = str(tmp_path / "one.npy")
    with Loader(NpyFiles([path] * 100_000), 64, shuffle=True, workers=1, max_workers=5) as loader:
        assert more_for_each_worker(loader) < 5 * 2**20
        assert shared_bytes(supervisor_of(loader), "pipeline") > 100_000 * len(path)
