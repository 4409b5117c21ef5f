"""What is to be measured, in which order, and about how long it takes. Knows no process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.peers.loaders.peer import Peer
from benchmarks.peers.tasks import Task

OURS = "loader"
BARE = "bare"  # in place of a peer: `fit` on a batch that exists

# Seconds of a step beside those that are asked for, roughly, on two cores. What is known of the machine after a while corrects them.
_SECONDS = {"outputs": 0.8, "trial": 0.6, "speed": 1.3, "held": 1.2, "killed": 2.0, "fit": 5.0}
_IMPORT_S = {"torch": 3.0, "tf": 5.0}


@dataclass(frozen=True)
class Step:
    """One measurement.

    Attributes:
        kind: what is measured.
        task, peer: their names.
        key: under which the result is kept.
        count: of workers or threads; 0 means the best one, where trials have shown it.
        alone: in an interpreter of its own.
    """

    kind: str
    task: str
    peer: str
    key: str
    count: int | None = None
    alone: bool = False

    def seconds(self, asked: float) -> float:
        """Return about how long it takes."""
        length = {"trial": asked / 2, "speed": asked}.get(self.kind, 0.0)
        imports = _IMPORT_S.get(self.peer.split(".")[0], 1.0) if self.alone else 0.0
        return _SECONDS[self.kind] + length + imports


def steps(tasks: Sequence[Task], peers: Mapping[str, Peer], rounds: int) -> Iterator[Step]:
    """Yield all steps: task by task, outputs first, then each number of workers once, then rounds with the best one by turns."""
    for task in tasks:
        yield Step("outputs", task.name, OURS, "outputs", 0)
        for name, peer in peers.items():
            if name != OURS:
                yield Step("outputs", task.name, name, "outputs", min((count for count in peer.counts(task) if count), default=0))
            for count in peer.counts(task):
                yield Step("fit" if task.fit else "trial", task.name, name, f"trial {count}", count)
        for number in range(1, rounds + 1):
            if task.fit:
                yield Step("fit", task.name, BARE, f"round {number}", 0)
            for name in peers:
                yield Step("fit" if task.fit else "speed", task.name, name, f"round {number}", alone=number == 1 and not task.fit)
        if not task.fit:
            for name in peers:
                if not task.work.one_file:
                    yield Step("held", task.name, name, "held")
                yield Step("killed", task.name, name, "killed", 2 if 2 in peers[name].counts(task) else None)
