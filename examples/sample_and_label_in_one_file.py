"""Train from files that hold a sample together with its label: a transform separates them.

Each `.npy` file is a recording of 60 time steps with four columns: three sensors, and in the last column the state that the machine was in at
that step, 0 or 1. The source has no labels; the transform returns `(x, y)`, which is what the model gets. Takes 10 s on two cores.

    python examples/sample_and_label_in_one_file.py --recordings 600
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np

from loader import Loader, NpyFiles

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras

STEPS = 60
SENSORS = 3
SEED = 7


def write_recordings(folder: Path, count: int) -> None:
    """Write `<folder>/<number>.npy`, float32 of shape (60, 4): three noisy sensors that follow the state, and the state."""
    rng = np.random.default_rng(SEED)
    for number in range(count):
        turn_on, turn_off = np.sort(rng.integers(0, STEPS, 2))
        recording = np.zeros((STEPS, SENSORS + 1), np.float32)
        recording[turn_on:turn_off, -1] = 1
        recording[:, :SENSORS] = rng.normal(0, 0.7, (STEPS, SENSORS)) + recording[:, -1:] * [1, -1, 0.5]
        np.save(folder / f"{number:04d}.npy", recording)


def split_label(sample: tuple, rng: np.random.Generator) -> tuple:
    """Make `(x, y)` from the single array of a file: all columns but the last, and the last."""
    (recording,) = sample
    return recording[:, :-1], recording[:, -1].astype(np.int32)


def build_model() -> keras.Model:
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((STEPS, SENSORS)),
            layers.Conv1D(16, 9, padding="same", activation="relu"),
            layers.Conv1D(16, 9, padding="same", activation="relu"),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.005), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description="Train from files that hold a sample together with its label.")
    parser.add_argument("--recordings", type=int, default=600, help="files to write (default: 600)")
    parser.add_argument("--epochs", type=int, default=5, help="passes over the training part (default: 5)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recordings-") as folder:
        write_recordings(Path(folder), options.recordings)
        training, validation = NpyFiles(folder).split(validation=0.2, seed=SEED)
        print(f"a file:   {training.spec}")
        with (
            Loader(training, 32, shuffle=True, seed=SEED, transforms=[split_label], workers=2, name="train") as train,
            Loader(validation, 32, transforms=[split_label], workers=1, name="validation") as val,
        ):
            print(f"a sample: {train.spec}")
            keras.utils.set_random_seed(SEED)
            build_model().fit(train, validation_data=val, epochs=options.epochs, verbose=2)


if __name__ == "__main__":
    main()
