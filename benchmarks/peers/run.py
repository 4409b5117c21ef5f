"""Carries out the plan: measures, compares, keeps what was measured in a file, and shows how far it is."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers import cells, tables
from benchmarks.peers.loaders.peer import Peer
from benchmarks.peers.plan import BARE, OURS, Step, steps
from benchmarks.peers.processes import Prepared
from benchmarks.peers.tasks import TASKS, Task
from benchmarks.terminal import note

Found = dict[str, Any]

FIT_STEPS = 120
_TRIAL_FIT_STEPS = 60


class Run:
    """One run of the benchmark.

    Args:
        tasks: what is done.
        peers: who does it, by name.
        found: what was measured before; grows.
        file: where that is kept.
        data: folder of the data.
        rounds: with the best number of workers each.
        seconds: of one measurement.
    """

    def __init__(self, tasks: Sequence[Task], peers: Mapping[str, Peer], found: Found, file: Path, data: Path, rounds: int, seconds: float) -> None:
        self._tasks = tasks
        self._peers = peers
        self._found = found
        self._file = file
        self._data = data
        self._seconds = seconds
        self._prepared: dict[tuple[str, bool], Prepared] = {}
        self._left = [step for step in steps(tasks, peers, rounds) if step.key not in self._cell(step)]
        self._planned_s = self._done_s = 0.0
        self._began = time.monotonic()

    def estimate_s(self) -> float:
        """Return about how long the rest takes, by what was seen so far."""
        pace = (time.monotonic() - self._began) / self._done_s if self._done_s > 30 else 1.0
        return pace * sum(step.seconds(self._seconds) for step in self._left)

    def measure(self) -> None:
        """Measure everything that is missing. What was measured is in the file, even if this is interrupted."""
        try:
            for task in self._tasks:
                if any(step.task == task.name for step in self._left):
                    self._prepare(task)
                while self._left and self._left[0].task == task.name:
                    step = self._left[0]
                    self._show(step)
                    self._take(step)
                    self._left.pop(0)
                    self._done_s += step.seconds(self._seconds)
                    self._file.write_text(json.dumps(self._found, indent=1) + "\n")
                note("")
                print(tables.as_lines(self._found, task, self._peers), flush=True)
        finally:
            note("")
            self._close()

    def _cell(self, step: Step) -> dict[str, Any]:
        cell: dict[str, Any] = self._found["tasks"].setdefault(step.task, {}).setdefault(step.peer, {})
        return cell

    def _prepare(self, task: Task) -> None:
        if any(keras != task.fit for _, keras in self._prepared):
            self._close()
        task.work.write(self._data, note)
        if not task.cold:
            note(f"{task.name}: reading the files once")
            task.work.warm(self._data)

    def _take(self, step: Step) -> None:
        cell = self._cell(step)
        task = TASKS[step.task]
        if step.peer != BARE and step.key != "outputs" and (cells.why_not(cell) or "outputs" not in cell):
            return
        count = step.count if step.count is not None else cells.best_count(cell)
        asked: dict[str, Any] = {"kind": step.kind, "task": step.task, "count": count}
        if step.kind in ("trial", "speed"):
            asked["seconds"] = self._seconds / 2 if step.kind == "trial" else self._seconds
        if step.kind == "fit":
            asked["steps"] = _TRIAL_FIT_STEPS if step.key.startswith("trial") else FIT_STEPS
        if step.peer == BARE:
            asked["kind"] = "bare_fit"
        got = self._process(OURS if step.peer == BARE else step.peer, task.fit).measure(alone=step.alone, **asked)
        if version := got.pop("version", None):
            self._found["versions"][step.peer] = version
        if step.kind == "outputs" and (differs := cells.difference(task, got, self._found["tasks"][step.task][OURS].get("outputs", got))):
            got["differs"] = f"its batches are not the loader's: {differs}"
        cell[step.key] = got

    def _process(self, peer: str, keras: bool) -> Prepared:
        return self._prepared.setdefault((peer, keras), Prepared(peer, self._data, keras))

    def _close(self) -> None:
        for prepared in self._prepared.values():
            prepared.close()
        self._prepared.clear()

    def _show(self, step: Step) -> None:
        title = self._peers[step.peer].title if step.peer in self._peers else "a batch that exists"
        note(f"{step.task}: {title}, {step.key}; about {self.estimate_s() / 60:.0f} min left")
