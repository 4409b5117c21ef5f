"""`fit` of a small real model from start to end: what share of a step does a loader cost?

The model is a convolutional network that learns to draw a picture of 64 × 64 again from a sixteenth of its numbers; its loss needs no labels. It is
trained by Keras on TensorFlow, on the same cores as the loader. The bare step is that of the same batch again and again, which exists already.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.loaders.peer import Peer
from benchmarks.peers.samples import Samples
from benchmarks.peers.tasks import Task
from benchmarks.workloads import SEED

_FIRST_STEPS = 20  # until then, the function is traced, and what loaders have read ahead is used up


def measure(peer: Peer, task: Task, data: Path, count: int, steps: int) -> dict[str, Any]:
    """Return the mean `step_ms`, the `seconds` from making the loader and the model to the last step, and the `loss` then."""
    started = time.perf_counter()
    with peer.feed(task, data, count) as fed:
        return _fit(fed, task, steps, started)


def bare(task: Task, data: Path, steps: int) -> dict[str, Any]:
    """Return the same for a batch that exists."""
    import tensorflow as tf

    batch = np.stack([Samples(task, data)[index] for index in range(task.work.batch_size)])
    return _fit(tf.data.Dataset.from_tensors((batch,)).repeat(), task, steps, time.perf_counter())


def _fit(fed: Any, task: Task, steps: int, started: float) -> dict[str, Any]:
    import keras

    keras.utils.set_random_seed(SEED)
    model, clock = _model(keras, task.work.shape), _clock(keras)
    history = model.fit(fed, steps_per_epoch=steps, epochs=1, verbose=0, callbacks=[clock])
    seconds = time.perf_counter() - started
    ends = clock.ends[_FIRST_STEPS:]
    return {"step_ms": (ends[-1] - ends[0]) / (len(ends) - 1) * 1e3, "seconds": seconds, "loss": history.history["loss"][-1]}


def _model(keras: Any, shape: tuple[int, ...]) -> Any:
    layers = keras.layers

    class Reconstruction(layers.Layer):  # type: ignore[misc]
        """Adds the mean squared difference of two pictures to the loss."""

        def call(self, pictures: Any) -> Any:
            wanted, drawn = pictures
            self.add_loss(keras.ops.mean(keras.ops.square(wanted - drawn)))
            return drawn

    picture = keras.Input(shape, dtype="uint8")
    wanted = layers.Rescaling(1 / 255)(picture)
    small = layers.Conv2D(24, 4, strides=4, activation="relu")(wanted)
    small = layers.Conv2D(48, 4, strides=2, padding="same", activation="relu")(small)
    large = layers.Conv2DTranspose(24, 4, strides=2, padding="same", activation="relu")(small)
    drawn = layers.Conv2DTranspose(3, 4, strides=4, activation="sigmoid")(large)
    model = keras.Model(picture, Reconstruction()([wanted, drawn]))
    model.compile(optimizer="adam")
    return model


def _clock(keras: Any) -> Any:
    class Clock(keras.callbacks.Callback):  # type: ignore[misc]
        """Notes when each step ends."""

        def __init__(self) -> None:
            super().__init__()
            self.ends: list[float] = []

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.ends.append(time.perf_counter())

    return Clock()
