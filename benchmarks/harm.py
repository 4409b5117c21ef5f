"""What a soak does to a loader while it runs: workers die, hang and come and go, files fail for a while."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

# Between two harms: up to five a second, of which more than four are kills.
GAP_S = (0.05, 0.3)
LOOK_S = 0.005
STOPPED_S = (0.01, 0.3)
# Within the pauses between tries: 0.05, 0.2, 0.8 s.
AWAY_S = (0.05, 0.25)
FILES_AT_ONCE = 10
SUPERVISOR_GAP_S = 30.0


@dataclass
class Harm:
    """What was done, and when (monotonic)."""

    kind: str
    at: float


@dataclass
class Harms:
    """Does harm from a thread of its own, one at a time, at random.

    A row whose worker dies three times, alone in its ticket, is accused (docs/design.md), and nobody can tell kills from outside from a sample
    that kills. So the next harm waits until more batches have been delivered than there are slots: whatever the last victim had in hand is then
    done, and no row is hit twice.

    Attributes:
        folder: of the loader's files.
        chance: decides.
        delivered: returns the number of batches delivered.
        patience: batches between two harms.
        most_workers: for `resize`.
        supervisor_kills: whether the supervisor is killed, too, about once in half a minute.
        supervisor: returns its process id.
        done: set it to end.
        happened: all harms so far, appended to by the thread.
        size: that the trainer shall give the pool, or None; sizes are changed by the thread that uses the loader.
    """

    folder: Path
    chance: random.Random
    delivered: Callable[[], int]
    patience: int
    most_workers: int
    supervisor_kills: bool
    supervisor: Callable[[], int]
    done: threading.Event = field(default_factory=threading.Event)
    happened: list[Harm] = field(default_factory=list)
    size: int | None = None

    def __post_init__(self) -> None:
        self._kinds: dict[str, tuple[float, Callable[[], bool]]] = {
            "SIGKILL": (50, lambda: self._send(signal.SIGKILL)),
            "SIGSEGV": (25, lambda: self._send(signal.SIGSEGV)),
            "SIGTERM": (8, lambda: self._send(signal.SIGTERM)),
            "stopped, then continued": (7, self._stop_for_a_while),
            "stopped for good": (1, lambda: self._send(signal.SIGSTOP)),
            "resized": (5, self._resize),
            "files with EIO": (4, self._fail_files),
        }
        self._next_supervisor = time.monotonic() + SUPERVISOR_GAP_S / 2

    def add(self, kinds: dict[str, tuple[float, Callable[[], bool]]]) -> None:
        """Do these things, too, each as often as its weight says."""
        self._kinds |= kinds

    def run(self) -> None:
        """Do harm until `done`. A thread's target."""
        while not self.done.wait(self.chance.uniform(*GAP_S)):
            if self.supervisor_kills and time.monotonic() >= self._next_supervisor:
                self._next_supervisor = time.monotonic() + SUPERVISOR_GAP_S
                kind, act = "supervisor", self._kill_supervisor
            else:
                weights = [weight for weight, _ in self._kinds.values()]
                (kind,) = self.chance.choices(list(self._kinds), weights)
                act = self._kinds[kind][1]
            harm = Harm(kind, time.monotonic())
            if act():
                self.happened.append(harm)
            self._wait_for_batches(self.delivered() + self.patience)

    def _wait_for_batches(self, number: int) -> None:
        while self.delivered() < number and not self.done.wait(LOOK_S):
            pass

    def _victim(self) -> psutil.Process | None:
        """Return a worker, found by its parent: a number that was written down may be another process's by now."""
        with contextlib.suppress(psutil.NoSuchProcess):
            workers = psutil.Process(self.supervisor()).children()
            return self.chance.choice(workers) if workers else None
        return None

    def _send(self, number: int) -> bool:
        victim = self._victim()
        if victim is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.send_signal(number)
                return True
        return False

    def _stop_for_a_while(self) -> bool:
        victim = self._victim()
        if victim is None:
            return False
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.suspend()
            self.done.wait(self.chance.uniform(*STOPPED_S))
            victim.resume()
            return True
        return False

    def _resize(self) -> bool:
        self.size = self.chance.randint(1, self.most_workers)
        return True

    def _fail_files(self) -> bool:
        """Have some files fail, and come back while they are still tried again."""
        victims = self.chance.sample(sorted(self.folder.iterdir()), FILES_AT_ONCE)
        kept = self.folder.with_name("kept")
        kept.mkdir(exist_ok=True)
        for path in victims:
            os.link(path, kept / path.name)
            _give_eio(path)
        self.done.wait(self.chance.uniform(*AWAY_S))
        for path in victims:
            os.replace(kept / path.name, path)
        return True

    def _kill_supervisor(self) -> bool:
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(self.supervisor()).kill()
            return True
        return False


def _give_eio(path: Path) -> None:
    """Have the kernel say EIO: nothing is mapped at the beginning of a process's memory."""
    beside = path.with_name("eio")
    beside.symlink_to("/proc/self/mem")
    os.replace(beside, path)
