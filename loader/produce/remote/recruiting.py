"""Finds an actor for each remote worker, on nodes that make the same samples as this machine.

    choose a node → start an actor there → it loads the pipeline, and makes the first sample → compare → `Joined`

A node that differs is refused by name, once, and the training goes on without it. An actor that does not come to life is tried again elsewhere, after
a pause that grows; its worker gets no tickets meanwhile.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial

from loader.ipc.board import WorkerCell
from loader.produce.remote.actors.actor_work import Told
from loader.produce.remote.actors.checks import Facts
from loader.produce.remote.cluster.cluster import Actor, Cluster, cause_in_words, death_in_words
from loader.produce.remote.cluster.placement import Node, choose
from loader.produce.remote.hand import Hand
from loader.produce.remote.node_counts import NodeCounts

_log = logging.getLogger("loader.gateway")

_LONGEST_PAUSE_S = 30.0

# How often to look for room, where there is none.
_FULL_S = 5.0

# A node whose cores others use may have none for us: then Ray decides. But a process may just be slow to start, on a machine where many do: each time
# that an actor is given up for this, the next one has twice as long.
_PATIENCE_S = 60.0

# What travels once to each node may be many GB, and the first sample may have to be fetched from far away.
_START_S = 600.0

_SHOWN_OF_A_REASON = 500  # characters; all of it is logged

# So many actors of a worker in a row that did not come to life are no accident.
_FAILURES = 3


class Recruiter:
    """Finds actors.

    Args:
        cluster: where they run.
        here: what must be the same there.
        payload: the pipeline, as the cluster shares it.
        told: what each is told.
        counts: of the nodes.
        ready: is called with a worker whose actor is as it should be.
    """

    def __init__(self, cluster: Cluster, here: Facts, payload: object, told: Told, counts: NodeCounts, ready: Callable[[Hand], None]) -> None:
        self._cluster = cluster
        self._here = here
        self._payload = payload
        self._told = told
        self._counts = counts
        self._ready = ready
        self._seeking: dict[int, tuple[Hand, bool]] = {}  # who waits to hear which nodes there are; whether Ray is to choose
        self._refused: set[str] = set()
        self._placed: Counter[str] = Counter()
        self._said: set[str] = set()

    def seek(self, hand: Hand, anywhere: bool = False) -> None:
        """Begin to look for an actor for a worker.

        If there is no room on any node, one actor is left to Ray to place, which makes an autoscaler add a node; the others wait.

        Args:
            hand: the worker.
            anywhere: let Ray choose the node.
        """
        asked = bool(self._seeking)
        self._seeking[hand.number] = hand, anywhere
        if not asked:
            self._cluster.nodes(self._place_all)

    def _place_all(self, nodes: list[Node] | None, error: BaseException | None) -> None:
        seeking, self._seeking = self._seeking, {}
        for each in nodes or ():
            self._counts.see(each.name, each.address)
        for hand, anywhere in seeking.values():
            if nodes is None:
                _log.debug("the Ray cluster does not say which nodes it has: %s", cause_in_words(error))
                hand.since = time.monotonic() + _FULL_S
            elif not hand.over:
                self._place(hand, nodes, anywhere)

    def _place(self, hand: Hand, nodes: list[Node], anywhere: bool) -> None:
        node = None if anywhere else choose(nodes, self._placed, self._refused)
        if node is None and (self._refused or self._placed[""]):
            if all(each.name in self._refused for each in nodes):
                self._warn("no node of the Ray cluster can be used; the workers of this machine go on alone")
            hand.since = time.monotonic() + _FULL_S
            return
        if node is None and not any(each.room for each in nodes):
            needs = f"no node of the Ray cluster is large enough for a worker ({self._cluster.needs_in_words})"
            self._warn(f"{needs}. Ray is asked for one, which an autoscaler may add. Else what to do: cpus_per_worker= and resources= of RayWorkers")
        hand.node = "" if node is None else node.name
        self._placed[hand.node] += 1
        hand.since = time.monotonic()
        hand.found = False
        hand.actor = actor = self._cluster.start(node)
        actor.call("where", sys.path, then=partial(self._found, hand, actor))
        actor.call("start", hand.number, self._payload, self._told, then=partial(self._started, hand, actor))

    def release(self, hand: Hand) -> None:
        """Let the actor of a worker go."""
        if hand.actor is not None:
            hand.actor.end()
            hand.actor = None
            self._placed[hand.node] -= 1

    def look(self, hands: Iterable[Hand], now: float) -> None:
        """Try again where it is time to. To be called about once a second."""
        for hand in hands:
            if hand.joined or hand.number in self._seeking:
                continue
            if hand.actor is None and now >= hand.since:
                self.seek(hand)
            elif hand.actor is not None and hand.node and not hand.found and now - hand.since > _PATIENCE_S * 2**hand.failures:
                hand.failures += 1
                self.release(hand)
                self.seek(hand, anywhere=not self._refused)
            elif hand.found and hand.asked_for and hand.aside_since is None and now - hand.since > _START_S:
                self.refuse(hand, f"a worker there has not started within {_START_S:.0f} s; likely cause: data that it can't reach from there")

    def ask_whether_lives(self, node: str, then: Callable[[bool], None]) -> None:
        """Tell whether a node is still there, as far as the cluster says so."""
        self._cluster.nodes(lambda nodes, error: then(any(each.name == node for each in nodes or ())))

    def _found(self, hand: Hand, actor: Actor, where: tuple[str, int] | None, error: BaseException | None) -> None:
        if hand.actor is not actor or where is None:
            return  # what is wrong is told by the other call
        node, pid = where
        self._placed[hand.node] -= 1
        self._placed[node] += 1
        hand.node, hand.found, hand.since = node, True, time.monotonic()
        hand.cells[WorkerCell.PID_GAUGE] = pid  # on that node
        hand.cells[WorkerCell.NODE_GAUGE] = self._counts.place(node)
        if node in self._refused:
            self._again(hand, 0.0)

    def _started(self, hand: Hand, actor: Actor, there: Facts | None, error: BaseException | None) -> None:
        if hand.actor is not actor:
            return
        if there is not None:
            different = self._here.differences(there)
            if different:
                self.refuse(hand, f"it has {'; '.join(different)}")
            else:
                self._ready(hand)
        elif (death := death_in_words(error)) is not None:
            _log.info("an actor for remote worker %d did not start: %s", hand.number, death)
            hand.failures += 1
            if hand.failures >= _FAILURES:
                self._warn("remote workers do not start, which is tried again and again", f"; the last one: {death}")
            self._again(hand, min(2.0**hand.failures, _LONGEST_PAUSE_S))
        else:
            self.refuse(hand, f"a worker can't start there: {cause_in_words(error)}")

    def refuse(self, hand: Hand, why: str) -> None:
        """The node of a worker's actor can't be used; look for another one."""
        if hand.node not in self._refused:
            self._refused.add(hand.node)
            count = self._counts.of(hand.node)
            count.refused = why[:_SHOWN_OF_A_REASON]
            _log.warning("node %s is not used: %s", count.node, why)
        self._again(hand, 0.0)

    def _again(self, hand: Hand, pause_s: float) -> None:
        """Give up an actor that does not serve; look for another one after a pause."""
        self.release(hand)
        hand.since = time.monotonic() + pause_s

    def _warn(self, what: str, why: str = "") -> None:
        if what not in self._said:
            self._said.add(what)
            _log.warning("%s%s", what, why)
