"""Readers of a shared loader in a soak: processes that attach, lag, keep batches, pause and go, and are stopped and killed.

Each compares all that it gets, bit for bit, with what a loader without processes makes at the same place. `python -m benchmarks.soak_readers` is one
of them; `Crowd` starts them and does them harm.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.soak_data import loader_of
from loader import AttachError, Loader

# What a reader does for a while: seconds for each step, and batches that it keeps.
PACES = ((0.0, 0), (0.0, 0), (0.002, 0), (0.02, 2), (0.2, 0), (2.5, 0))
STEPS = (20, 400)
PAUSES = 4
STOPPED_S = (0.05, 3.0)
END_S = 60.0
LOOK_S = 0.01
_COUNTS = "{:12d} {:12d}\n"


class Reader:
    """What a reader process does, until it is told to end by SIGTERM.

    Args:
        name: of the loader.
        quiet: one without processes, with the same batches.
        report: file whose only line always has the numbers of batches and of differences.
        seed: of what it does.
    """

    def __init__(self, name: str, quiet: Loader, report: Path, seed: int) -> None:
        self._name = name
        self._quiet = quiet
        self._report = os.open(report, os.O_WRONLY | os.O_CREAT, 0o600)
        self._chance = random.Random(seed)
        self._batches = self._differences = 0
        self._ended = False
        signal.signal(signal.SIGTERM, self._end)

    def _end(self, *_: object) -> None:
        self._ended = True

    def run(self) -> None:
        """Attach, read for a while, and go, again and again."""
        place: dict[str, int] = {}
        while not self._ended:
            with self._attach(place) as reader:
                place = self._read(reader, self._chance.randint(*STEPS) * (1 if place else 10))
                if self._chance.random() < 0.3:
                    place = {}  # the others' epoch, from its start

    def _attach(self, place: dict[str, int]) -> Any:
        for tries in itertools.count(1):
            try:
                return Loader.attach(self._name, **place, timeout_s=30.0)  # type: ignore[arg-type]
            except AttachError as error:
                if "slots are enough" not in str(error) or tries == 100:  # a reader that was killed a moment ago may still have its place
                    raise
                time.sleep(0.1)
        raise AssertionError

    def _read(self, reader: Any, steps: int) -> dict[str, int]:
        """Take so many batches; return where the next one is."""
        self._quiet.load_state_dict(reader.state_dict())
        batches, expected, kept = reader.batches(), self._quiet.batches(), []
        pace_s, keeps = PACES[0]
        for step in range(steps):
            if self._ended:
                break
            if step % 25 == 0:
                pace_s, keeps = self._chance.choice(PACES)
            batch = next(batches)
            self._compare(batch, next(expected))
            kept = [*kept, batch][-keeps:] if keeps else []
            time.sleep(pace_s if pace_s < 1 or step % 25 == 0 else 0)
        kept.clear()
        state = reader.state_dict()
        return {"epoch": state["epoch"], "batch": state["batch"]}

    def _compare(self, batch: Any, expected: Any) -> None:
        self._batches += 1
        self._differences += [part.tobytes() for part in batch] != [part.tobytes() for part in expected]
        os.pwrite(self._report, _COUNTS.format(self._batches, self._differences).encode(), 0)


@dataclass
class _Started:
    """A reader process: itself, its report, and what it says."""

    process: subprocess.Popen[bytes]
    report: Path
    said: Path

    @property
    def counts(self) -> list[int]:
        """Batches that it got, and those that differed; nothing before the first one."""
        return [int(word) for word in self.report.read_text().split()] if self.report.exists() else []


class Crowd:
    """The readers of a soak. Another one takes the place of each that is killed.

    Args:
        folder: for what they say.
        command: that makes one of them a reader, without its report and its seed.
        size: how many.
        chance: decides.
    """

    def __init__(self, folder: Path, command: list[str], size: int, chance: random.Random) -> None:
        self._folder = folder
        self._command = command
        self._chance = chance
        self._every: list[_Started] = []
        self._running: list[_Started] = []
        for _ in range(size):
            self._start()

    def _start(self) -> None:
        number = len(self._every)
        report, said = self._folder / f"reader{number}", self._folder / f"reader{number}.err"
        with said.open("wb") as err:
            process = subprocess.Popen([*self._command, str(report), str(self._chance.getrandbits(32))], stdout=err, stderr=err)
        self._every.append(_Started(process, report, said))
        self._running.append(self._every[-1])

    def harms(self, done: threading.Event) -> dict[str, tuple[float, Callable[[], bool]]]:
        """Return what may be done to them, each with its weight."""
        return {"reader killed": (6, self._kill), "reader stopped, then continued": (12, lambda: self._stop(done))}

    def _kill(self) -> bool:
        victim = self._chance.choice(self._running)
        victim.process.kill()
        victim.process.wait()
        self._running.remove(victim)
        self._start()
        return True

    def _stop(self, done: threading.Event) -> bool:
        victim = psutil.Process(self._chance.choice(self._running).process.pid)
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.suspend()
            done.wait(self._chance.uniform(*STOPPED_S))
            victim.resume()
            return True
        return False

    def end(self) -> list[str]:
        """Have all of them end, when each has begun; return what was wrong with any."""
        deadline = time.monotonic() + END_S
        for reader in self._running:
            while not reader.counts and reader.process.poll() is None and time.monotonic() < deadline:
                time.sleep(LOOK_S)
            reader.process.terminate()
        wrong = []
        for reader in self._running:
            try:
                status = reader.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                status = "does not end"
                reader.process.kill()
                reader.process.wait()
            if status != 0:
                wrong.append(f"a reader (pid {reader.process.pid}) ended with {status}: {reader.said.read_text()[-2000:]}")
        return wrong

    def counts(self) -> tuple[int, int, int]:
        """Return the numbers of readers that there were, of the batches that they got, and of those that differed."""
        counts = [reader.counts or [0, 0] for reader in self._every]
        return len(self._every), sum(batches for batches, _ in counts), sum(different for _, different in counts)


def main() -> None:
    """Be a reader: `python -m benchmarks.soak_readers NAME FOLDER SEED REPORT OWN_SEED`."""
    name, folder, seed, report, own = sys.argv[1:]
    with loader_of(Path(folder), int(seed), 0) as quiet:
        Reader(name, quiet, Path(report), int(own)).run()


if __name__ == "__main__":
    main()
