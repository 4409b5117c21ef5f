"""Ray clusters of several nodes on this machine, for tests and benchmarks."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

ROOT = Path(__file__).parent.parent.parent
_MARK = "LOADER_RAY_CLUSTER"


class RayCluster:
    """A head without cores, to which this machine belongs, and nodes.

    Attributes:
        address: for `RayWorkers(address=...)`.
        nodes: names of those that are there, besides the head.
    """

    def __init__(self) -> None:
        self.nodes: set[str] = set()
        self._mark = uuid.uuid4().hex
        environment = {**os.environ, _MARK: self._mark, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, str(Path(__file__).with_name("keeper.py"))]
        self._keeper = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        try:
            self.address = str(self._answer()["address"])
        except BaseException:
            self.close()
            raise

    def add(self, name: str, cpus: int = 2) -> None:
        """Add a node. What runs there finds its name in the variable LOADER_TEST_NODE."""
        self._do("add", name=name, cpus=cpus)
        self.nodes.add(name)

    def remove(self, name: str) -> float:
        """End all processes of a node at once; return after how many seconds the last one had ended."""
        self.nodes.remove(name)
        return float(self._do("remove", name=name))

    def pause(self, name: str) -> None:
        """Stop all processes of a node, which keep their connections. What remains to be done with it is to remove it."""
        self._do("pause", name=name)

    def end_raylet(self, name: str) -> None:
        """End Ray's own process of a node; its actors follow within a second or so, each when it finds out."""
        self.nodes.remove(name)
        self._do("end_raylet", name=name)

    def restart_head(self, down_s: float = 1.0) -> None:
        """End the head's control service, and start it again after some time."""
        self._do("restart_head", down_s=down_s)

    @contextlib.contextmanager
    def head_paused(self) -> Iterator[None]:
        """Have the head answer nobody for some time."""
        self._do("pause_head")
        try:
            yield
        finally:
            self._do("resume_head")

    def actors(self) -> list[int]:
        """Return the process ids of the actors on all nodes."""
        return [process.pid for process in self._processes() if process.name().startswith("ray::") and "IDLE" not in process.name()]

    def close(self) -> None:
        """End all nodes, and whatever they have left."""
        self._keeper.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._keeper.wait(30)
        left = self._processes()
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, 5)
        self._keeper.wait(5)
        self._keeper.stdout.close()

    def __enter__(self) -> RayCluster:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _processes(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get(_MARK) == self._mark:
                    found.append(process)
        return found

    def _do(self, what: str, **arguments: Any) -> Any:
        self._keeper.stdin.write(json.dumps({"do": what, **arguments}) + "\n")
        self._keeper.stdin.flush()
        answer = self._answer()
        if error := answer.get("error"):
            raise RuntimeError(f"{what}({arguments}): {error}")
        return answer["value"]

    def _answer(self) -> dict[str, Any]:
        line = self._keeper.stdout.readline()
        if not line:
            raise RuntimeError(f"the keeper of the Ray cluster has ended, with {self._keeper.wait(5)}")
        answer: dict[str, Any] = json.loads(line)
        return answer
