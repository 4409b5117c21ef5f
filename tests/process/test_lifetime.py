"""A loader lives as long as its owner, and no other process or thread can end or disturb it."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from loader import Loader, LoaderError, MapSource, NpyArrays, PipelineError
from tests.batches import assert_same, copied, inline, take
from tests.processes import family, wait_until, wait_until_gone, workers_of

SOURCE = NpyArrays(np.arange(120 * 600, dtype=np.float32).reshape(120, 600))


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def in_a_fork(act: Any) -> int:
    """Run `act` in a forked child that exits as Python does, finalizers and all; return its exit status."""
    pid = os.fork()
    if pid == 0:
        try:
            act()
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
            status = 1
        gc.collect()
        import atexit

        atexit._run_exitfuncs()  # as sys.exit would, without pytest's own farewell
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class Packed:
    """A list of samples that looks around when it is packed."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.before = family(os.getpid())
        self.seen: list[int] = []

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return (np.array(index),)

    def __reduce__(self) -> Any:
        self.seen += [pid for pid in family(os.getpid()) if pid not in (*self.before, *self.seen)]
        if self.error is not None:
            raise self.error
        return Packed, ()


def test_the_supervisor_starts_while_the_pipeline_is_packed() -> None:
    packed = Packed()
    with Loader(MapSource(packed), 4, workers=1) as loader:
        assert loader.pid in packed.seen
        assert [x.tolist() for (x,) in loader] == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_the_supervisor_of_a_pipeline_that_can_not_be_packed_ends_without_a_word(capfd: pytest.CaptureFixture[str]) -> None:
    packed = Packed(error=RuntimeError("not me"))
    gc.collect()  # what the test before has left to it
    before = descriptors()
    with pytest.raises(PipelineError, match=r"can't be pickled \(not me\)"):
        Loader(MapSource(packed), 4, workers=1)
    assert packed.seen
    wait_until_gone(packed.seen)
    packed.error = None  # and with it, the frames of its traceback
    gc.collect()
    assert descriptors() == before
    assert "".join(capfd.readouterr()) == ""


def test_garbage_is_collected_where_samples_are_made_although_it_is_not_while_the_supervisor_boots(tmp_path: Path) -> None:
    def is_on(sample: Any, rng: Any) -> Any:
        (tmp_path / f"{os.getpid()} {gc.isenabled()}").touch()
        return sample

    with Loader(SOURCE, 8, workers=2, transforms=[is_on]) as loader:
        take(loader)
    found = [path.name.split()[1] for path in tmp_path.iterdir()]
    assert len(found) >= 2  # of the first sample's process, and of at least one worker
    assert set(found) == {"True"}


def test_ten_loaders_leave_no_descriptor_and_no_process() -> None:
    take(loader := Loader(SOURCE, 8, workers=1))
    loader.close()
    del loader
    gc.collect()
    before = descriptors(), family(os.getpid())
    for _ in range(10):
        with Loader(SOURCE, 60, workers=2) as loader:
            assert len(take(loader)) == 2
    del loader
    gc.collect()
    assert (descriptors(), family(os.getpid())) == before


@pytest.mark.filterwarnings("ignore:all 6 slots hold batches that are still in use:RuntimeWarning")
def test_a_running_loader_holds_a_constant_number_of_descriptors() -> None:
    with Loader(SOURCE, 2, workers=2, shuffle=True) as loader:
        take(loader)
        before, kept = descriptors(), []
        for _ in range(5):
            kept.append(next(iter(loader)))
            take(loader)
        assert descriptors() == before


def test_what_the_supervisor_and_workers_hold_does_not_grow_with_restarts_and_sizes() -> None:
    with Loader(SOURCE, 8, workers=2, max_workers=4) as loader:
        take(loader)
        supervisor = psutil.Process(psutil.Process(workers_of(loader, 2)[0]).ppid())
        before = supervisor.num_fds()
        for size in (4, 1, 3, 2) * 3:
            loader.resize(size)
            take(loader)
        for pid in workers_of(loader):
            with contextlib.suppress(ProcessLookupError):  # one that was told to go before
                os.kill(pid, 9)
        take(loader)
        wait_until(lambda: len(family(supervisor.pid)) == 2, "two workers run")
        wait_until(lambda: supervisor.num_fds() <= before, "the descriptors of the dead are closed")


def test_a_worker_holds_none_of_the_others_descriptors() -> None:
    with Loader(SOURCE, 8, workers=4) as loader:
        take(loader)
        held = [Counter(os.readlink(entry).split(":")[0] for entry in Path(f"/proc/{pid}/fd").iterdir()) for pid in workers_of(loader, 4)]
        assert all(count["anon_inode"] == 0 for count in held)
        assert len({count["pipe"] for count in held}) == 1


@pytest.mark.parametrize("started", [False, True])
def test_a_forked_child_that_exits_changes_nothing_for_the_parent(started: bool) -> None:
    expected = inline(SOURCE, 8, 2, shuffle=True)
    with Loader(SOURCE, 8, shuffle=True, workers=2) as loader:
        iterator = iter(loader)
        found = [next(iterator) for _ in range(3)] if started else []

        def drop_everything() -> None:
            nonlocal found
            found.clear()
            iterator.close()  # type: ignore[attr-defined]
            loader.close()

        for act in (lambda: None, drop_everything):
            assert in_a_fork(act) == 0
        found = [copied(batch) for batch in found]
        found += [copied(batch) for batch in iterator]
        assert_same(found + take(loader), expected)


def test_a_forked_child_that_takes_a_batch_is_told_and_takes_nothing_away() -> None:
    expected = inline(SOURCE, 8)
    with Loader(SOURCE, 8, workers=1) as loader:
        iterator = iter(loader)
        found = [copied(next(iterator))]

        def use() -> None:
            for attempt in (lambda: list(itertools.chain(iterator, loader.batches())), lambda: list(loader), lambda: loader.spec):
                with pytest.raises(LoaderError, match="another process"):
                    attempt()

        assert in_a_fork(use) == 0
        assert_same(found + [copied(batch) for batch in iterator], expected)


def test_a_loader_made_in_a_function_lives_as_long_as_its_iterator() -> None:
    def batches() -> Any:
        return iter(Loader(SOURCE, 8, workers=1))

    assert_same([copied(batch) for batch in batches()], inline(SOURCE, 8))


def test_an_abandoned_loader_ends() -> None:
    pids: list[int] = []

    def abandon() -> None:
        loader = Loader(SOURCE, 8, workers=2)
        next(iter(loader))
        pids.extend(workers_of(loader, 2))

    abandon()
    gc.collect()
    wait_until_gone(pids)


def test_a_loader_may_be_closed_in_another_thread() -> None:
    loader = Loader(SOURCE, 8, workers=1)
    take(loader)
    pids = workers_of(loader)
    thread = threading.Thread(target=loader.close)
    thread.start()
    thread.join()
    wait_until_gone(pids)


def test_several_loaders_in_several_threads_do_not_disturb_each_other() -> None:
    results: dict[int, Any] = {}

    def run(seed: int) -> None:
        with Loader(SOURCE, 8, shuffle=True, seed=seed, workers=1) as loader:
            results[seed] = take(loader, 2)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in range(4):
        assert_same(results[seed], inline(SOURCE, 8, 2, shuffle=True, seed=seed))


def test_a_class_that_derives_from_loader_works() -> None:
    class Mine(Loader):
        pass

    with Mine(SOURCE, 8, workers=1) as loader:
        assert isinstance(loader, Loader)
        assert_same(take(loader), inline(SOURCE, 8))
