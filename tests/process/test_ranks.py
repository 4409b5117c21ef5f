"""The ranks of a data-parallel job share one pool: each gets the batches that it would make by itself, bit for bit, and nobody waits for the dead."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from loader import AttachError, ConfigError, Loader, MapSource, NpyArrays, SampleError, Source
from loader import transforms as T
from loader.train import loader as loader_module
from loader.train.remote import attached
from tests.batches import Batch, assert_same, copied, inline, take, take_until_replaced
from tests.conftest import script_environment
from tests.processes import supervisor_of, wait_until

RANKS = 2
X = np.arange(74 * 600, dtype=np.float32).reshape(74, 600)
SOURCE = NpyArrays(X, np.arange(len(X), dtype=np.int32) % 3)
OF_MANY_LENGTHS = MapSource([(np.full((1 + number % 9, 40), number, np.float32), np.int32(number % 3)) for number in range(74)])
SETTINGS: dict[str, Any] = {"shuffle": True, "seed": 5}

SCRIPT = """
import json, sys, time
import numpy as np
from loader import Loader, NpyArrays
x = np.arange(74 * 600, dtype=np.float32).reshape(74, 600)
with Loader(NpyArrays(x, np.arange(74, dtype=np.int32) % 3), 4, shuffle=True, seed=5, workers=2, shard="local", name=sys.argv[1]) as train:
    for epoch in range(int(sys.argv[2])):
        for x, y in train:
            print(json.dumps([int(y.sum()), float(x.sum(dtype="float64"))]), flush=True)
            time.sleep(0.002)
    print("done", flush=True)
    sys.stdin.readline()
"""

Make = Callable[..., list[Loader]]
pytestmark = pytest.mark.filterwarnings("ignore:the last .* of 74 samples")


@pytest.fixture
def name() -> str:
    return f"ranks-{os.getpid()}-{time.monotonic_ns() % 10**9}"


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[Make]:
    """Return `make(source, batch_size, here=2, first=0, world=None, **settings)`: the loaders of the ranks of this machine, as if a launcher ran."""
    with contextlib.ExitStack() as opened:

        def begin(
            source: Source = SOURCE, batch_size: int | None = 4, here: int = RANKS, first: int = 0, world: int | None = None, **settings: Any
        ) -> list[Loader]:
            made = []
            for rank in range(here):
                said = {"LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": here, "RANK": first + rank, "WORLD_SIZE": world or here, "MASTER_PORT": 29500}
                for variable, value in said.items():
                    monkeypatch.setenv(variable, str(value))
                loader = Loader(source, batch_size, **{"workers": 2, "shard": "local", "name": name, **settings})
                made.append(opened.enter_context(loader))
            return made

        yield begin


def alone(rank: int, source: Source = SOURCE, batch_size: int | None = 4, epochs: int = 1, world: int = RANKS, **settings: Any) -> list[Batch]:
    """Return the batches that a rank makes by itself, without processes."""
    return inline(source, batch_size, epochs, **settings, shard=(rank, world))


def in_step(loaders: list[Loader], epochs: int = 1) -> list[list[Batch]]:
    """Take a batch from each loader in turn, as ranks do; return those of each."""
    found: list[list[Batch]] = [[] for _ in loaders]
    for _ in range(epochs):
        for batches in zip(*loaders, strict=True):
            for own, batch in zip(found, batches, strict=True):
                own.append(copied(batch))
    return found


def mixed(batch: Any, rng: np.random.Generator) -> Any:
    x, y = batch
    return x + rng.random(dtype=np.float32), y


CASES: dict[str, tuple[Source, dict[str, Any]]] = {
    "in order": (SOURCE, {}),
    "with a last batch": (SOURCE.subset(range(70)), SETTINGS),
    "full batches only": (SOURCE, {**SETTINGS, "drop_last": True}),
    "windows": (SOURCE, {**SETTINGS, "shuffle": 20}),
    "batches that are mixed": (SOURCE, {**SETTINGS, "batch_transforms": [mixed]}),
    "weights": (SOURCE, {**SETTINGS, "class_weight": "balanced"}),
    "buckets": (OF_MANY_LENGTHS, {**SETTINGS, "bucket_by": [4, 9]}),
    "padded to the longest": (OF_MANY_LENGTHS, {**SETTINGS, "transforms": [T.Pad(length="batch")]}),
}


_QUICK = ("with a last batch", "batches that are mixed", "buckets")


@pytest.mark.parametrize("case", [pytest.param(case, marks=[] if case in _QUICK else pytest.mark.thorough) for case in CASES])
def test_each_rank_gets_the_batches_that_it_would_make_by_itself(make: Make, case: str) -> None:
    source, settings = CASES[case]
    expected = [alone(rank, source, epochs=2, **settings) for rank in range(RANKS)]
    loaders = make(source, **settings)
    for found, wanted in zip(in_step(loaders, 2), expected, strict=True):
        assert_same(found, wanted)
    assert [(len(loader), loader.batch_size, loader.pid) for loader in loaders] == [(len(expected[0]) // 2, 4, loaders[0].pid)] * RANKS


def test_files_that_are_batches_are_shared_by_the_ranks(make: Make, tmp_path: Path) -> None:
    for number, rows in enumerate([5, 2, 9, 4, 4, 1]):
        np.save(tmp_path / f"{number}.npy", X[:rows] + number)
    source = NpyArrays(str(tmp_path / "*.npy"))
    for rank, found in enumerate(in_step(make(source, None, shuffle=True), 2)):
        assert_same(found, alone(rank, source, None, 2, shuffle=True))


def test_ranks_of_another_machine_take_other_parts_of_the_same_global_batches(make: Make) -> None:
    for rank, found in enumerate(in_step(make(**SETTINGS, first=2, world=4))):
        assert_same(found, alone(2 + rank, world=4, **SETTINGS))


@pytest.mark.parametrize("slots", [None, 6])
def test_ranks_that_are_not_in_step_lose_nothing(make: Make, slots: int | None) -> None:
    loaders = make(here=3, slots=slots, **SETTINGS)
    for rank in (2, 0, 1):  # one after the other
        assert_same(take(loaders[rank], 2), alone(rank, epochs=2, world=3, **SETTINGS))


def test_each_rank_continues_at_a_saved_position_also_as_one_of_fewer(make: Make) -> None:
    source = SOURCE.subset(range(72))
    loaders = make(source, **SETTINGS)
    for batches in [iter(loader) for loader in loaders]:
        for _ in range(3):
            next(batches)
    states = [loader.state_dict() for loader in loaders]
    assert states[0] == states[1]
    assert (states[0]["epoch"], states[0]["batch"], states[0]["global_batch"]) == (0, 3, 8)
    for loader in loaders:
        loader.load_state_dict({**states[0], "epoch": 1})
    for rank, found in enumerate(in_step(loaders)):
        assert_same(found, alone(rank, source, epochs=2, **SETTINGS)[9 + 3 :])
    with Loader(source, 8, workers=0, **SETTINGS) as one:
        one.load_state_dict(states[1])
        assert_same(take(one), inline(source, 8, **SETTINGS)[3:])


@pytest.mark.parametrize("here", [1, 2])
def test_without_workers_each_rank_makes_its_own(make: Make, here: int) -> None:
    for rank, found in enumerate(in_step(make(workers=0, here=here, **SETTINGS))):
        assert_same(found, alone(rank, world=here, **SETTINGS))


def test_a_script_without_the_data_attaches_as_a_rank(make: Make, name: str) -> None:
    (first,) = make(here=1, world=3, **SETTINGS)
    with Loader.attach(name, rank=1, world=3, batch_size=4) as second, Loader.attach(name, rank=2, world=3, epoch=1, batch=5) as third:
        assert_same(take(second), alone(1, world=3, **SETTINGS))
        assert_same(take(third), alone(2, epochs=2, world=3, **SETTINGS)[6 + 5 :])
        assert (len(second), second.batch_size, second.state_dict()["global_batch"]) == (6, 4, 12)
        assert_same(take(first), alone(0, world=3, **SETTINGS))
    for rank, world, words in [
        (3, 3, "3 ranks, from 0 to 2, and this one asks as rank 3 of 3"),
        (0, 2, "3 ranks"),
        (-1, 3, "rank -1"),
        ("0", 3, "'0'"),
    ]:
        with pytest.raises(AttachError, match=words):
            Loader.attach(name, rank=rank, world=world)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="rank=1, world=None: give both"):
        Loader.attach(name, rank=1)


def test_a_loader_for_one_process_has_no_other_ranks(name: str) -> None:
    with Loader(SOURCE, 4, workers=1, name=name, shared=True), pytest.raises(AttachError, match=r"its batches are for 1 rank, .* as rank 1 of 2"):
        Loader.attach(name, rank=1, world=2)


def test_ranks_of_another_job_or_with_other_data_are_not_taken(make: Make, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make(here=1, world=2, **SETTINGS)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    more: dict[str, Any] = {"workers": 1, "shard": "local", "name": name}
    with pytest.raises(AttachError, match="has other data than rank 1 has: samples: 74 there, 70 here"):
        Loader(SOURCE.subset(range(70)), 4, **SETTINGS, **more)
    with pytest.raises(AttachError, match="its settings differ: seed: 5 there, 6 here"):
        Loader(SOURCE, 4, shuffle=True, seed=6, **more)
    monkeypatch.setenv("MASTER_PORT", "29501")
    monkeypatch.setattr(loader_module, "_POOL_S", 0.1)
    with pytest.raises(AttachError, match=r"no shared loader of this user is called .*; is the process of local rank 0 running, which makes it\?"):
        Loader(SOURCE, 4, **SETTINGS, **more)


def test_a_pool_that_rank_0_has_left_takes_no_rank_of_the_jobs_next_run(make: Make, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = make(**SETTINGS)
    batches = iter(second)
    next(batches)
    left = supervisor_of(first)
    first.close()
    monkeypatch.setattr(loader_module, "_POOL_S", 0.1)
    with pytest.raises(AttachError, match=r"no shared loader of this user is called .*; is the process of local rank 0 running, which makes it\?"):
        Loader(SOURCE, 4, **SETTINGS, workers=1, shard="local", name=name)
    assert_same([copied(batch) for batch in batches], alone(1, **SETTINGS)[1:])
    second.close()
    os.waitpid(left, 0)


def test_what_can_not_be_shared_is_refused_before_anything_starts(make: Make) -> None:
    with pytest.raises(ConfigError, match="find the pool by its name; give it one"):
        make(name=None)
    with pytest.raises(ConfigError, match="slots=3: each of the 2 ranks that share them needs two; give 4 or more"):
        make(slots=3)
    with pytest.raises(ConfigError, match="34 ranks run on this machine, and 33 can share one pool"):
        make(batch_size=1, here=34, **SETTINGS)


def test_a_bad_sample_is_an_error_of_the_rank_whose_it_is_and_of_no_other(make: Make) -> None:
    source = MapSource([np.zeros(3 + (number == 5), np.float32) for number in range(40)])
    first, second = make(source)
    with pytest.raises(SampleError, match="sample 5"):
        take(second)
    assert_same(take(first), alone(0, source))
    with pytest.raises(SampleError, match="sample 5"):  # in the next epoch
        next(iter(second))
    assert_same(take(first), alone(0, source))


def test_a_bad_sample_is_replaced_by_the_same_other_one_on_any_rank(make: Make) -> None:
    source = MapSource([np.full(3 + (number in (5, 22)), number, np.float32) for number in range(40)])
    settings: dict[str, Any] = {**SETTINGS, "on_error": "substitute"}
    with pytest.warns(RuntimeWarning, match="another one takes its place"):
        expected = [alone(rank, source, epochs=2, **settings) for rank in range(RANKS)]
    with pytest.warns(RuntimeWarning, match="another one takes its place"):
        found = in_step(make(source, **settings), 2)
    for own, wanted in zip(found, expected, strict=True):
        assert_same(own, wanted)


def test_ranks_go_on_when_the_supervisor_is_killed(make: Make) -> None:
    first, second = make(**SETTINGS)
    ours, theirs = first.batches(), second.batches()
    found: list[list[Batch]] = [[copied(next(ours))], [copied(next(theirs))]]
    os.kill(supervisor_of(first), signal.SIGKILL)
    with pytest.warns(RuntimeWarning, match="another one continues"):
        found[0] += take_until_replaced(first, ours)
    for own, batches in zip(found, (ours, theirs), strict=True):
        own += [copied(next(batches)) for _ in range(len(found[0]) + 20 - len(own))]
    for rank, own in enumerate(found):
        assert_same(own, alone(rank, epochs=len(own) // 10 + 1, **SETTINGS)[: len(own)])


def test_a_rank_that_is_waited_for_makes_its_batches_itself_until_the_supervisor_is_replaced(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attached, "_ALONE_S", 0.05)
    first, second = make(**SETTINGS, slots=4)
    ours, theirs = first.batches(), second.batches()
    found: list[list[Batch]] = [[copied(next(ours))], [copied(next(theirs))]]
    os.kill(supervisor_of(first), signal.SIGKILL)
    while second._producer._own is None:  # type: ignore[attr-defined]
        found[1].append(copied(next(theirs)))
    with pytest.warns(RuntimeWarning, match="another one continues"):
        found[0] += take_until_replaced(first, ours)
    died = second.pid
    while second.pid == died:
        found[1].append(copied(next(theirs)))
    for rank, own in enumerate(found):
        assert_same(own, alone(rank, epochs=len(own) // 10 + 1, **SETTINGS)[: len(own)])


class Process:
    """A rank in a process of its own."""

    def __init__(self, folder: Path, name: str, rank: int, epochs: int) -> None:
        self.out = folder / f"{rank}.txt"
        said = {"LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(RANKS)}
        command = [sys.executable, str(folder / "rank.py"), name, str(epochs)]
        with self.out.open("w") as out:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT, env={**script_environment(None), **said}
            )

    def lines(self) -> list[str]:
        return self.out.read_text().splitlines()

    def end(self) -> int:
        """Let it close its loader and end."""
        self.process.communicate(b"\n", timeout=60)
        return self.process.returncode


@pytest.fixture
def start(tmp_path: Path, name: str) -> Iterator[Callable[[int, int], Process]]:
    """Return `start(rank, epochs)`: the process of a rank."""
    started: list[Process] = []
    (tmp_path / "rank.py").write_text(SCRIPT)

    def begin(rank: int, epochs: int) -> Process:
        started.append(Process(tmp_path, name, rank, epochs))
        return started[-1]

    yield begin
    for rank in started:
        rank.process.kill()
        rank.process.communicate()


@pytest.mark.cold  # it counts processes
def test_processes_that_start_in_any_order_share_one_pool(start: Callable[[int, int], Process]) -> None:
    second = start(1, 2)
    first = start(0, 2)
    for process in (first, second):
        wait_until(lambda process=process: "done" in process.lines() or process.process.poll() is not None, "it has read all", 60)
    pools = [len(psutil.Process(process.process.pid).children(recursive=True)) for process in (first, second)]
    assert pools == [3, 0]  # a supervisor and two workers
    for rank, process in enumerate((first, second)):
        said = [json.loads(line) for line in process.lines() if line.startswith("[")]
        assert said == [[int(y.sum()), float(x.sum(dtype="float64"))] for x, y in alone(rank, epochs=2, **SETTINGS)]
    assert [second.end(), first.end()] == [0, 0]


@pytest.mark.parametrize("killed", range(RANKS))
def test_when_a_rank_is_killed_the_others_go_on(start: Callable[[int, int], Process], killed: int) -> None:
    ranks = [start(rank, 1000) for rank in range(RANKS)]
    wait_until(lambda: all(len(rank.lines()) > 5 for rank in ranks), "both read", 60)
    other = ranks[1 - killed]
    ranks[killed].process.kill()
    ranks[killed].process.wait()
    before = len(other.lines())
    wait_until(lambda: len(other.lines()) > before + 60, "the other one reads on")
