"""How many remote workers there are follows from what training waits for, and what they bring is told by machine."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from loader import Loader, NpyArrays, RayWorkers
from loader.watch.client import loaders
from tests.ray.remotely import made_remotely, wait_for


def slowly(sample: Any, rng: np.random.Generator) -> Any:
    time.sleep(0.02)
    return sample


def test_remote_workers_come_while_training_waits_and_are_told_by_machine(ray_address: str) -> None:
    source = NpyArrays(np.zeros((10_000, 3), np.float32))
    with Loader(source, 16, transforms=[slowly], workers=1, remote=RayWorkers(max=3, address=ray_address), name="far") as train:
        batches = train.batches()
        before = train.stats().remote
        assert before is not None
        assert (before.workers, before.wanted, before.most) == (0, 0, 3)

        def more_came() -> bool:
            next(batches)
            return made_remotely(train) > 100 and len(train.stats().workers) > 1

        wait_for(more_came, "remote workers have made some samples")
        found = train.stats()
        with loaders() as running:
            (status,) = [one.status for one in running if one.name == "far"]
    assert found.remote is not None
    assert found.remote.wanted > 0
    (node,) = found.remote.nodes
    assert node.name == ray_address.partition(":")[0]
    assert node.refused is None
    assert [worker.node for worker in found.workers] == [None] + [node.name] * (len(found.workers) - 1)
    assert status is not None
    assert any("remote workers: the trainer waits" in decision["text"] for decision in status["decisions"])
    assert status["totals"]["nodes"][0]["samples"] > 100
    assert status["workers"][1]["node"] == node.name
