"""Try three models on the same data at the same time: each is trained by a script of its own, and one pool makes the batches for all of them.

This script makes the loader, starts itself twice to train two of the models, and trains the third one. Spirals are told apart, with noise that is
drawn anew in each epoch: all three see the same noise. With lag="wait" they go in step, which costs the least work; without it, one that is slower
for a while would get its batches made once more. Takes 25 s on two cores, of which most is the import of Keras, three times.

    python examples/model_search.py
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

import keras
import numpy as np

from loader import Loader, NpyArrays
from loader import transforms as T

WIDTHS = (4, 16, 64)
SEED = 7


def spirals(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points, float32 of shape (count, 2), and the numbers of the arms that they are on, int32."""
    rng = np.random.default_rng(seed)
    arm = rng.integers(3, size=count)
    radius = rng.uniform(0.1, 1, count)
    angle = 4 * radius + arm * 2 * np.pi / 3
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).astype(np.float32), arm.astype(np.int32)


def new_model(width: int) -> keras.Model:
    keras.utils.set_random_seed(SEED)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(width, "relu"), keras.layers.Dense(width, "relu"), keras.layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    return model


def fit(train: Loader, width: int, epochs: int) -> None:
    """Train a model on a loader, whoever made it; say what sharing saves, and how good the model is."""
    x, y = spirals(600, seed=SEED + 1)
    tell = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: print(f"width {width}, epoch {epoch + 1}: {train.stats().sharing}", flush=True)
    )
    history = new_model(width).fit(train, validation_data=(x, y), epochs=epochs, verbose=0, callbacks=[tell]).history
    print(f"width {width}: val_accuracy: {history['val_accuracy'][-1]:.4f}", flush=True)


def search(samples: int, epochs: int) -> None:
    """Make the pool, have two models trained by other scripts, and train the first one here."""
    name = f"search-{os.getpid()}"
    steps = [T.Noise(0.02)]
    with Loader(
        NpyArrays(*spirals(samples, SEED)), 32, shuffle=True, seed=SEED, transforms=steps, workers=1, name=name, shared=True, lag="wait"
    ) as train:
        command = [sys.executable, __file__, "--epochs", str(epochs), "--attach", name, "--width"]
        others = [subprocess.Popen([*command, str(width)]) for width in WIDTHS[1:]]
        while len(train.stats().readers) < len(WIDTHS) and all(other.poll() is None for other in others):
            time.sleep(0.1)  # all begin together, or each would have the first batches made for it alone
        fit(train, WIDTHS[0], epochs)
        for other in others:  # which read from the pool that belongs to this script
            other.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="Try three models on the same data, with one pool.")
    parser.add_argument("--samples", type=int, default=8000, help="points to train on (default: 8000)")
    parser.add_argument("--epochs", type=int, default=6, help="passes over them (default: 6)")
    parser.add_argument("--attach", help="name of a pool to train on, instead of making one")
    parser.add_argument("--width", type=int, default=WIDTHS[0], help="of the model that is trained on it (default: 4)")
    options = parser.parse_args()
    if options.attach is None:
        search(options.samples, options.epochs)
        return
    with Loader.attach(options.attach, epoch=0) as train:
        fit(train, options.width, options.epochs)


if __name__ == "__main__":
    main()
