"""What becomes of the batches, and of the processes, when an actor, the gateway, the supervisor or the trainer is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from loader import NpyArrays, SampleError, SampleTimeout
from tests.conftest import ROOT
from tests.ray.remotely import compare_until, gateway_of, is_gone, kill, made_remotely, remote_pids, remotely, wait_for


def slowly(sample: Any, rng: np.random.Generator) -> Any:
    time.sleep(0.002)
    return (sample[0] + rng.random(dtype=np.float32),)


def numbers() -> NpyArrays:
    return NpyArrays(np.arange(3000, dtype=np.float32).reshape(1000, 3))


def test_what_a_killed_actor_held_is_made_again_and_another_one_takes_its_place(ray_address: str) -> None:
    with remotely(numbers(), 20, ray_address, transforms=[slowly], shuffle=True) as loader:
        rest = compare_until(loader, lambda: len(remote_pids(loader)) == 3 and made_remotely(loader) > 100)
        before = remote_pids(loader)
        kill(before[1])
        compare_until(loader, lambda: before[1] not in remote_pids(loader) and len(remote_pids(loader)) == 3, rest)


@pytest.mark.thorough
def test_a_killed_gateway_is_replaced_and_its_actors_with_it(ray_address: str) -> None:
    with remotely(numbers(), 20, ray_address, transforms=[slowly], shuffle=True) as loader:
        rest = compare_until(loader, lambda: len(remote_pids(loader)) == 3 and made_remotely(loader) > 100)
        before = remote_pids(loader)
        gateway_of(loader).kill()
        compare_until(loader, lambda: len(remote_pids(loader)) == 3 and not set(before) & set(remote_pids(loader)), rest)
        wait_for(lambda: all(map(is_gone, before)), "the first actors have ended")


@pytest.mark.thorough
def test_a_gateway_that_hangs_is_ended_and_what_its_workers_held_is_made_again(ray_address: str) -> None:
    with remotely(numbers(), 20, ray_address, transforms=[slowly], shuffle=True, sample_timeout_s=4.0) as loader:
        rest = compare_until(loader, lambda: len(remote_pids(loader)) == 3 and made_remotely(loader) > 100)
        before, gateway = remote_pids(loader), gateway_of(loader)
        gateway.suspend()
        compare_until(loader, lambda: len(remote_pids(loader)) == 3 and not set(before) & set(remote_pids(loader)), rest)
        wait_for(lambda: all(map(is_gone, [gateway.pid, *before])), "gateway and actors have ended")


@pytest.mark.thorough
def test_the_supervisor_that_replaces_a_killed_one_has_remote_workers_too(ray_address: str) -> None:
    with remotely(numbers(), 20, ray_address, transforms=[slowly], shuffle=True) as loader:
        rest = compare_until(loader, lambda: len(remote_pids(loader)) == 3 and made_remotely(loader) > 100)
        before, gateway = remote_pids(loader), gateway_of(loader).pid
        kill(loader._producer.pid)
        with pytest.warns(RuntimeWarning, match="the supervisor .* died"):
            compare_until(loader, lambda: loader.stats().supervisor_restarts == 1, rest)
        compare_until(loader, lambda: len(remote_pids(loader)) == 3 and not set(before) & set(remote_pids(loader)), rest)
        wait_for(lambda: all(map(is_gone, [gateway, *before])), "the first actors have ended")


def test_a_sample_that_kills_every_worker_is_named(ray_address: str) -> None:
    def deadly(sample: Any, rng: np.random.Generator) -> Any:
        if sample[0][0] == 37 * 3:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.001)
        return sample

    with remotely(numbers(), 20, ray_address, transforms=[deadly]) as loader, pytest.raises(SampleError, match=r"sample 37.*killed its worker"):
        list(loader.batches())


@pytest.mark.thorough
def test_a_sample_that_hangs_everywhere_is_named(ray_address: str) -> None:
    def endless(sample: Any, rng: np.random.Generator) -> Any:
        if sample[0][0] == 700 * 3:
            time.sleep(3600)
        time.sleep(0.002)
        return sample

    with remotely(numbers(), 20, ray_address, transforms=[endless], sample_timeout_s=2.0) as loader, pytest.raises(SampleTimeout, match="sample 700"):
        list(loader.batches())


SCRIPT = """
import sys, time
import numpy as np
from loader import Loader, NpyArrays, RayWorkers
from tests.ray.remotely import gateway_of, remote_pids

def slowly(sample, rng):
    time.sleep(0.002)
    return sample

with Loader(NpyArrays(np.zeros((1000, 3))), 20, workers=1, transforms=[slowly], remote=RayWorkers(max=2, min=2, address=sys.argv[1])) as loader:
    while len(remote_pids(loader)) < 2:
        list(loader)
    print(loader._producer.pid, gateway_of(loader).pid, *remote_pids(loader), flush=True)
    while True:
        list(loader)
"""


def test_nothing_is_left_of_a_killed_trainer(ray_address: str, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, script, ray_address], stdout=subprocess.PIPE, text=True, env=environment) as trainer:
        assert trainer.stdout is not None
        pids = list(map(int, trainer.stdout.readline().split()))
        try:
            assert len(pids) == 4
            assert all(map(psutil.pid_exists, pids))
        finally:
            trainer.kill()
    wait_for(lambda: all(map(is_gone, pids)), "supervisor, gateway and actors have ended")
