"""The stage of a fault: data, and a source and a function that wait at one sample until they are told to go on. Runs in workers, too.

Everything is said by names in one folder, since a rename is atomic and leaves nothing open:

    armed-PLACE-INDEX   the next process that comes to PLACE with sample INDEX renames it to
    at-PID              and waits there for
    go                  and then does what `act` says
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from loader import NpyArrays, NpyFiles, Source
from loader.data.rows import BadSample
from loader.data.spec import SampleSpec

SAMPLES, BATCH, BATCHES = 96, 8, 12
SHAPE = (32, 16)
EPOCHS = 3
SETTINGS = {"batch_size": BATCH, "shuffle": True, "seed": 5}


def write_data(folder: Path) -> None:
    """Write the samples, once as files and once as one array."""
    (folder / "files").mkdir(parents=True)
    arrays = (np.arange(SAMPLES)[:, None, None] + np.arange(np.prod(SHAPE)).reshape(SHAPE)).astype(np.float32)
    for number, array in enumerate(arrays):
        np.save(folder / "files" / f"{number:03d}.npy", array)
    np.save(folder / "x.npy", arrays)


def data(folder: Path, mapped: bool) -> Source:
    """Return the samples in `folder` as a source: one mapped array, or files; with their numbers as labels."""
    labels = np.arange(SAMPLES)
    return NpyArrays(folder / "x.npy", labels) if mapped else NpyFiles(folder / "files", labels=labels)


class Gate:
    """Where a process waits for the fault.

    Args:
        folder: of the names.
        act: what it does there, one of `ACTS`, or "".
        every: whether others who come to the same place later do it, too.
    """

    def __init__(self, folder: Path, act: str, every: bool) -> None:
        self.folder = str(folder)
        self.act = act
        self.every = every

    def arm(self, place: str, index: int) -> None:
        """Have the next process stop at `place` when it comes there with sample `index`."""
        Path(self.folder, f"armed-{place}-{index}").touch()

    def reach(self, place: str, index: int) -> None:
        """Stop here if this is the place."""
        here = f"{self.folder}/armed-{place}-{index}"
        try:
            os.rename(here, f"{self.folder}/at-{os.getpid()}")
        except FileNotFoundError:
            if self.every and os.path.exists(f"{self.folder}/again-{place}-{index}"):
                ACTS[self.act]()
            return
        os.mkdir(f"{self.folder}/again-{place}-{index}")
        while not os.path.exists(f"{self.folder}/go"):
            time.sleep(0.002)
        if self.act:
            ACTS[self.act]()


def fail() -> None:
    raise ValueError("a fault of the test")


def use_up_descriptors() -> None:
    """Open files until there is no descriptor left, of 64, and keep them."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    try:
        while True:
            os.open("/dev/null", os.O_RDONLY)
    except OSError:
        return


ACTS: dict[str, Any] = {
    "exception": fail,
    "sys.exit": lambda: sys.exit(3),
    "MemoryError": lambda: np.empty(1 << 60, np.uint8),
    "memory": lambda: np.empty(1 << 31, np.uint8),
    "os._exit": lambda: os._exit(3),
    "crash": lambda: ctypes.string_at(0),
    "leak": use_up_descriptors,
    "leaks": use_up_descriptors,
    "exception, substitute": fail,
    "exit, substitute": lambda: os._exit(3),
    "kill, substitute": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "hang, substitute": lambda: time.sleep(1000),
}


class Stage(Source):
    """The samples of another source, with a gate before each one is read."""

    def __init__(self, inner: Source, gate: Gate) -> None:
        self.inner = inner
        self.gate = gate

    @property
    def spec(self) -> SampleSpec:  # type: ignore[override]
        return self.inner.spec

    def __len__(self) -> int:
        return len(self.inner)

    def open(self) -> None:
        self.inner.open()

    def name_of(self, index: int) -> str | None:
        return self.inner.name_of(index)

    def sample(self, index: int) -> Any:
        self.gate.reach("read", index)
        return self.inner.sample(index)

    def read(self, indices: Any, out: Sequence[Any]) -> None:
        for row, index in enumerate(indices.tolist()):
            try:
                self.gate.reach("read", index)
            except (Exception, SystemExit) as error:
                raise BadSample(index) from error
            self.inner.read(indices[row : row + 1], [leaf[row : row + 1] for leaf in out])


class Step:
    """Adds a random number to each sample, slowly enough that each batch has a slot of its own.

    Args:
        gate: before that.
        pause_s: so slowly.
        times: each sample becomes so many times larger.
    """

    def __init__(self, gate: Gate | None, pause_s: float = 0.0005, times: int = 1) -> None:
        self.gate = gate
        self.pause_s = pause_s
        self.times = times

    def __call__(self, sample: Any, rng: np.random.Generator) -> Any:
        x, y = sample
        if self.gate is not None:
            self.gate.reach("transform", int(y))
        time.sleep(self.pause_s)
        return np.tile(x + rng.integers(0, 1000), (self.times, 1)), y
