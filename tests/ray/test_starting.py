"""What is said when remote workers do not start. No Ray runs here, but the module knows its errors."""

from __future__ import annotations

import logging
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from loader import RayWorkers
from loader.ipc.board import Cells
from loader.produce.remote.cluster.placement import Node
from loader.produce.remote.hand import Hand
from loader.produce.remote.node_counts import NodeCounts


class Actor:
    def __init__(self) -> None:
        self.calls: dict[str, Any] = {}
        self.ended = False

    def call(self, method: str, *arguments: Any, then: Any) -> None:
        self.calls[method] = then

    def end(self) -> None:
        self.ended = True


class World:
    def __init__(self, *nodes: Node) -> None:
        from loader.produce.remote.recruiting import Recruiter

        self.actors: list[Actor] = []
        cluster: Any = SimpleNamespace(nodes=lambda then: then(list(nodes), None), start=self._start, needs_in_words="CPU 64")
        here: Any = SimpleNamespace(differences=lambda there: [])
        told: Any = None
        self.ready: list[Hand] = []
        self.recruiter = Recruiter(cluster, here, None, told, NodeCounts(Cells.private()), self.ready.append)
        self.hand = Hand(3, Cells.private())
        self.recruiter.seek(self.hand)

    def _start(self, node: Node | None) -> Actor:
        self.actors.append(Actor())
        return self.actors[-1]

    def look(self, after_s: float) -> None:
        self.recruiter.look([self.hand], self.hand.since + after_s)


def test_an_actor_that_never_gets_ready_is_given_up_and_its_node_named(caplog: pytest.LogCaptureFixture) -> None:
    world = World(Node("n", "10.0.0.7", 4, False))
    world.actors[0].calls["where"](("n", 77), None)
    world.look(500)
    assert not world.actors[0].ended
    world.look(700)
    assert world.actors[0].ended
    assert "node 10.0.0.7 is not used: a worker there has not started within 600 s" in caplog.text


def test_that_actors_do_not_start_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    from ray.exceptions import RuntimeEnvSetupError

    world = World(Node("n", "10.0.0.7", 4, False))
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            world.actors[-1].calls["start"](None, RuntimeEnvSetupError(f"no package x{len(world.actors)}"))
            world.look(0)
    assert len(world.actors) == 6
    assert caplog.text.count("remote workers do not start") == 1
    assert "no package x3" in caplog.text


def test_a_cluster_that_does_not_answer_is_not_waited_for_as_long_as_ray_would(monkeypatch: pytest.MonkeyPatch) -> None:
    from loader.produce.remote.cluster import cluster

    ended = threading.Event()
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(cluster, "_CONNECT_S", 0.05)
    monkeypatch.setattr(cluster, "_init", lambda setting: ("own", str(ended.wait(60))))
    said: list[str] = []

    def give_up(reason: cluster.NoCluster) -> None:  # ends the process, where it is not a test's
        said.append(str(reason))
        ended.set()

    assert cluster.Cluster(RayWorkers(), give_up).host == "True"
    assert said[0].startswith("no Ray cluster has answered within 0.05 s; likely cause: a cluster that has ended")


def test_that_no_node_is_large_enough_is_said_and_ray_asked_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    world = World(Node("n", "10.0.0.7", 0, False))
    assert "no node of the Ray cluster is large enough for a worker (CPU 64)" in caplog.text
    assert len(world.actors) == 1
