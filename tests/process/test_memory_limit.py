"""The memory limit while running: it holds, seen from outside, and the batches are those of a quiet run."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import Loader, NpyArrays, SampleError, machine
from tests.batches import assert_same, take
from tests.conftest import script_environment
from tests.processes import anonymous_bytes, family, wait_until, workers_of

pytestmark = pytest.mark.cold

MIB = 2**20
TOLERANCE = 1.05


def source(samples: int) -> NpyArrays:
    return NpyArrays(np.arange(samples * 4, dtype=np.float32).reshape(samples, 4))


def expected(samples: int, batch_size: int) -> list[Any]:
    rows = np.arange(samples * 4, dtype=np.float32).reshape(samples, 4)
    return [(rows[start : start + batch_size],) for start in range(0, samples, batch_size)]


@contextlib.contextmanager
def watched(loader: Loader) -> Iterator[list[int]]:
    """Sample what the loader's processes and its arena take, every 20 ms, as the kernel tells it."""
    found, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            nbytes = loader.stats().memory.arena_bytes
            for pid in [loader.pid, *family(loader.pid)]:
                with contextlib.suppress(OSError, ValueError):
                    nbytes += anonymous_bytes(pid)
            found.append(nbytes)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def test_leaking_workers_are_replaced_and_the_limit_holds() -> None:
    kept: list[Any] = []

    def leak(sample: Any, rng: np.random.Generator) -> Any:
        kept.append(np.ones(MIB, np.uint8))
        return sample

    with Loader(source(450), 10, workers=2, transforms=[leak], memory_limit="200MiB") as loader:
        with watched(loader) as found:
            assert_same(take(loader), expected(450, 10))
        assert max(found) <= 200 * MIB * TOLERANCE
        assert max(found) > 60 * MIB
        assert loader.stats().memory.replaced_workers >= 3
        assert "workers replaced" in str(loader.stats())


def test_a_slow_leak_is_noticed_before_the_allowance_is_used_up() -> None:
    kept: list[Any] = []

    def leak(sample: Any, rng: np.random.Generator) -> Any:
        import time

        time.sleep(0.04)
        kept.append(np.ones(MIB, np.uint8))
        return sample

    with Loader(source(300), 10, workers=2, transforms=[leak], memory_limit="170MiB") as loader:
        with watched(loader) as found:
            assert_same(take(loader), expected(300, 10))
        assert max(found) <= 170 * MIB * TOLERANCE
        assert loader.stats().memory.replaced_workers >= 1


def test_samples_that_fit_one_worker_only_are_made_by_one() -> None:
    def large(sample: Any, rng: np.random.Generator) -> Any:
        np.ones(200 * MIB, np.uint8)
        return sample

    with Loader(source(12), 4, workers=4, transforms=[large], memory_limit="300MiB") as loader:
        with watched(loader) as found:
            assert_same(take(loader), expected(12, 4))
        assert max(found) <= 300 * MIB * TOLERANCE
        memory = loader.stats().memory
        assert memory.reduced_to is not None
        assert memory.reduced_to < 4
        assert memory.replaced_workers >= 2
        assert "reduced to" in str(loader.stats())
        assert loader.stats().errors == 0


@pytest.mark.parametrize("workers", [1, 3])
def test_a_sample_that_never_fits_is_named_with_the_arithmetic_and_those_before_it_come(workers: int) -> None:
    def huge(sample: Any, rng: np.random.Generator) -> Any:
        if sample[0][0] == 4 * 37:
            np.ones(2**33, np.uint8)
        return sample

    batches: list[Any] = []
    settings: dict[str, Any] = {"workers": workers, "transforms": [huge], "memory_limit": "300MiB"}
    with Loader(source(80), 10, **settings) as loader, watched(loader) as found, pytest.raises(SampleError) as caught:
        batches.extend((np.array(batch[0]),) for batch in loader)
    assert_same(batches, expected(30, 10))
    assert max(found) <= 300 * MIB * TOLERANCE
    assert caught.value.index == 37
    assert "Unable to allocate 8.00 GiB" in caught.value.reason
    assert "memory_limit 300.0 MiB - " in caught.value.reason
    limit, arena, supervisor, left = (float(n) * (MIB if unit == "M" else 1024) for n, unit in re.findall(r"([\d.]+) ([MK])iB", caught.value.reason))
    assert limit - arena - supervisor == pytest.approx(left, rel=0.01)
    assert "np.ones" in caught.value.remote_traceback


def test_without_a_limit_there_is_one_and_stats_say_so() -> None:
    with Loader(source(20), 4, workers=1) as loader:
        take(loader)
        memory = loader.stats().memory
        assert memory.limit_is_default
        assert memory.limit_bytes is not None
        assert memory.limit_bytes > 64 * MIB
        assert "(default limit)" in str(loader.stats())


def test_a_transform_may_start_programs_and_threads_under_its_allowance() -> None:
    def busy(sample: Any, rng: np.random.Generator) -> Any:
        import subprocess
        import threading

        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join()
        subprocess.run(["true"], check=True)
        return sample

    with Loader(source(40), 10, workers=2, transforms=[busy], memory_limit="300MiB") as loader:
        assert_same(take(loader), expected(40, 10))
        assert loader.stats().memory.replaced_workers == 0


def test_workers_are_the_first_to_go_when_the_system_runs_out_of_memory() -> None:
    with Loader(source(20), 4, workers=1) as loader:
        (worker,) = workers_of(loader)
        own = int(Path("/proc/self/oom_score_adj").read_text())
        wait_until(lambda: int(Path(f"/proc/{worker}/oom_score_adj").read_text()) > own, "the supervisor has said so, once the worker runs")


# --- in a control group of its own ------------------------------------------------------------------------------------------------------

IN_A_GROUP = """
import os, sys
open(os.path.join(sys.argv[1], "cgroup.procs"), "w").write(str(os.getpid()))
import numpy as np
from loader import Loader, NpyArrays

def large(sample, rng):
    if LARGE:
        np.ones(LARGE, np.uint8)
    return sample

LARGE = int(sys.argv[2])
limit = sys.argv[3] if len(sys.argv) > 3 else None
with Loader(NpyArrays(np.arange(48.0).reshape(12, 4)), 4, workers=2, transforms=[large], memory_limit=limit) as loader:
    rows = np.concatenate([x for (x,) in loader])
    assert np.array_equal(rows, np.arange(48.0).reshape(12, 4))
    memory = loader.stats().memory
    print(memory.limit_bytes, memory.limit_is_default, memory.reduced_to)
"""


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group of 400 MiB below the one that the tests run in, where that is allowed."""
    groups = machine.memory_groups()
    if not groups or not os.access(groups[0].path, os.W_OK):
        pytest.skip("no control group may be made here")
    limit = groups[0].files[0]
    path = groups[0].path / f"loader-test-{os.getpid()}"
    try:
        path.mkdir()
    except OSError:
        pytest.skip("no control group may be made here")
    try:
        if not (path / limit).exists():
            pytest.skip("groups below this one do not account for memory")
        (path / limit).write_text(str(400 * MIB))
        yield path
    finally:
        deadline = time.monotonic() + 10
        while path.exists() and time.monotonic() < deadline:
            with contextlib.suppress(OSError):  # somebody in it is still ending
                path.rmdir()
            time.sleep(0.05)


def run_in(group: Path, *arguments: str) -> list[str]:
    command = [sys.executable, "-c", IN_A_GROUP, str(group), *arguments]
    done = subprocess.run(command, env=script_environment({}), capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_default_limit_minds_the_control_group(small_group: Path) -> None:
    limit, is_default, _ = run_in(small_group, "0")
    assert is_default == "True"
    assert 100 * MIB < int(limit) <= 400 * MIB


def test_workers_killed_by_the_system_for_want_of_memory_become_fewer(small_group: Path) -> None:
    group = machine.MemoryGroup(small_group, machine.memory_groups()[0].files)
    limit, _, reduced_to = run_in(small_group, str(200 * MIB), "4GiB")
    assert int(limit) == 4 * 2**30
    if group.oom_kills():  # the machine may have swapped instead
        assert reduced_to == "1"
