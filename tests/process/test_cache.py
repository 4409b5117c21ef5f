"""A cache that several processes fill, and that some of them do not survive."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from loader import Loader, MapSource, MemoryLimitError, NpyFiles, Source
from loader import transforms as T
from loader.data.sources.cached.column_files import HEADER_BYTES
from tests.batches import assert_same, copied, inline, inline_first, take, take_until_replaced
from tests.conftest import script_environment
from tests.processes import family, supervisor_of, wait_until, wait_until_gone, workers_of


class Slow:
    """Samples whose making is written down, one byte each."""

    def __init__(self, n: int, log: Path) -> None:
        self.n = n
        self.log = log

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> Any:
        with open(self.log, "ab", buffering=0) as file:
            file.write(b".")
        return np.full((5, 3), i, np.int32), i

    @property
    def made(self) -> int:
        return self.log.stat().st_size


@pytest.fixture
def slow(tmp_path: Path) -> Slow:
    return Slow(60, tmp_path / "log")


@pytest.fixture(params=["in memory", "in a folder"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return None if request.param == "in memory" else tmp_path / "cache"


def plain() -> Source:
    return MapSource([(np.full((5, 3), i, np.int32), i) for i in range(60)])


SETTINGS = {"shuffle": True, "seed": 5}


@pytest.mark.parametrize("workers", [0, 3])
def test_later_epochs_read_nothing_and_all_batches_are_the_same(slow: Slow, place: Path | None, workers: int) -> None:
    source = MapSource(slow).cache(place)
    expected = inline(plain(), 8, 4, **SETTINGS)
    with Loader(source, 8, workers=workers, **SETTINGS) as loader:
        assert_same(take(loader, 2), expected[:16])
        made = slow.made
        # The first sample is made to see what it looks like, and once more to run it through everything. A worker that begins with the second epoch
        # does not wait for others that are at the end of the first.
        assert made <= 62 + 8 * workers
        state = loader.state_dict()
    with Loader(source, 8, workers=2, **SETTINGS) as loader:  # another loader over the same source shares what is kept
        loader.load_state_dict(state)
        assert_same(take(loader, 2), expected[16:])
    assert slow.made <= made + (place is None)  # memory can't tell what a sample looks like


def test_the_first_transforms_are_kept_as_well(slow: Slow, place: Path | None) -> None:
    settings = {**SETTINGS, "transforms": [T.Pad((7, 3)), T.Crop((6, 2), "center"), T.Flip()]}
    source = MapSource(slow).cache(place)
    expected = inline(plain(), 8, 3, **settings)
    with Loader(source, 8, workers=2, slots=2, **settings) as loader:
        assert_same(take(loader, 2), expected[:16])
        made = slow.made
        os.kill(workers_of(loader)[0], signal.SIGKILL)
        assert_same(take(loader), expected[16:])
    assert slow.made == made


def test_a_supervisor_that_dies_takes_nothing_along(slow: Slow, place: Path | None) -> None:
    with Loader(MapSource(slow).cache(place), 8, workers=2, slots=2, **SETTINGS) as loader:
        batches = loader.batches()
        found = [copied(next(batches)) for _ in range(2 * len(loader))]
        made = slow.made
        os.kill(supervisor_of(loader), signal.SIGKILL)
        with pytest.warns(RuntimeWarning, match="supervisor"):
            found += take_until_replaced(loader, batches)
        found += [copied(next(batches)) for _ in range(len(loader))]
    assert_same(found, inline_first(plain(), 8, len(found), **SETTINGS))
    assert slow.made == made


SCRIPT = """
import sys, time
import numpy as np
from loader import ByteFiles, Loader
def decode(content):
    time.sleep(0.004)
    return np.frombuffer(content, np.uint8)
def check(sample, rng):
    x, y = sample
    assert len(x) in (5000, 5000 + y % 7) and (x == y % 251).all()
    return x[:5000], y
source = ByteFiles(sys.argv[1], decode=decode, labels=np.arange(300)).cache(sys.argv[2])
with Loader(source, 10, workers=2, shuffle=True, seed=int(sys.argv[3]), transforms=[check]) as loader:
    while True:
        for x, y in loader:
            assert (x == (y % 251)[:, None]).all()
        if len(sys.argv) > 4:
            print("whole")
            break
"""


@pytest.fixture
def started() -> Iterator[contextlib.ExitStack]:
    """Ends what a test that fails has started."""
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.mark.thorough
def test_runs_that_are_killed_at_random_fill_one_cache(tmp_path: Path, started: contextlib.ExitStack) -> None:
    folder, cache, script = tmp_path / "files", tmp_path / "cache", tmp_path / "script.py"
    folder.mkdir()
    for number in range(300):
        (folder / f"{number:03d}.bin").write_bytes(bytes([number % 251]) * (5000 + number % 7))
    script.write_text(SCRIPT)
    draw = random.Random(1)

    def start(*more: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(script), str(folder), str(cache), str(draw.randrange(99)), *more]
        run = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=script_environment(None))
        started.callback(run.kill)
        return run

    def kept() -> int:
        checksums, places = cache / "checksums.bin", cache / "places.bin"
        if not checksums.exists():
            return 0
        return int(np.count_nonzero(np.fromfile(checksums, np.uint32)) + np.count_nonzero(np.fromfile(places, np.int64)[::2]))

    runs, known = [start(), start()], 0
    while kept() < 200:
        wait_until(lambda: kept() > known or any(run.poll() is not None for run in runs), "samples are added")  # noqa: B023
        known = kept()
        run = draw.choice(runs)
        pids = [pid for pid in family(run.pid) if pid != run.pid]
        if draw.random() < 0.25 or run.poll() is not None:
            run.kill()
            run.communicate()
            wait_until_gone(pids)
            runs[runs.index(run)] = start()
        elif workers := [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).ppid() != run.pid]:
            with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(draw.choice(workers), signal.SIGKILL)
    last = start("once")
    out, err = last.communicate(timeout=60)
    assert out == "whole\n", err
    for run in runs:
        pids = family(run.pid)
        run.kill()
        assert "AssertionError" not in run.communicate()[1]
        wait_until_gone(pids)
    assert kept() == 300
    kept_rows = np.load(cache / "x.npy")[::7]  # those of the first one's size
    np.testing.assert_array_equal(kept_rows, np.repeat(np.arange(0, 300, 7) % 251, 5000).reshape(-1, 5000))


def test_a_worker_that_dies_of_a_file_that_was_cut_off_is_replaced_by_one_that_fills_it(slow: Slow, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    expected = inline(plain(), 8, 3, **SETTINGS)
    with Loader(MapSource(slow).cache(cache), 8, workers=2, slots=2, **SETTINGS) as loader:
        assert_same(take(loader), expected[:8])
        os.truncate(cache / "x.npy", HEADER_BYTES)
        assert_same(take(loader, 2), expected[8:])


def test_a_folder_that_is_deleted_while_it_is_used_is_done_without(slow: Slow, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    expected = inline(plain(), 8, 3, **SETTINGS)
    with Loader(MapSource(slow).cache(cache), 8, workers=2, slots=2, **SETTINGS) as loader:
        assert_same(take(loader), expected[:8])
        for file in cache.iterdir():
            file.unlink()
        os.kill(workers_of(loader)[0], signal.SIGKILL)
        assert_same(take(loader, 2), expected[8:])


def test_a_cache_in_memory_counts_towards_the_limit(npy_folder: Any) -> None:
    source = NpyFiles(npy_folder(50, (300, 300), "float64"))
    with Loader(source.cache(), 2, workers=1, memory_limit="80MiB") as loader, pytest.raises(MemoryLimitError, match="kept in memory") as caught:
        next(iter(loader))
    most = int(str(caught.value).partition("max_bytes=")[2].partition(",")[0])
    assert "source.cache(folder)" in str(caught.value)
    with Loader(source.cache(None, most), 2, workers=1, memory_limit="80MiB") as loader:
        assert len(take(loader)) == 25
