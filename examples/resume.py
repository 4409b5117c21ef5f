"""Training that survives `kill -9`: started again, the same script continues with the batches that were missing.

Two half moons of points, and a small network that tells them apart. One callback saves the model and the loader's position together, every five
steps and at the end of each epoch. Kill the script whenever you like, or let it kill itself, and start it again. Takes 15 s on two cores.

    python examples/resume.py --kill-after 47     # ends with "Killed"
    python examples/resume.py                     # continues; after the end there is nothing left to train
    rm -r moons                                   # to start from the beginning
"""

from __future__ import annotations

import argparse
import os
import signal
from pathlib import Path

import keras
import numpy as np

from loader import Loader, NpyArrays

SEED = 7


def make_moons(count: int) -> NpyArrays:
    """Return samples `(x, y)`: a point, float32 of shape (2,), and the number of its moon."""
    rng = np.random.default_rng(SEED)
    moon = rng.integers(2, size=count)
    angle = rng.uniform(0, np.pi, count)
    x = np.where(moon == 0, np.cos(angle), 1 - np.cos(angle))
    y = np.where(moon == 0, np.sin(angle), 0.5 - np.sin(angle))
    points = np.stack([x, y], axis=1) + rng.normal(0, 0.1, (count, 2))
    return NpyArrays(points.astype(np.float32), y=moon.astype(np.int32))


def new_model() -> keras.Model:
    """Return a compiled model. It begins with its input's shape: weights can only be restored into a model that is built."""
    keras.utils.set_random_seed(SEED)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(32, "relu"), keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    return model


class Report(keras.callbacks.Callback):
    """Says how many steps each epoch had, and kills the process after a number of them."""

    def __init__(self, kill_after: int | None) -> None:
        super().__init__()
        self.kill_after = kill_after

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self.steps = 0

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self.steps += 1
        if self.kill_after is not None:
            self.kill_after -= 1
            if self.kill_after == 0:
                print(f"killed after {self.steps} steps of an epoch", flush=True)
                os.kill(os.getpid(), signal.SIGKILL)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        print(f"epoch {epoch + 1}: {self.steps} steps - val_accuracy: {(logs or {})['val_accuracy']:.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train, be killed, and go on where training was.")
    parser.add_argument("--folder", type=Path, default=Path("moons"), help="for the saves (default: moons)")
    parser.add_argument("--epochs", type=int, default=4, help="passes over the training part (default: 4)")
    parser.add_argument("--kill-after", type=int, help="steps after which the script kills itself (default: never)")
    options = parser.parse_args()
    training, validation = make_moons(1600).split(validation=0.2, seed=SEED)
    model = new_model()
    with (
        Loader(training, 64, shuffle=True, seed=SEED, workers=2, name="train") as train,
        Loader(validation, 64, workers=1, name="validation") as val,
    ):
        callbacks = [train.resume_callback(options.folder, every=5), Report(options.kill_after)]
        model.fit(train, validation_data=val, epochs=options.epochs, callbacks=callbacks, verbose=0)
        accuracy = model.evaluate(val, return_dict=True, verbose=0)["accuracy"]
        print(f"accuracy: {accuracy:.4f}")


if __name__ == "__main__":
    main()
