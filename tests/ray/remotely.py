"""Loaders with remote workers, compared with `workers=0` batch by batch."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil

from loader import Loader, RayWorkers, Source
from loader.ipc.board import Cells, WorkerCell, WorkerState
from tests.batches import assert_same_batch, copied

PATIENCE_S = 180.0
_STEP_S = 0.002  # of the model: actors that start need the cores


@contextlib.contextmanager
def remotely(source: Source, batch_size: Any, address: str, remote: int = 3, **settings: Any) -> Iterator[Loader]:
    """A loader with one worker here and some on the cluster."""
    given = {"workers": 1, "remote": RayWorkers(max=remote, min=remote, address=address), **settings}
    with Loader(source, batch_size, **given) as loader:
        yield loader


def rows_of_remote(loader: Loader) -> list[Cells]:
    board = loader._producer.board
    return board.workers[board.first_remote :]


def made_remotely(loader: Loader) -> int:
    """Return the samples that came from actors, as the gateway tells once a second."""
    return sum(node["samples"] for node in loader._producer.board.gateway.read_text().get("nodes", []))


def remote_pids(loader: Loader) -> list[int]:
    """Return the process ids of the actors that can work; they are on this machine."""
    return [cells[WorkerCell.PID_GAUGE] for cells in rows_of_remote(loader) if cells[WorkerCell.STATE_GAUGE] != WorkerState.ABSENT]


def gateway_of(loader: Loader) -> psutil.Process:
    """Return the gateway: the child of the supervisor that has threads, those of Ray."""
    return max(psutil.Process(loader._producer.pid).children(), key=lambda child: child.num_threads())


def compare_until(loader: Loader, done: Callable[[], bool], batches: Iterator[Any] | None = None, least: int = 1) -> Iterator[Any]:
    """Take batches, whole epochs on end, until `done()`, and at least so many; each must be what `workers=0` makes. Return the iterator of the rest.

    Args:
        loader: to take from.
        done: is asked after each batch.
        batches: pairs of found and expected ones that an earlier call returned; None to begin.
        least: how many to take.
    """
    batches = batches or pairs(loader)
    deadline = time.monotonic() + PATIENCE_S
    taken = 0
    while taken < least or not done():
        found, expected = next(batches)
        assert_same_batch(found, expected, f"batch {taken}")
        taken += 1
        time.sleep(_STEP_S)
        assert time.monotonic() < deadline, f"{taken} batches, and it has not happened yet"
    return batches


def pairs(loader: Loader) -> Iterator[Any]:
    """Yield each batch with the one that `workers=0` makes in its place, for ever."""
    with loader.with_settings(workers=0, remote=None, quarantine=None, slots=None, max_workers=None) as alike:
        while True:
            for found, expected in zip(loader, alike, strict=True):
                yield copied(found), expected


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    """Return whether a process has ended, or is a zombie."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def kill(pid: int) -> None:
    os.kill(pid, 9)
