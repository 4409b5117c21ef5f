"""What `stats()` tells, from a loader that runs."""

from __future__ import annotations

import itertools
import json
import os
import time
from typing import Any

import numpy as np
import pytest

from loader import Loader, NpyArrays, NpyFiles, SampleError
from tests.batches import take
from tests.processes import wait_until, workers_of

SOURCE = NpyArrays(np.arange(400 * 256, dtype=np.float32).reshape(400, 256))


def slowly(seconds: float) -> Any:
    def sleep(sample: Any, rng: np.random.Generator) -> Any:
        import time

        time.sleep(seconds)
        return sample

    return sleep


@pytest.mark.parametrize("workers", [0, 2])
def test_the_keys_are_those_of_the_design_and_json_can_hold_them(workers: int) -> None:
    with Loader(SOURCE, 8, workers=workers, memory_limit="1GiB", name="train") as loader:
        take(loader)
        found = json.loads(json.dumps(loader.stats().as_dict()))
        shown = str(loader.stats())
    keys = [
        "name",
        "epoch",
        "batches_delivered",
        "samples_per_s",
        "trainer_wait_ratio",
        "slots",
        "workers",
        "memory",
        "errors",
        "supervisor_restarts",
        "substituted",
        "quarantined",
        "verdict",
        "verdict_kind",
        "verdict_gain",
        "stages",
        "network",
        "batch",
        "readers",
        "sharing",
        "remote",
    ]
    assert list(found) == keys
    assert list(found["slots"]) == ["free", "filling", "ready", "lent"]
    assert list(found["memory"]) == ["arena_bytes", "private_bytes", "limit_bytes", "limit_is_default", "replaced_workers", "reduced_to"]
    assert len(found["workers"]) == workers
    assert all(list(worker) == ["pid", "state", "samples", "busy_ratio", "number", "node"] for worker in found["workers"])
    assert (found["name"], found["epoch"], found["batches_delivered"], found["errors"]) == ("train", 1, 50, 0)
    assert found["memory"]["limit_bytes"] == 2**30
    assert not found["memory"]["limit_is_default"]
    assert "verdict" in shown
    assert "train" in shown


def test_names_are_unique() -> None:
    with (
        Loader(SOURCE, 8, workers=1) as one,
        Loader(SOURCE, 8, workers=1) as two,
        Loader(SOURCE, 8, workers=0) as three,
        Loader(SOURCE, 8, workers=0) as four,
    ):
        assert len({loader.name for loader in (one, two, three, four)}) == 4


def test_every_slot_is_somewhere() -> None:
    with Loader(SOURCE, 8, workers=2, slots=5, transforms=[slowly(0.0002)]) as loader:
        held = []
        for batch in loader:
            held.append(batch)
            if len(held) > 2:
                held.pop(0)
            slots = loader.stats().slots
            assert slots.lent <= 3
        del batch
        wait_until(lambda: loader.stats().slots.ready == 3, "all slots that are not lent are filled")
        assert loader.stats().as_dict()["slots"] == {"free": 0, "filling": 0, "ready": 3, "lent": 2}
        held.clear()
        wait_until(lambda: loader.stats().slots.ready == 5, "all slots are filled")


def test_workers_are_counted_with_what_they_did() -> None:
    with Loader(SOURCE, 8, workers=2, transforms=[slowly(0.0005)]) as loader:
        wait_until(lambda: take(loader) and min(worker.samples for worker in loader.stats().workers) > 50, "both have made some")
        pids = workers_of(loader, 2)
        stats = loader.stats()
        assert os.getpid() not in pids
        assert all(0 <= worker.busy_ratio <= 1 for worker in stats.workers)
        assert all(worker.state in ("idle", "busy") for worker in stats.workers)
        assert sum(worker.samples for worker in stats.workers) >= 400
        wait_until(lambda: {worker.state for worker in loader.stats().workers} == {"idle"}, "nobody has anything to do")
        assert stats.memory.arena_bytes > 5 * 8 * 256 * 4


def test_the_loader_is_the_slow_part_behind_a_slow_transform() -> None:
    with Loader(SOURCE, 8, workers=1, transforms=[slowly(0.002)]) as loader:
        take(loader, 2)
        stats = loader.stats()
    assert stats.verdict.startswith("the loader is the slow part")
    assert stats.trainer_wait_ratio > 0.5
    assert stats.workers[0].busy_ratio > 0.5
    assert stats.samples_per_s < 500


def test_the_model_is_the_slow_part_when_it_is() -> None:
    with Loader(SOURCE, 8, workers=1) as loader:
        batches = loader.batches()
        next(batches)
        wait_until(lambda: loader.stats().slots.ready, "the next slot is filled")
        for _ in itertools.islice(batches, 150):
            time.sleep(0.01)
        stats = loader.stats()
    assert stats.verdict.startswith("the model is the slow part")
    assert stats.trainer_wait_ratio < 0.1


def test_without_a_pool_the_verdict_says_so() -> None:
    with Loader(SOURCE, 8, workers=0, transforms=[slowly(0.0005)]) as loader:
        assert "no batch was taken" in loader.stats().verdict
        take(loader)
        assert "workers=0" in loader.stats().verdict


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_are_counted(workers: int, npy_folder: Any) -> None:
    folder = npy_folder(12)
    (folder / "000009.npy").write_bytes(b"")
    with Loader(NpyFiles(folder), 4, workers=workers) as loader:
        for number in (1, 2):
            with pytest.raises(SampleError):
                take(loader)
            assert loader.stats().errors >= number  # the next epoch is being filled already
