from __future__ import annotations

import pickle
import sys
from typing import Any

import pytest

from loader import Loader, NpyArrays, RayWorkers
from loader.errors import ConfigError
from loader.train import checks

WRONG: list[dict[str, Any]] = [
    {"max": 0},
    {"max": 1.5},
    {"max": True},
    {"min": -1},
    {"max": 4, "min": 5},
    {"cpus_per_worker": 0},
    {"cpus_per_worker": 1.5},
    {"resources": {"CPU": 2}},
    {"resources": {"decoder": 2.5}},
    {"cpus_per_worker": "1"},
    {"runtime_env": "numpy"},
    {"address": ""},
    {"address": None},
    {"address": "ray://head:10001"},
    {"resources": {"decoder": 0}},
    {"resources": {1: 1}},
    {"resources": ["decoder"]},
]


@pytest.mark.parametrize("given", WRONG, ids=str)
def test_what_is_out_of_range_is_refused_by_name(given: dict[str, Any]) -> None:
    name = list(given)[-1]
    with pytest.raises(ConfigError, match=rf"RayWorkers\({name}="):
        RayWorkers(**given)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        RayWorkers(max=0, cpus_per_worker=-1)
    assert "max=0" in str(error.value)
    assert "cpus_per_worker=-1" in str(error.value)


def test_it_can_be_pickled_and_compared_and_knows_nothing_of_ray() -> None:
    setting = RayWorkers(max=4, cpus_per_worker=0.5, runtime_env={"pip": ["x"]}, resources={"decoder": 1})
    assert pickle.loads(pickle.dumps(setting)) == setting
    assert hash(setting)
    assert "ray" not in sys.modules or "ray" not in vars(sys.modules["loader.ray_workers"])


def test_it_needs_workers_on_this_machine() -> None:
    with pytest.raises(ConfigError, match=r"remote=.*workers=0"):
        Loader(NpyArrays([[1.0]]), 1, workers=0, remote=RayWorkers())


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"npy-loader\[ray\]"):
        Loader(NpyArrays([[1.0]]), 1, workers=1, remote=RayWorkers())
