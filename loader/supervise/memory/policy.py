"""What is done about memory while running: whom to replace, how many workers may run, how much each may take. Pure: figures and time in.

    room     what all workers together may have: the limit, less the arena and the supervisor
    share    the room over the number of workers: the allowance that the kernel enforces (RLIMIT_DATA), between two looks too

A worker that grows is replaced when the sum nears the room. If it was young, its like would be there again at once: then fewer workers run, each
with a larger share, and more again when there is room, after pauses that grow each time that it was too early. One worker always runs.
Checked by tests/property/test_memory_policy.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import NamedTuple

from loader.config import mib

_HIGH, _LOW = 0.8, 0.6
_HORIZON_S = 0.5
_SHORTEST_LIFE_S = 2.0
_OUTGROWN, _OUTGROWN_BYTES = 1.5, 4 * 2**20
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 600.0
_CALM_PAUSES = 10

# A worker whose allowance was too little gets at least this much more: half as much again.
_MORE, _THAN = 3, 2

# Pages that a worker shares with the supervisor until one of them writes; they are its own then, though its mappings did not grow.
_COPIED_BYTES = 2 * 2**20


class Replace(NamedTuple):
    """Replace `worker` after what it holds."""

    worker: int
    why: str


class Run(NamedTuple):
    """Run at most `workers` from now on; None is as many as are wanted."""

    workers: int | None
    why: str


Decision = Replace | Run


@dataclass(slots=True)
class _Life:
    born: float
    young_bytes: int
    seen: float
    nbytes: int
    rate: float = 0.0


class MemoryPolicy:
    """Figures in, decisions out.

    Attributes:
        cap: most workers that may run, or None.
        tense: whether the next look should be soon.
    """

    def __init__(self) -> None:
        self.cap: int | None = None
        self.tense = False
        self._lives: dict[int, _Life] = {}
        self._pause_s = _FIRST_PAUSE_S
        self._changed = 0.0
        self._raised = False

    def count(self, wanted: int) -> int:
        """Return how many of the `wanted` workers may run."""
        return wanted if self.cap is None else min(wanted, self.cap)

    def born(self, worker: int) -> None:
        """Forget what was known about the predecessor of `worker`."""
        self._lives.pop(worker, None)

    def forgive(self) -> None:
        """Begin with short pauses again: the limit has been changed."""
        self._pause_s = _FIRST_PAUSE_S

    def look(self, now: float, room: int, sizes: Mapping[int, int], leaving: Set[int], wanted: int) -> list[Decision]:
        """Return what to do.

        Args:
            now: seconds, monotonic.
            room: bytes.
            sizes: private bytes of each worker that has been measured.
            leaving: workers that are about to go.
            wanted: how many workers should run.
        """
        rate = sum(self._follow(worker, nbytes, now) for worker, nbytes in sizes.items() if worker not in leaving)
        staying = {worker: nbytes for worker, nbytes in sizes.items() if worker not in leaving}
        expected = sum(staying.values())
        self.tense = bool(leaving) or sum(sizes.values()) + 2 * rate > _HIGH * room
        count = self.count(wanted)
        if expected + rate * _HORIZON_S > _HIGH * room:
            return self._relieve(now, room, staying, count)
        calm = now - self._changed
        if self._raised and calm >= _CALM_PAUSES * self._pause_s:
            self._pause_s, self._raised = _FIRST_PAUSE_S, False
        more = max(staying.values(), default=0)
        if count < wanted and not leaving and calm >= self._pause_s and expected + more <= _LOW * room:
            return [self._raise(now, count + 1, wanted)]
        return []

    def exhausted(self, now: float, room: int, allowance: int, fresh: bool, wanted: int, waiting: bool) -> list[Decision]:
        """A worker got no more memory. Return what to do besides replacing it.

        Args:
            now: seconds, monotonic.
            room: bytes.
            allowance: by how many bytes it could grow.
            fresh: whether the ticket alone took them. One that had grown before is only replaced.
            wanted: how many workers should run.
            waiting: whether an earlier reduction still waits for workers to go, so that the shares have not become larger yet.
        """
        count = self.count(wanted)
        if not fresh or count == 1:
            return []
        fitting = room * _THAN // (_MORE * max(1, allowance))
        fewer = max(1, min(fitting, count if waiting else count - 1))
        return [self._reduce(now, fewer, "a sample did not fit its worker's allowance")] if fewer < count else []

    def killed(self, now: float, wanted: int) -> list[Decision]:
        """The kernel killed a worker for want of memory. Return what to do besides replacing it."""
        count = self.count(wanted)
        return [self._reduce(now, count - 1, "the system ran out of memory and killed a worker")] if count > 1 else []

    def _follow(self, worker: int, nbytes: int, now: float) -> float:
        life = self._lives.get(worker)
        if life is None:
            self._lives[worker] = _Life(now, nbytes, now, nbytes)
            return 0.0
        if now > life.seen:
            life.rate = max(0.0, (nbytes - life.nbytes) / (now - life.seen))
            life.seen, life.nbytes = now, nbytes
        return life.rate

    def _relieve(self, now: float, room: int, staying: Mapping[int, int], count: int) -> list[Decision]:
        outgrown = {worker: n for worker, n in staying.items() if n > _OUTGROWN * self._lives[worker].young_bytes + _OUTGROWN_BYTES}
        largest = max(outgrown, key=outgrown.__getitem__, default=None)
        if largest is not None and (count == 1 or now - self._lives[largest].born >= _SHORTEST_LIFE_S):
            young = self._lives[largest].young_bytes
            return [Replace(largest, f"it grew from {mib(young)} to {mib(staying[largest])}, and all workers may have {mib(room)}")]
        # No fewer than are there: until then, the latest reduction has not taken effect.
        if count > 1 and len(staying) >= count:
            return [self._reduce(now, count - 1, f"they take {mib(sum(staying.values()))} of the {mib(room)} that all workers may have")]
        return []

    def _reduce(self, now: float, count: int, why: str) -> Run:
        if self._raised:
            self._pause_s, self._raised = min(2 * self._pause_s, _LONGEST_PAUSE_S), False
        self.cap, self._changed = count, now
        return Run(count, why)

    def _raise(self, now: float, count: int, wanted: int) -> Run:
        self._changed, self._raised = now, True
        self.cap = count if count < wanted else None
        return Run(self.cap, f"there has been room for {count} workers for {self._pause_s:.0f} s")


def allowances(room: int, grown: Mapping[int, int], count: int) -> dict[int, int]:
    """Return by how many bytes each worker may grow, so that all together stay within `room`, as far as they do already.

    All have the same share, except those that have more already: that can't be taken back, so the others share what is left.

    Args:
        room: bytes.
        grown: by how much each worker has grown since its fork.
        count: number of workers to share for; at least as many as there are.
    """
    count = max(count, len(grown), 1)
    share, over = _growth(room // count), dict[int, int]()
    while more := {worker: n for worker, n in grown.items() if n > share and worker not in over}:
        over |= more
        left = room - sum(n + _COPIED_BYTES for n in over.values())
        share = _growth(max(0, left) // max(1, count - len(over)))
    return {worker: over.get(worker, share) for worker in grown}


def _growth(share: int) -> int:
    return max(share - _COPIED_BYTES, share // 2, 0)
