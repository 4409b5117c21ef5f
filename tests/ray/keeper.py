"""Runs in a process of its own: the nodes of a Ray cluster on this machine.

Standard input brings commands, one JSON object a line; each is answered by a line. At its end, or should the process that wrote to it die, all nodes
end. `clusters.py` is the other side.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from typing import Any

# Before Ray is imported: nothing is reported to anyone, a busy machine's memory is not Ray's to judge, and to start takes a busy machine its time.
os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_memory_monitor_refresh_ms="0", RAY_raylet_start_wait_time_s="120")

import psutil
from ray.cluster_utils import Cluster

_STORE_BYTES = 80 << 20


class Nodes:
    """A head without cores, which the trainer's machine is part of, and the nodes that were added."""

    def __init__(self) -> None:
        self._cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "object_store_memory": _STORE_BYTES, "include_dashboard": False},
        )
        self._nodes: dict[str, Any] = {}
        self.address = self._cluster.address

    def add(self, name: str, cpus: int) -> None:
        self._nodes[name] = self._cluster.add_node(num_cpus=cpus, object_store_memory=_STORE_BYTES, env_vars={"LOADER_TEST_NODE": name})

    def remove(self, name: str) -> float:
        """End a node: SIGKILL for all its processes at once, as for those of a container; else its actors would find out one by one.

        Returns:
            Seconds until the last of them had ended, and with it its connections.
        """
        ends = []
        for process in self._have_yield(name):
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                ends.append(os.pidfd_open(process.pid))
        begun = time.monotonic()
        for end in ends:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(end, signal.SIGKILL)
        for end in ends:
            select.select([end], [], [])
            os.close(end)
        took_s = time.monotonic() - begun
        self._forget(name)
        return took_s

    def pause(self, name: str) -> None:
        """Have a node say nothing more, as if its network were gone: SIGSTOP for all its processes."""
        os.kill(self._raylet(name), signal.SIGSTOP)
        for child in psutil.Process(self._raylet(name)).children(recursive=True):
            child.suspend()

    def end_raylet(self, name: str) -> None:
        """End a node as Ray's own process there may die: actors find out by themselves, one by one. They yield, too, while they live on."""
        self._have_yield(name)
        os.kill(self._raylet(name), signal.SIGKILL)
        self._forget(name)

    def _have_yield(self, name: str) -> list[psutil.Process]:
        """Have the processes of a node get what all others leave of the cores, from now on. Return them, the raylet first.

        To end 270 threads with 800 MB takes two cores some 100 ms. On a machine of their own, they would take that from nobody else
        (docs/measurements.md).
        """
        raylet = psutil.Process(self._raylet(name))
        processes = [raylet, *raylet.children(recursive=True)]
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                for thread in process.threads():
                    with contextlib.suppress(ProcessLookupError):
                        os.sched_setscheduler(thread.id, os.SCHED_IDLE, os.sched_param(0))
        return processes

    def _forget(self, name: str) -> None:
        self._cluster.remove_node(self._nodes.pop(name), allow_graceful=False)

    def _raylet(self, name: str) -> int:
        return int(self._nodes[name].all_processes["raylet"][0].process.pid)

    def restart_head(self, down_s: float) -> None:
        """End the head's control service, and start it again."""
        self._cluster.head_node.kill_gcs_server(check_alive=False)
        time.sleep(down_s)
        self._cluster.head_node.start_gcs_server()

    def pause_head(self) -> None:
        """Have the head's control service answer nobody, as if the network to it were gone."""
        os.kill(self._control_service(), signal.SIGSTOP)

    def resume_head(self) -> None:
        """Have it answer again."""
        os.kill(self._control_service(), signal.SIGCONT)

    def _control_service(self) -> int:
        return int(self._cluster.head_node.all_processes["gcs_server"][0].process.pid)

    def close(self) -> None:
        self._cluster.shutdown()


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr
    nodes = Nodes()
    try:
        print(json.dumps({"address": nodes.address}), file=answers, flush=True)
        for line in sys.stdin:
            command = json.loads(line)
            answer: dict[str, Any] = {}
            try:
                answer["value"] = getattr(nodes, command.pop("do"))(**command)
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer), file=answers, flush=True)
    finally:
        with contextlib.suppress(Exception):  # `clusters.py` ends what remains
            nodes.close()


if __name__ == "__main__":
    main()
