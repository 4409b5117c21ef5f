"""A front from the side of the test that has started it (`front.py` is its process)."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.conftest import ROOT, script_environment
from tests.servers.faults import Fate, Faults


class Counts:
    """What a front was asked since it started, or since `Front.forget`.

    Attributes:
        fates: how many requests met which fate.
        asked: how often the same thing was asked for, by `"GET /bucket/key"`, or `"GET /bucket/key bytes=0-99"` for a range.
        body_bytes: sent as bodies.
        most_in_flight: requests at a time.
    """

    def __init__(self, answer: dict[str, Any]) -> None:
        self.fates = {Fate(fate): int(count) for fate, count in answer["fates"].items()}
        self.asked: dict[str, int] = answer["asked"]
        self.body_bytes: int = answer["body_bytes"]
        self.most_in_flight: int = answer["most_in_flight"]

    @property
    def requests(self) -> int:
        return sum(self.asked.values())

    @property
    def failed(self) -> int:
        return self.requests - self.fates.get(Fate.OK, 0)


class Front:
    """An HTTP server before a folder or another server. It ends with `close()`, and with the process that made it.

    Args:
        origin: the folder to serve, or `host:port` of a server.
        faults: from the beginning on.
    """

    def __init__(self, origin: str | Path, faults: Faults | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.servers.front", str(origin)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=script_environment(None),
        )  # fmt: skip
        self.port = int(self._line())
        self.endpoint = f"http://127.0.0.1:{self.port}"
        if faults:
            self.set_faults(faults)

    def set_faults(self, faults: Faults) -> None:
        """From now on, do this to requests."""
        self._ask({"faults": asdict(faults)})

    def forget(self) -> None:
        """Begin counting anew; what was asked for before counts as asked for the first time again."""
        self._ask({"forget": True})

    def counts(self) -> Counts:
        return Counts(self._ask({"counts": True}))

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._line())
        return answer

    def _line(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, f"the front has ended with {self._process.wait()}"
        return line

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
