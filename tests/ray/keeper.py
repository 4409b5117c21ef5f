"""Runs in a process of its own: the nodes of a Ray cluster on this machine.

Standard input brings commands, one JSON object a line; each is answered by a line. At its end, or should the process that wrote to it die, all nodes
end. `clusters.py` is the other side.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from typing import Any

# Before Ray is imported: nothing is reported to anyone, a busy machine's memory is not Ray's to judge, and to start takes a busy machine its time.
os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_memory_monitor_refresh_ms="0", RAY_raylet_start_wait_time_s="120")

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

    def remove(self, name: str) -> None:
        """End a node as a loss of power does: SIGKILL for all its processes."""
        self._cluster.remove_node(self._nodes.pop(name), allow_graceful=False)

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
            answer = {}
            try:
                getattr(nodes, command.pop("do"))(**command)
            except Exception as error:
                answer["error"] = f"{type(error).__name__}: {error}"
            print(json.dumps(answer), file=answers, flush=True)
    finally:
        with contextlib.suppress(Exception):  # `clusters.py` ends what remains
            nodes.close()


if __name__ == "__main__":
    main()
