"""Which nodes are used, what is said of those that are not, and what happens where there is no cluster."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import NpyArrays
from tests.conftest import ROOT
from tests.ray.remotely import compare_until, made_remotely, remotely


def numbers() -> NpyArrays:
    return NpyArrays(np.arange(3000, dtype=np.float32).reshape(1000, 3))


def test_a_node_that_makes_another_first_sample_is_refused_by_name_and_training_goes_on(ray_address: str, caplog: pytest.LogCaptureFixture) -> None:
    def here_or_there(sample: Any, rng: np.random.Generator) -> Any:
        return (sample[0] + ("RAY_JOB_ID" in os.environ),)

    with caplog.at_level(logging.WARNING), remotely(numbers(), 20, ray_address, transforms=[here_or_there]) as loader:
        compare_until(loader, lambda: "is not used" in caplog.text)
        assert made_remotely(loader) == 0
    host = ray_address.partition(":")[0]
    assert f"node {host} is not used: it has another first sample" in caplog.text


def test_without_a_cluster_that_is_said_once_and_training_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), remotely(numbers(), 20, "127.0.0.1:9") as loader:
        compare_until(loader, lambda: "go on alone" in caplog.text)
    assert "ray start" in caplog.text


SPEAKING = """
import os, sys
import numpy as np
from loader import Loader, NpyArrays, RayWorkers

def speak(sample, rng):
    if "RAY_JOB_ID" in os.environ:
        print("here is one", flush=True)
    return sample

with Loader(NpyArrays(np.zeros((100, 3))), 20, workers=1, transforms=[speak], remote=RayWorkers(max=1, min=1)) as loader:
    while True:
        list(loader)
"""


@pytest.mark.thorough
def test_what_actors_print_and_nothing_else_is_printed_by_the_trainer(ray_address: str, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SPEAKING)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_ADDRESS": ray_address}
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment) as trainer:
        assert trainer.stdout is not None
        line = trainer.stdout.readline()
        trainer.kill()
    assert "here is one" in line


def test_what_actors_log_reaches_the_loggers_of_the_trainer_with_the_sample(ray_address: str, caplog: pytest.LogCaptureFixture) -> None:
    def tell(sample: Any, rng: np.random.Generator) -> Any:
        logging.getLogger("mine").info("made %d", int(sample[0][0]))
        return sample

    def told() -> list[Any]:
        return [record for record in caplog.records if record.name == "mine" and "remote worker" in record.processName]

    with caplog.at_level(logging.INFO), remotely(numbers(), 20, ray_address, transforms=[tell]) as loader:
        compare_until(loader, lambda: any(record.sample is not None for record in told()))
    record = next(record for record in told() if record.sample is not None)
    assert record.getMessage() == f"made {3 * record.sample}"
