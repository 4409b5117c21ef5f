"""Time per step of `model.fit` without waits for data, on each backend of Keras.

Question: what does the way from a finished batch into the framework cost? Method: a model that does nothing. The loader's slots are filled before
an epoch begins, and its workers stopped, so that they do not fill them again meanwhile. Against what a user would have otherwise: on TensorFlow
a generator over prebuilt arrays, aligned to 64 bytes, the best that a generator can do; on JAX and PyTorch arrays of that framework, which exist
already, through an adapter like ours: the least that a step can cost. Each in a process of its own; the median step counts, by a callback's clock.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import itertools
import os
import signal
import statistics
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from loader import Loader, NpyArrays
from loader.data.layout import aligned_empty

# As many as slots that are filled beforehand: fewer would stay in the caches, which batches that come from elsewhere never are in.
_PREBUILT = 24

SIZES = {"small": (32, (8,)), "large": (64, (224, 224, 3))}  # 1 KB and 38.5 MB


def measure(backend: str, kind: str, size: str, steps: int) -> dict[str, Any]:
    """Return the median `microseconds` per step of `fit` from a "loader", or "prebuilt" arrays."""
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": backend}
    import keras

    rows, shape = SIZES[size]
    clock = _step_clock(keras)
    model = keras.Sequential([keras.layers.Input(shape), _nothing(keras)])
    model.compile(optimizer="sgd", loss=lambda y, x: keras.ops.sum(y) * 0.0)
    if kind == "loader":
        _fit_loader(model, clock, rows, shape, steps)
    else:
        prebuilt = _prebuilt(rows, shape) if backend == "tensorflow" else _adapter(backend, rows, shape)
        model.fit(prebuilt, steps_per_epoch=steps, epochs=3, verbose=0, callbacks=[clock])
    return {"microseconds": statistics.median(clock.steps) * 1e6}


def _fit_loader(model: Any, clock: Any, rows: int, shape: tuple[int, ...], steps: int) -> None:
    filled = min(steps, _PREBUILT) if len(shape) > 1 else steps
    samples = np.zeros((rows, *shape), np.float32)
    source = NpyArrays(samples, np.zeros(rows, np.float32)).subset(np.arange(rows * filled) % rows)
    with Loader(source, rows, workers=1, slots=filled + 2) as loader:
        model.fit(loader, epochs=1, verbose=0)  # where it is built on a first batch, that one is filled again
        for _ in range(3 * steps // filled):
            _wait_until_filled(loader)
            with _stopped(loader):
                model.fit(loader, epochs=1, verbose=0, callbacks=[clock])


def _wait_until_filled(loader: Loader) -> None:
    len(loader.spec.leaves)  # the arena is there
    end = time.monotonic() + 20
    while time.monotonic() < end:
        time.sleep(0.05)
        gc.collect()  # Keras on PyTorch holds batches in cycles
        slots = loader.stats().slots
        if slots.ready and not slots.free and not slots.filling and not slots.lent:
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


def _adapter(backend: str, rows: int, shape: tuple[int, ...]) -> Any:
    """Return an adapter that yields the same few arrays of the framework for ever."""
    from keras.src.trainers.data_adapters.data_adapter import DataAdapter

    def arrays() -> Iterator[Any]:
        convert = importlib.import_module("jax").device_put if backend == "jax" else importlib.import_module("torch").from_numpy
        made = [tuple(map(convert, pair)) for pair in itertools.islice(_prebuilt(rows, shape), _PREBUILT)]
        return itertools.cycle(made)

    class Prebuilt(DataAdapter):  # type: ignore[misc]
        num_batches = None
        batch_size = rows

        def get_jax_iterator(self) -> Any:
            return arrays()

        def get_torch_dataloader(self) -> Any:
            return arrays()

    return Prebuilt()


def _prebuilt(rows: int, shape: tuple[int, ...]) -> Any:
    arrays = [(aligned_empty((rows, *shape), np.dtype(np.float32)), aligned_empty((rows,), np.dtype(np.float32))) for _ in range(_PREBUILT)]
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
            if self._before is not None and batch > 5:  # until then, caches are cold
                self.steps.append(now - self._before)
            self._before = now

    return StepClock()
