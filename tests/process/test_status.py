"""What a supervisor tells beyond what the trainer knows: where the epoch is, what each worker is at, what was decided."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import Loader, MapSource, NpyArrays, NpyFiles, SampleError, SampleTimeout, Zip
from loader.watch.client import loaders
from tests.processes import supervisor_of, wait_until, workers_of


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def status() -> dict[str, Any]:
    with loaders() as found:
        (one,) = found
        return one.status or {}


def change(**values: Any) -> dict[str, Any]:
    with loaders() as found:
        return found[0].ask({"do": "set", **values})


@pytest.fixture
def files(npy_folder: Callable[..., Path]) -> NpyFiles:
    return NpyFiles(str(npy_folder(40)))


@pytest.fixture
def train(files: NpyFiles) -> Iterator[Loader]:
    with Loader(files, 8, workers=2, max_workers=4, name="train") as loader:
        yield loader


def test_where_the_epoch_is(train: Loader) -> None:
    batches = iter(train)
    for _ in range(3):
        next(batches)
    known = status()
    assert (known["epoch"], known["batch"], known["epoch_batches"], known["batch_size"]) == (0, 3, 5, 8)
    list(batches)
    assert (status()["epoch"], status()["batch"]) == (1, 0)


def test_each_worker_has_a_number_and_memory(train: Loader) -> None:
    next(iter(train))
    wait_until(lambda: any(worker["memory_bytes"] for worker in status()["workers"]), "one is measured", patience_s=80)
    assert [worker["number"] for worker in status()["workers"]] == [0, 1]
    assert [worker["restarts"] for worker in status()["workers"]] == [0, 0]


@pytest.mark.parametrize("shuffle", [False, True])
def test_the_sample_that_a_worker_is_at_is_named(files: NpyFiles, shuffle: bool) -> None:
    def hang_at_12(sample: Any, rng: Any) -> Any:
        if sample[0][0, 0] == 12:
            time.sleep(100)
        return sample

    with Loader(files, 40, workers=1, shuffle=shuffle, transforms=[hang_at_12]) as loader:
        workers_of(loader)
        wait_until(lambda: any((worker["sample"] or "").endswith("000012.npy") for worker in status()["workers"]), "it is at sample 12")
        assert all(worker["state"] == "busy" for worker in status()["workers"])


def test_a_sample_without_a_name_is_called_by_its_index() -> None:
    def hang(sample: Any, rng: Any) -> Any:
        if sample[0][0] == 3:
            time.sleep(100)
        return sample

    with Loader(NpyArrays(np.arange(8.0).reshape(8, 1)), 8, workers=1, transforms=[hang]) as loader:
        workers_of(loader)
        wait_until(lambda: [worker["sample"] for worker in status()["workers"]] == ["sample 3"], "it is at sample 3")


class Named(MapSource):
    """Names its samples in a way of its own, and leaves the pid of whoever asks in a folder."""

    def __init__(self, obj: Any, folder: Path) -> None:
        super().__init__(obj)
        self.folder = folder

    def name_of(self, index: int) -> Path:
        (self.folder / str(os.getpid())).touch()
        return Path(f"{index}.png")


WRAPPED = {
    "itself": lambda source: source,
    "subset": lambda source: source.subset(np.arange(8)),
    "sum": lambda source: source.subset([0, 1]) + source.subset(np.arange(2, 8)),
    "zip": lambda source: Zip(source, NpyArrays(np.arange(8))),
}


@pytest.mark.parametrize("wrapped", [pytest.param(name, marks=[] if name == "itself" else pytest.mark.thorough) for name in WRAPPED])
def test_a_source_of_the_users_own_is_not_asked_for_names_in_the_supervisor(wrapped: str, tmp_path: Path) -> None:
    def hang(sample: Any, rng: Any) -> Any:
        if sample[0][0] == 5:
            time.sleep(100)
        return sample

    asked = tmp_path / "asked"
    asked.mkdir()
    source = WRAPPED[wrapped](Named(np.arange(8.0).reshape(8, 1), asked))
    with Loader(source, 8, workers=1, transforms=[hang], sample_timeout_s=1) as loader:
        supervisor = supervisor_of(loader)
        wait_until(lambda: [worker["sample"] for worker in status()["workers"]] == ["sample 5"], "it is at sample 5")
        with pytest.raises(SampleTimeout) as caught:
            next(iter(loader))
        assert (caught.value.index, caught.value.name) == (5, "5.png")
        assert supervisor not in {int(path.name) for path in asked.iterdir()}


def test_a_source_whose_names_take_for_ever_costs_the_name_alone(tmp_path: Path) -> None:
    class Nameless(MapSource):
        def name_of(self, index: int) -> str:
            time.sleep(100 if index else 0)
            return "first"

    def crash(sample: Any, rng: Any) -> Any:
        if sample[0][0] == 5:
            os._exit(1)
        return sample

    with Loader(Nameless(np.arange(8.0).reshape(8, 1)), 8, workers=1, transforms=[crash]) as loader:
        with pytest.raises(SampleError) as caught:
            next(iter(loader))
        assert (caught.value.index, caught.value.name) == (5, None)
        assert loader.stats().supervisor_restarts == 0


def test_a_worker_that_died_is_counted_under_its_number(train: Loader) -> None:
    next(iter(train))
    pids = workers_of(train, 2)
    numbers = {worker["pid"]: worker["number"] for worker in status()["workers"]}
    os.kill(pids[0], signal.SIGKILL)
    wait_until(lambda: status()["restarts"] == 1, "the death is counted")
    wait_until(lambda: len(status()["workers"]) == 2, "there is another one")
    assert {worker["number"]: worker["restarts"] for worker in status()["workers"]} == {numbers[pids[0]]: 1, numbers[pids[1]]: 0}


def test_what_was_decided_is_told_newest_first(train: Loader) -> None:
    next(iter(train))
    assert (status()["auto"], status()["wanted_workers"], status()["max_workers"]) == (False, 2, 4)
    change(workers=3)
    change(memory_limit="3GiB")
    change(workers="auto")
    decided = status()["decisions"]
    assert "workers set to auto" in decided[0]["text"]
    assert "memory_limit changed" in decided[1]["text"]
    assert "workers set to 3" in decided[2]["text"]
    assert 0 <= decided[0]["ago_s"] <= decided[2]["ago_s"] < 60
    assert (status()["auto"], status()["wanted_workers"]) == (True, 3)


def test_the_last_minute_grows_second_by_second(train: Loader) -> None:
    next(iter(train))
    wait_until(lambda: len(status()["last_minute"]["samples_per_s"]) >= 3, "three seconds are over")
    minute = status()["last_minute"]
    assert len(minute["samples_per_s"]) == len(minute["trainer_wait_ratio"]) == len(minute["worker_wait_ratio"])
    assert max(minute["samples_per_s"]) > 0
