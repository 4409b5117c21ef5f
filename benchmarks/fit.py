"""Time per step of `model.fit` without waits for data, against a generator over prebuilt arrays.

Question: what does the way from a finished batch into TensorFlow cost? Method: a model that does nothing. The loader's slots are filled before
an epoch begins, and its workers stopped, so that they do not fill them again meanwhile. The generator yields arrays that exist already, aligned
to 64 bytes: the best that a generator can do. Each in a process of its own; the median step counts, by a callback's clock.
"""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from loader import Loader, NpyArrays
from loader.data.layout import aligned_empty

SIZES = {"small": (32, (8,)), "large": (64, (224, 224, 3))}  # 1 KB and 38.5 MB


def measure(kind: str, size: str, steps: int) -> dict[str, Any]:
    """Return the median `microseconds` per step of `fit` from a "loader" or a "generator"."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras

    rows, shape = SIZES[size]
    clock = _step_clock(keras)
    model = keras.Sequential([keras.layers.Input(shape), _nothing(keras)])
    model.compile(optimizer="sgd", loss=lambda y, x: keras.ops.sum(y) * 0.0)
    if kind == "loader":
        _fit_loader(model, clock, rows, shape, steps)
    else:
        model.fit(_prebuilt(rows, shape), steps_per_epoch=steps, epochs=3, verbose=0, callbacks=[clock])
    return {"microseconds": statistics.median(clock.steps) * 1e6}


def _fit_loader(model: Any, clock: Any, rows: int, shape: tuple[int, ...], steps: int) -> None:
    filled = min(steps, 8) if len(shape) > 1 else steps
    samples = np.zeros((rows, *shape), np.float32)
    source = NpyArrays(samples, np.zeros(rows, np.float32)).subset(np.arange(rows * filled) % rows)
    with Loader(source, rows, workers=1, slots=filled + 2) as loader:
        for _ in range(3 * steps // filled):
            _wait_until_filled(loader)
            with _stopped(loader):
                model.fit(loader, epochs=1, verbose=0, callbacks=[clock])


def _wait_until_filled(loader: Loader) -> None:
    len(loader.spec.leaves)  # the arena is there
    end = time.monotonic() + 20
    while time.monotonic() < end:
        time.sleep(0.05)
        slots = loader.stats().slots
        if slots.ready and not slots.free and not slots.filling:
            return
    raise TimeoutError(f"the slots are not filled: {loader.stats().slots}")


@contextlib.contextmanager
def _stopped(loader: Loader) -> Iterator[None]:
    pids = [worker.pid for worker in loader.stats().workers]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _prebuilt(rows: int, shape: tuple[int, ...]) -> Any:
    arrays = [(aligned_empty((rows, *shape), np.dtype(np.float32)), aligned_empty((rows,), np.dtype(np.float32))) for _ in range(4)]
    for x, y in arrays:
        x[...] = y[...] = 0
    while True:
        yield from arrays


def _nothing(keras: Any) -> Any:
    return keras.layers.Lambda(lambda x: keras.ops.reshape(x, (keras.ops.shape(x)[0], -1))[:, :1])


def _step_clock(keras: Any) -> Any:
    class StepClock(keras.callbacks.Callback):  # type: ignore[misc]
        """Notes the time between the ends of consecutive batches, without the first ones of an epoch."""

        def __init__(self) -> None:
            super().__init__()
            self.steps: list[float] = []
            self._before: float | None = None

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self._before = None

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            now = time.perf_counter()
            if self._before is not None and batch > 1:
                self.steps.append(now - self._before)
            self._before = now

    return StepClock()
