"""Workers that are killed, stopped, or crash on a sample: the batches are those of a quiet run, or the sample is named, and only that one."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import sys
import threading
import time
import types
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import Loader, MapSource, NpyArrays, NpyFiles, PipelineError, SampleError, SampleTimeout, Source, Zip
from loader import transforms as T
from loader.ipc.board import SupervisorCell
from loader.supervise.schedule.sizing import SHORT_TICKETS
from loader.supervise.schedule.suspects import DEATHS_TO_ACCUSE
from tests.batches import assert_same, assert_same_batch, copied, first_numbers, inline, take
from tests.processes import wait_until, workers_of

ROWS, BATCH = 240, 12
SOURCE = NpyArrays(np.arange(ROWS * 500, dtype=np.float32).reshape(ROWS, 500) // 500)


def slowly(seconds: float = 0.0005) -> Any:
    def step(sample: Any, rng: np.random.Generator) -> Any:
        import time

        time.sleep(seconds)
        return sample[0] + rng.integers(0, 1000) / 1000

    return step


def kill(pid: int, how: int = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError):  # a victim of the last round
        os.kill(pid, how)


@pytest.fixture(scope="module")
def quiet() -> list[Any]:
    """Return the batches of a run in which nobody dies."""
    return inline(SOURCE, BATCH, 4, shuffle=True, transforms=[slowly(0)])


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_killed_at_random_moments_change_nothing(workers: int, quiet: list[Any]) -> None:
    chance = random.Random(workers)
    with Loader(SOURCE, BATCH, shuffle=True, workers=workers, transforms=[slowly()]) as loader:
        workers_of(loader, workers)
        done = threading.Event()
        killed: list[int] = []

        def murder() -> None:
            at = [-100, -100]
            while not done.wait(chance.uniform(0.001, 0.03)):
                stats = loader.stats()
                ring = sum(asdict(stats.slots).values())
                # Three kills on one sample would be held against it: it is in another turn of the ring after every second one.
                if stats.workers and stats.batches_delivered - at[-2] > ring:
                    at.append(stats.batches_delivered)
                    killed.append(chance.choice(stats.workers).pid)
                    kill(killed[-1])

        murderer = threading.Thread(target=murder)
        murderer.start()
        try:
            found = take(loader, 4)
        finally:
            done.set()
            murderer.join()
        assert_same(found, quiet)
        assert killed  # how many depends on how busy the machine is


@pytest.mark.parametrize("fast", [False, True])
def test_all_workers_killed_at_once_change_nothing(fast: bool, quiet: list[Any]) -> None:
    with Loader(SOURCE, BATCH, shuffle=True, workers=3, transforms=[slowly(0 if fast else 0.0005)]) as loader:
        found = []
        for number, batch in enumerate(itertools.islice(loader.batches(), len(quiet))):
            found.append(copied(batch))
            del batch
            if number % 10 == 0:
                for pid in workers_of(loader):
                    kill(pid)
        assert_same(found, quiet)


def test_kills_breaks_and_sizes_together_change_nothing(quiet: list[Any]) -> None:
    chance = random.Random(5)
    epochs = [quiet[start : start + ROWS // BATCH] for start in range(0, len(quiet), ROWS // BATCH)]
    with Loader(SOURCE, BATCH, shuffle=True, workers=2, max_workers=4, transforms=[slowly(0.0002)]) as loader:
        for epoch in epochs:
            end = chance.randrange(1, len(epoch) + 1)
            for number, batch in enumerate(itertools.islice(loader, end)):
                assert_same_batch(batch, epoch[number], f"batch {number}")
                if chance.random() < 0.3:
                    kill(chance.choice(workers_of(loader)))
                if chance.random() < 0.3:
                    loader.resize(chance.randint(1, 4))


@pytest.mark.filterwarnings("ignore:sample .* is bad:RuntimeWarning")
def test_kills_among_bad_samples_change_nothing() -> None:
    def step(sample: Any, rng: np.random.Generator) -> Any:
        number = round(float(sample[0].flat[0]))
        if number % 9 == 4:
            raise ValueError(number)
        return sample[0] + rng.integers(0, 1000) / 1000

    settings = {"shuffle": True, "transforms": [step], "on_error": "substitute"}
    expected = inline(SOURCE, BATCH, 4, **settings)
    with Loader(SOURCE, BATCH, workers=3, **settings) as loader:
        found = []
        for number, batch in enumerate(itertools.islice(loader.batches(), len(expected))):
            found.append(copied(batch))
            del batch
            if number % 5 == 0:
                for pid in workers_of(loader):
                    kill(pid)
        assert_same(found, expected)
        assert loader.stats().quarantined == len(range(4, ROWS, 9))


def test_a_killed_worker_is_replaced_while_nobody_asks_for_batches() -> None:
    with Loader(SOURCE, BATCH, workers=2) as loader:
        take(loader)
        before = workers_of(loader, 2)
        for pid in before:
            kill(pid)
        wait_until(lambda: len(set(workers_of(loader)) - set(before)) == 2, "both are replaced")


# A sample that kills.


def crash(how: str) -> Any:
    def act() -> None:
        import ctypes
        import os

        if how == "exit":
            os._exit(1)
        elif how == "segfault":
            ctypes.string_at(0)
        else:
            os.kill(os.getpid(), signal.SIGKILL)

    return act


def deadly(index: int, act: Any) -> Any:
    def step(sample: Any, rng: np.random.Generator) -> Any:
        if sample[0].flat[0] == index:
            act()
        return sample

    return step


@pytest.mark.parametrize(("how", "workers"), [("exit", 3), ("segfault", 1), ("kill", 3)])
def test_a_sample_that_kills_its_worker_is_named_and_no_other_one(how: str, workers: int) -> None:
    with Loader(SOURCE, BATCH, shuffle=True, workers=workers, transforms=[deadly(101, crash(how))]) as loader:
        for epoch in range(2):
            order = first_numbers(inline(SOURCE, BATCH, epoch + 1, shuffle=True))[-ROWS:]
            whole = order.index(101) // BATCH * BATCH
            found = []
            with pytest.raises(SampleError, match="killed its worker, 3 times in a row") as caught:
                found.extend(copied(batch) for batch in loader)
            assert caught.value.index == 101
            assert not isinstance(caught.value, SampleTimeout)
            assert first_numbers(found) == order[:whole]
        assert loader.stats().errors >= 2


def test_a_file_that_kills_its_worker_is_named_with_its_path(npy_folder: Any) -> None:
    folder = npy_folder(40)
    with Loader(NpyFiles(folder), 8, workers=2, transforms=[deadly(30, crash("segfault"))]) as loader:
        seen = []
        with pytest.raises(SampleError, match=r"000030\.npy") as caught:
            seen.extend(copied(batch) for batch in loader)
        assert caught.value.name == str(folder / "000030.npy")
        assert first_numbers(seen) == list(range(24))


def test_a_sample_that_kills_inside_the_source_is_found_too() -> None:
    act = crash("exit")

    class Mined:
        def __len__(self) -> int:
            return 100

        def __getitem__(self, index: int) -> Any:
            if index == 57:
                act()
            return np.full(200, index)

    with Loader(MapSource(Mined()), 10, workers=2) as loader:
        seen: list[int] = []
        with pytest.raises(SampleError) as caught:
            seen.extend(itertools.chain.from_iterable(x[:, 0].tolist() for (x,) in loader))
        assert caught.value.index == 57
        assert seen == list(range(50))


def test_two_samples_that_kill_are_reported_in_order() -> None:
    steps = [deadly(90, crash("exit")), deadly(33, crash("exit"))]
    with Loader(SOURCE, BATCH, workers=3, transforms=steps) as loader:
        for _ in range(2):
            with pytest.raises(SampleError) as caught:
                take(loader)
            assert caught.value.index == 33


def test_a_pipeline_that_kills_every_worker_is_an_error_and_no_endless_loop(tmp_path: Path) -> None:
    armed = tmp_path / "armed"

    def step(sample: Any, rng: np.random.Generator) -> Any:
        import os

        if armed.exists():
            os._exit(3)
        return sample

    with Loader(SOURCE, BATCH, workers=2, transforms=[step], slots=3) as loader:
        next(iter(loader))
        armed.touch()
        with pytest.raises((SampleError, PipelineError)):
            take(loader, 10)


def test_a_sample_that_never_ends_is_named() -> None:
    def hang() -> None:
        import time

        time.sleep(1000)

    with Loader(SOURCE, BATCH, workers=2, transforms=[deadly(29, hang)], sample_timeout_s=1.0) as loader:
        found = []
        with pytest.raises(SampleTimeout, match="3 times in a row") as caught:
            found.extend(copied(batch) for batch in loader)
        assert caught.value.index == 29
        assert isinstance(caught.value, TimeoutError)
        assert first_numbers(found) == list(range(24))
        assert first_numbers([next(iter(loader))]) == list(range(12))


def test_samples_that_each_stay_within_the_limit_are_no_timeout() -> None:
    class Slow:
        def __len__(self) -> int:
            return 16

        def __getitem__(self, index: int) -> Any:
            time.sleep(0.25)
            return np.float32(index)

    with Loader(MapSource(Slow()), 8, workers=2, sample_timeout_s=0.9) as loader:  # as a ticket they would take 1 s
        assert first_numbers(take(loader)) == list(range(16))


def replaced(loader: Loader) -> int:
    """Return how many workers had to be replaced."""
    return loader._producer.board.supervisor[SupervisorCell.RESTARTS]


class Slowing(Source):
    """Rows that take nothing, so that tickets have many of them, and from row 2,000 on 30 ms each."""

    def __len__(self) -> int:
        return 2060

    def sample(self, index: int) -> Any:
        if index >= 2000:
            time.sleep(0.03)
        return (np.float32(index),)


class SlowingInItsOwnWay(Slowing):
    """Reads many at once, and nobody sees how far it is; `hangs` does so."""

    hangs = -1

    def read(self, indices: Any, out: Sequence[Any]) -> None:
        for row, index in enumerate(indices.tolist()):
            if index == self.hangs:
                time.sleep(1000)
            (out[0][row],) = self.sample(index)


class Hanging(SlowingInItsOwnWay):
    hangs = 1005


@pytest.mark.parametrize("wrapped", [lambda source: source, lambda source: source.subset(np.arange(2060)), lambda source: Zip(source, source)])
def test_rows_that_have_become_slow_are_no_timeout_however_many_are_in_a_ticket(wrapped: Any) -> None:
    source = wrapped(Slowing())
    with Loader(source, 100, workers=2, transforms=[T.Rescale(1)], sample_timeout_s=1.0) as loader:
        assert first_numbers(take(loader)) == list(range(2060))
        assert not replaced(loader)


def test_a_source_that_shows_no_progress_costs_a_worker_for_each_ticket_in_hand_and_no_sample() -> None:
    with Loader(SlowingInItsOwnWay(), 100, workers=2, sample_timeout_s=1.0) as loader:
        assert first_numbers(take(loader)) == list(range(2060))
        assert replaced(loader) <= 2 * SHORT_TICKETS


def test_a_sample_that_hangs_among_many_in_a_ticket_is_found_soon_where_the_source_shows_no_progress() -> None:
    with Loader(Hanging(), 100, workers=1, sample_timeout_s=1.0) as loader:
        with pytest.raises(SampleTimeout) as caught:
            take(loader)
        assert caught.value.index == 1005
        assert replaced(loader) == 1 + DEATHS_TO_ACCUSE


# The first sample.


def test_a_first_sample_that_kills_is_an_error_at_the_first_use(npy_folder: Any) -> None:
    with Loader(NpyFiles(npy_folder(10)), 5, workers=2, transforms=[deadly(0, crash("segfault"))]) as loader:
        for use in (lambda: loader.spec, lambda: next(iter(loader))):
            with pytest.raises(PipelineError, match="SIGSEGV") as caught:
                use()
            assert "000000.npy" in str(caught.value)


def test_a_first_sample_that_never_ends_is_a_timeout() -> None:
    with Loader(SOURCE, BATCH, workers=1, transforms=[lambda sample, rng: time.sleep(1000)], sample_timeout_s=1.0) as loader:
        with pytest.raises(SampleTimeout) as caught:
            take(loader)
        assert caught.value.index == 0


def test_a_source_whose_module_is_missing_elsewhere_is_an_error_at_the_first_use(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("only_in_this_process")
    exec("class Source:\n    def __len__(self):\n        return 5\n    def __getitem__(self, index):\n        return index", module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with Loader(MapSource(module.Source()), 2, workers=1) as loader:
        for _ in range(2):
            with pytest.raises(PipelineError, match="only_in_this_process"):
                take(loader)
    with Loader(MapSource(module.Source()), 2, workers=0) as loader:
        assert len(take(loader)) == 3


def test_a_module_that_fails_when_imported_again_is_an_error_with_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fails_elsewhere.py").write_text(
        "import sys\nif 'loader.supervise.boot' in sys.modules:\n    raise RuntimeError('not here')\ndef step(sample, rng):\n    return sample\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import fails_elsewhere  # type: ignore[import-not-found]

    with Loader(SOURCE, BATCH, workers=1, transforms=[fails_elsewhere.step]) as loader, pytest.raises(PipelineError, match="not here") as caught:
        take(loader)
    assert "fails_elsewhere.py" in str(caught.value)
