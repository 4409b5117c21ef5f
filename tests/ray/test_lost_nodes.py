"""Clusters of several nodes, one of which goes, or becomes slow, in the middle of an epoch."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from loader import Loader, NpyArrays
from tests.conftest import ROOT
from tests.ray.clusters import RayCluster
from tests.ray.remotely import compare_until, gateway_of, is_gone, kill, made_remotely, remote_pids, remotely, wait_for

pytestmark = [pytest.mark.thorough, pytest.mark.time_limit(240)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with RayCluster() as started:
        yield started


@pytest.fixture
def nodes(cluster: RayCluster) -> RayCluster:
    """A cluster with the nodes `a` and `b`, whatever the test before has done to them."""
    for name in ("a", "b"):
        if name not in cluster.nodes:
            cluster.add(name, cpus=2)
    return cluster


def numbers() -> NpyArrays:
    return NpyArrays(np.arange(3000, dtype=np.float32).reshape(1000, 3))


def slower_where(folder: Path) -> Any:
    """Return a transform that notes on which node it runs, and takes long while a file is there that is named after the node."""

    def slower(sample: Any, rng: np.random.Generator) -> Any:
        node = os.environ.get("LOADER_TEST_NODE", "here")
        if not (folder / f"ran on {node}").exists():
            (folder / f"ran on {node}").touch()
        time.sleep(0.04 if (folder / f"slow {node}").exists() else 0.002)
        return (sample[0] + rng.random(dtype=np.float32),)

    return slower


def ran_on_both(folder: Path, loader: Loader) -> bool:
    return len(remote_pids(loader)) == 4 and all((folder / f"ran on {name}").exists() for name in ("a", "b"))


def hedges(loader: Loader) -> int:
    nodes: list[dict[str, int]] = loader._producer.board.gateway.read_text().get("nodes", [])
    return sum(node["hedges"] for node in nodes)


@pytest.mark.parametrize("lose", [RayCluster.remove, RayCluster.end_raylet], ids=["all at once", "one by one"])
def test_what_a_node_held_that_is_lost_is_made_again(nodes: RayCluster, tmp_path: Path, lose: Callable[[RayCluster, str], None]) -> None:
    with remotely(numbers(), 20, nodes.address, 4, transforms=[slower_where(tmp_path)], shuffle=True) as loader:
        rest = compare_until(loader, lambda: ran_on_both(tmp_path, loader))
        lose(nodes, "b")
        made = made_remotely(loader)
        compare_until(loader, lambda: len(remote_pids(loader)) == 2 and made_remotely(loader) > made + 500, rest)


def test_late_tickets_of_a_slow_node_are_done_by_another_and_its_actors_are_set_aside(nodes: RayCluster, tmp_path: Path) -> None:
    with remotely(numbers(), 20, nodes.address, 4, transforms=[slower_where(tmp_path)], shuffle=True) as loader:
        rest = compare_until(loader, lambda: ran_on_both(tmp_path, loader) and made_remotely(loader) > 2000)
        before = hedges(loader)
        (tmp_path / "slow b").touch()
        rest = compare_until(loader, lambda: hedges(loader) > before and len(remote_pids(loader)) == 2, rest)
        (tmp_path / "slow b").unlink()
        compare_until(loader, lambda: len(remote_pids(loader)) == 4, rest)


SCRIPT = """
import sys
import numpy as np
from loader import NpyArrays
from pathlib import Path
from tests.ray.remotely import remotely
from tests.ray.test_lost_nodes import numbers, ran_on_both, slower_where

folder = Path(sys.argv[2])
with remotely(numbers(), 20, sys.argv[1], 4, transforms=[slower_where(folder)]) as loader:
    while not ran_on_both(folder, loader):
        list(loader)
    print("ready", flush=True)
    while True:
        list(loader)
"""


def test_a_killed_trainer_leaves_no_actor_on_any_node(nodes: RayCluster, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, script, nodes.address, tmp_path], stdout=subprocess.PIPE, text=True, env=environment) as trainer:
        try:
            assert trainer.stdout is not None
            assert trainer.stdout.readline() == "ready\n"
            pids = [child.pid for child in psutil.Process(trainer.pid).children(recursive=True)]
            wait_for(lambda: len(nodes.actors()) == 4, "the actors of the test before have ended")
        finally:
            trainer.kill()
    wait_for(lambda: not nodes.actors() and all(map(is_gone, pids)), "actors, gateway and supervisor have ended")


def test_rows_come_while_the_head_answers_nobody_although_an_actor_has_died(nodes: RayCluster, tmp_path: Path) -> None:
    with remotely(numbers(), 20, nodes.address, 4, transforms=[slower_where(tmp_path)], shuffle=True) as loader:
        rest = compare_until(loader, lambda: ran_on_both(tmp_path, loader))
        gateway = gateway_of(loader).pid
        with nodes.head_paused():
            kill(remote_pids(loader)[0])
            rest = compare_until(loader, lambda: len(remote_pids(loader)) == 3, rest)
            begun, made = time.monotonic(), made_remotely(loader)
            rest = compare_until(loader, lambda: time.monotonic() > begun + 8 and made_remotely(loader) > made + 1000, rest)
        compare_until(loader, lambda: len(remote_pids(loader)) == 4, rest)
        assert gateway_of(loader).pid == gateway


def test_actors_that_are_slow_and_get_on_do_not_count_as_hanging_while_the_head_answers_nobody(
    nodes: RayCluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Their tickets were cut when rows were quick, and take longer than a sample may."""

    def crawl(sample: Any, rng: np.random.Generator) -> Any:
        time.sleep(0.6 if "LOADER_TEST_NODE" in os.environ and (tmp_path / "slow").exists() else 0.002)
        return (sample[0] + rng.random(dtype=np.float32),)

    settings = {"transforms": [crawl], "shuffle": True, "sample_timeout_s": 3.0}
    with caplog.at_level(logging.WARNING), remotely(numbers(), 20, nodes.address, 4, **settings) as loader:
        rest = compare_until(loader, lambda: len(remote_pids(loader)) == 4 and made_remotely(loader) > 2000)
        with nodes.head_paused():
            kill(remote_pids(loader)[0])  # so that the gateway asks the head which nodes there are, and waits
            rest = compare_until(loader, lambda: len(remote_pids(loader)) == 3, rest)
            (tmp_path / "slow").touch()
            begun = time.monotonic()
            rest = compare_until(loader, lambda: time.monotonic() > begun + 10, rest)
        (tmp_path / "slow").unlink()
        compare_until(loader, lambda: len(remote_pids(loader)) > 1, rest)  # some may have been set aside
    assert "was ended" not in caplog.text


def test_training_goes_on_while_the_head_is_restarted(nodes: RayCluster, tmp_path: Path) -> None:
    """A head that keeps nothing on disk forgets its nodes, and these end: then this machine has the only workers. Leaves no cluster behind."""
    with remotely(numbers(), 20, nodes.address, 4, transforms=[slower_where(tmp_path)], shuffle=True) as loader:
        rest = compare_until(loader, lambda: ran_on_both(tmp_path, loader))
        nodes.restart_head()
        made = made_remotely(loader)
        rest = compare_until(loader, lambda: not remote_pids(loader) or made_remotely(loader) > made + 2000, rest)
        compare_until(loader, lambda: True, rest, least=100)
