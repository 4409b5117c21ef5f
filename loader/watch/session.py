"""What the commands that measure have in common.

A progress bar that Ctrl-C ends without losing what was measured, batches taken against the clock, and what a loader takes of memory.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from loader.errors import LoaderError
from loader.supervise.memory.gauges import private_bytes
from loader.train.loader import Loader

INTERRUPTED = 130
_REFRESH_S = 0.1


class MeasurementSession:
    """A `with` block that measures. Ctrl-C leaves it at once and is not raised further: ask `interrupted`. An error of the loader is printed.

    The bar is on standard error, if that is a terminal. `tick` refreshes it, not a thread: a thread in the process that takes batches would be
    measured, too.

    Args:
        command: its name, for messages.
    """

    def __init__(self, command: str) -> None:
        self._command = command
        self.interrupted = False
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}"))
        self._bar = Progress(*columns, console=console, auto_refresh=False, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task("", total=None, visible=False, left="")
        self._until = self._shown = self._started = time.monotonic()

    def expect(self, what: str, seconds: float) -> None:
        """Show `what` is being done, and that all will be over in about so many seconds."""
        self._until = time.monotonic() + seconds
        self._bar.update(self._task, description=what, visible=True)
        self._show(time.monotonic())

    def tick(self) -> None:
        """Show how far it is, about ten times a second however often it is called. Raises KeyboardInterrupt if one got lost."""
        if self.interrupted:  # Python drops what is raised in a finalizer
            raise KeyboardInterrupt
        now = time.monotonic()
        if now - self._shown >= _REFRESH_S:
            self._show(now)

    @contextmanager
    def following(self, total: int, look: Callable[[], tuple[int, str]]) -> Iterator[None]:
        """Show how far it is ten times a second while this is open, also while the process waits for something.

        Args:
            total: number of things to do.
            look: returns how many are done, and what else is to be shown.
        """
        drawing = False

        def show(*_: object) -> None:
            nonlocal drawing
            # On a slow machine the next alarm comes meanwhile; a second drawing would find a module that the first one imports half there.
            if drawing:
                return
            drawing = True
            try:
                done, words = look()
                self._bar.update(self._task, total=total, completed=done, left=words, visible=True, refresh=True)
            finally:
                drawing = False

        before = signal.signal(signal.SIGALRM, show)
        period_s = 0 if self._bar.disable else _REFRESH_S
        signal.setitimer(signal.ITIMER_REAL, period_s, period_s)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def _show(self, now: float) -> None:
        self._shown = now
        left = max(0.0, self._until - now)
        self._bar.update(self._task, total=now + left - self._started, completed=now - self._started, left=f"{left:.0f} s left", refresh=True)

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        self.interrupted = True
        raise KeyboardInterrupt

    def __enter__(self) -> MeasurementSession:
        self._before: Any = signal.signal(signal.SIGINT, self._on_interrupt)
        if not self._bar.disable:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if not self._bar.disable:  # rich 13.0 ends a bar that it never showed with an empty line
            self._bar.stop()
        signal.signal(signal.SIGINT, self._before)
        self.interrupted = self.interrupted or kind is KeyboardInterrupt
        if isinstance(error, LoaderError | OSError):
            click.echo(f"loader {self._command}: {error}", err=True)
            sys.exit(1)
        return kind is KeyboardInterrupt


def check_writable(*paths: Path | None) -> None:
    """Raise OSError if a file can't be written: better now than after all measurements."""
    for path in paths:
        if path is not None and not os.access(path if path.exists() else path.parent, os.W_OK):
            raise OSError(f"{path} can't be written" if path.parent.is_dir() else f"{path}: there is no folder {str(path.parent)!r}")


_LONGEST_WINDOWS = 10


@dataclass(frozen=True)
class Throughput:
    """What came in one stretch of time: rows, bytes, batches, and the seconds."""

    rows: int
    nbytes: int
    batches: int
    seconds: float

    @property
    def rate(self) -> float:
        """Samples per second."""
        return self.rows / self.seconds


def take_for(batches: Iterator[tuple[Any, ...]], seconds: float, fewest: int, tick: Callable[[], None]) -> Throughput:
    """Take batches for some time; if they are slow, until there are `fewest`, but at most ten times as long.

    Args:
        batches: without an end.
        seconds: that it takes.
        fewest: batches, of which one at least is waited for.
        tick: called after each batch.
    """
    rows = nbytes = taken = 0
    started = time.monotonic()
    while (spent := time.monotonic() - started) < seconds or (taken < fewest and spent < _LONGEST_WINDOWS * seconds) or not taken:
        arrays = leaves(next(batches))
        rows += len(arrays[0])
        nbytes += sum(array.nbytes for array in arrays)
        taken += 1
        tick()
    return Throughput(rows, nbytes, taken, spent)


def leaves(batch: Any) -> list[np.ndarray[Any, Any]]:
    """Return the arrays of a batch, those in dicts included."""
    if isinstance(batch, np.ndarray):
        return [batch]
    return [leaf for part in (batch.values() if isinstance(batch, dict) else batch) for leaf in leaves(part)]


def slots_of(loader: Loader) -> int:
    """Return the number of slots of a loader that has begun; 0 with `workers=0`."""
    slots = loader.stats().slots
    return slots.free + slots.filling + slots.ready + slots.lent


def memory_of(loader: Loader) -> int:
    """Return the bytes of a loader's arena and processes; 0 with `workers=0`, which has neither. Takes up to a few milliseconds per process."""
    stats = loader.stats()
    if not stats.workers:
        return 0
    return stats.memory.arena_bytes + sum(private_bytes(pid) for pid in [loader.pid, *(worker.pid for worker in stats.workers)])
