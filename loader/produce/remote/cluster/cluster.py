"""The door to Ray: the only file that imports it. Runs in: the gateway, which has no other process to fork.

All calls but the first, which connects, are made by threads of their own (`calls`), as Ray blocks for minutes where a cluster's head is gone. What
they bring is looked at by the gateway's own thread.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import cached_property, partial
from typing import Any

import ray
from ray import exceptions
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from loader.config import mib
from loader.data.spec import Array
from loader.errors import in_words
from loader.produce.remote.cluster.calls import Calls, Then
from loader.produce.remote.cluster.placement import Node, room_for
from loader.ray_workers import RayWorkers

_HOW = (
    "What to do: `ray start --address=HOST:PORT` on this machine, with the address of the cluster's head; or `ray start --head`, to begin one here; "
    "or RayWorkers(address=...)"
)


_CALL_S = 5.0  # to find out whether anybody answers at an address
_CONNECT_S = 20.0  # to a cluster that is there, which takes a second or two; Ray itself would try for minutes
_UPLOAD_S = 600.0  # of a working directory, or of the script's arrays


class NoCluster(Exception):
    """There is no cluster that can be used; in words, with what to do."""


class Cluster:
    """A cluster of Ray, as a job that this process is connected to.

    Args:
        setting: where it is, and what each actor needs.
        give_up: is called, in another thread, if no cluster answers in time; is to end the process, which can't be brought to do anything else.

    Attributes:
        calls: that are being made.
        own: the name of the node that this process runs on.
        host: its address, at which all others can reach it.

    Raises:
        NoCluster: there is none, or it can't be used.
    """

    def __init__(self, setting: RayWorkers, give_up: Callable[[NoCluster], None]) -> None:
        self._setting = setting
        self._needs = {"CPU": float(setting.cpus_per_worker), **(setting.resources or {})}
        self.calls = Calls()
        self.own, self.host = _connect(setting, give_up)

    def nodes(self, then: Then) -> None:
        """Tell which nodes live, as a list of `Node`. Asks the head, which usually takes a millisecond."""
        self.calls.make(self._nodes, then)

    def _nodes(self) -> list[Node]:
        return [
            Node(each["NodeID"], each["NodeManagerAddress"], room_for(each["Resources"], self._needs), each["NodeID"] == self.own)
            for each in ray.nodes()
            if each["Alive"]
        ]

    @property
    def needs_in_words(self) -> str:
        """What each actor needs."""
        return ", ".join(f"{name} {amount:g}" for name, amount in self._needs.items())

    def share(self, value: Array) -> Any:
        """Put an array where all actors can look at it; return what to give them in its place.

        Raises:
            NoCluster: the object store of this machine is too small for it, so that it would go to a disk.
        """
        try:
            return self.calls.wait_for(partial(self._share, value), _UPLOAD_S)
        except (TimeoutError, exceptions.RayError) as error:
            raise NoCluster(f"the Ray cluster does not take the pipeline: {in_words(error)}") from None

    def _share(self, value: Array) -> Any:
        room = next((int(each["Resources"].get("object_store_memory", 0)) for each in ray.nodes() if each["NodeID"] == self.own), 0)
        if value.nbytes > room:
            raise NoCluster(
                f"arrays and other data of the script take {mib(value.nbytes)} with them, and Ray's object store of this machine has {mib(room)}. "
                'What to do: give a source the path of a file that all machines have, or map it with np.load(path, mmap_mode="r"); or '
                "`ray start --object-store-memory=BYTES`"
            )
        return ray.put(value)

    def start(self, node: Node | None) -> Actor:
        """Start an actor on a node; None: wherever there is room, or will be."""
        return Actor(partial(self._start, node), self.calls)

    def _start(self, node: Node | None) -> Any:
        where: Any = "SPREAD" if node is None else NodeAffinitySchedulingStrategy(node.name, soft=False)
        return self._kind.options(
            num_cpus=self._setting.cpus_per_worker,
            resources=dict(self._setting.resources or {}) or None,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy=where,
        ).remote()

    @cached_property
    def _kind(self) -> Any:
        return ray.remote(concurrency_groups={"watch": 1})(_worker_class())


class Actor:
    """An actor: a process on some node. It ends with this process, or by `end`.

    Args:
        start: starts it, and returns what Ray has for it.
        calls: that are being made.
    """

    def __init__(self, start: Callable[[], Any], calls: Calls) -> None:
        self._calls = calls
        self._started: Future[Any] = Future()
        calls.make(partial(self._begin, start))

    def call(self, method: str, *arguments: Any, then: Then) -> None:
        """Call a method. Calls are carried out in their order."""
        self._calls.make(lambda: getattr(self._started.result(), method).remote(*arguments).future(), then)

    def ask_for_progress(self, then: Then) -> None:
        """Ask it how far it is, once it has been found. It answers at once, whatever it is at, and also while the head of the cluster is gone."""
        self._calls.ask(lambda: self._started.result().progress.remote().future(), then)

    def end(self) -> None:
        """Kill it, if it lives."""
        self._calls.make(lambda: ray.kill(self._started.result()))

    def _begin(self, start: Callable[[], Any]) -> None:
        try:
            self._started.set_result(start())
        except Exception as error:  # it is that of all calls of the actor
            self._started.set_exception(error)


def cause_in_words(error: BaseException | None) -> str:
    """Return what a method has raised."""
    cause = getattr(error, "cause", None) or error
    return "" if cause is None else in_words(cause)


def death_in_words(error: BaseException | None) -> str | None:
    """Return how the process of an actor, or its node, has ended, if that is what an error of a call means; None if the method itself raised it."""
    if isinstance(error, exceptions.RayTaskError) or not isinstance(error, exceptions.RayError):
        return None
    return " ".join(str(error).split())


def how_it_ended(error: BaseException | None) -> tuple[str, bool]:
    """Return in words why an actor does no more tickets, and whether its process may have ended for what it was at, and not for other reasons."""
    if (death := death_in_words(error)) is None:
        return cause_in_words(error) or "the connection ended", error is not None and not isinstance(error, OSError)
    return death, isinstance(error, exceptions.RayActorError) and not isinstance(error, getattr(exceptions, "ActorUnavailableError", ()))


def _connect(setting: RayWorkers, give_up: Callable[[NoCluster], None]) -> tuple[str, str]:
    """Connect to a cluster; return this node's name and address."""
    address = os.environ.get("RAY_ADDRESS", "") if setting.address == "auto" else setting.address
    if address.startswith("ray://"):
        raise NoCluster(f"RAY_ADDRESS is {address}, by which all data would be copied to this machine and back. {_HOW}")
    try:
        _call(address)
        timeout_s = _UPLOAD_S if setting.runtime_env else _CONNECT_S
        ended = "; likely cause: a cluster that has ended, whose address this machine still has in /tmp/ray" if not address else ""
        silence = NoCluster(f"no Ray cluster has answered within {timeout_s:g} s{ended}. {_HOW}")
        alarm = threading.Timer(timeout_s, give_up, [silence])
        alarm.daemon = True
        alarm.start()
        try:
            return _init(setting)
        finally:
            alarm.cancel()
    except (ConnectionError, TimeoutError) as error:
        raise NoCluster(f"no Ray cluster is found ({' '.join(str(error).split())}). {_HOW}") from None
    except (RuntimeError, TypeError, ValueError, OSError, exceptions.RayError) as error:
        raise NoCluster(f"the Ray cluster can't be used: {in_words(error)}") from None


def _init(setting: RayWorkers) -> tuple[str, str]:
    """Runs in: the main thread, as Ray would say otherwise that it can't handle SIGTERM."""
    ray.init(
        address=setting.address,
        namespace=f"loader-{os.getpid()}",
        runtime_env=dict(setting.runtime_env) if setting.runtime_env else None,
        logging_level=logging.WARNING,
        log_to_driver=True,
    )
    return str(ray.get_runtime_context().get_node_id()), str(ray.util.get_node_ip_address())


def _call(address: str) -> None:
    """Raise OSError if nobody answers at HOST:PORT: Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), _CALL_S).close()


def _worker_class() -> type:
    """Return the class of the actors. It travels by value, as it is found by no name, so a node without this package can say so."""

    class LoaderWorker:
        def where(self, path: Sequence[str]) -> tuple[str, int]:
            """Return the name of the node, and the process id."""
            import os
            import sys

            import ray

            sys.path.extend(place for place in path if place not in sys.path and os.path.exists(place))
            return str(ray.get_runtime_context().get_node_id()), os.getpid()

        def start(self, number: int, payload: Any, told: Any) -> Any:
            """Load the pipeline; return facts about this node."""
            from loader.produce.remote.actors.actor_work import ActorWork, prepare_process

            prepare_process()
            self._work = ActorWork(number, payload, told)
            return self._work.facts

        def serve(self, address: Any, token: Any) -> None:
            """Do tickets until the gateway ends the connection."""
            from loader.produce.remote.links.serving import serve

            serve(address, token, self._work.answer, self._work.expect)

        @ray.method(concurrency_group="watch")  # type: ignore[untyped-decorator]
        def progress(self) -> Any:
            """Return how far the work is."""
            return self._work.progress()

    return LoaderWorker
