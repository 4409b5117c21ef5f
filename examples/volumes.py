"""Train on volumes of 32 × 32 × 32, one `.npy` file per ID, with a dict of labels and a dict of partitions.

The data is laid out as for a hand-written `DataGenerator(list_IDs, labels, batch_size, dim, n_channels, n_classes, shuffle)`, but no generator
is needed: docs/from_data_generator.md shows how to replace one. Each volume holds a rod along one of its three axes, under
noise, and the network learns which axis. Takes 10 s on two cores.

    python examples/volumes.py --volumes 480
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np

from loader import Loader, NpyFiles
from loader import transforms as T

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras

SIZE = 32
CLASSES = 3
SEED = 7


def write_volumes(folder: Path, count: int) -> tuple[dict[str, list[str]], dict[str, int]]:
    """Write `<folder>/id-<number>.npy`, float32 of shape (32, 32, 32); return the partition of the IDs and the labels by ID."""
    rng = np.random.default_rng(SEED)
    labels = {f"id-{number:04d}": int(rng.integers(CLASSES)) for number in range(count)}
    for name, axis in labels.items():
        volume = rng.normal(0, 0.3, (SIZE, SIZE, SIZE)).astype(np.float32)
        row, column = rng.integers(2, SIZE - 4, 2)
        np.moveaxis(volume, axis, 0)[:, row : row + 3, column : column + 3] += 1
        np.save(folder / f"{name}.npy", volume)
    names = list(labels)
    return {"train": names[: count * 3 // 4], "validation": names[count * 3 // 4 :]}, labels


def add_channel(sample: tuple, rng: np.random.Generator) -> tuple:
    """Add the channel axis that Conv3D needs to a volume."""
    x, y = sample
    return x[..., None], y


def build_model() -> keras.Model:
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((SIZE, SIZE, SIZE, 1)),
            layers.AveragePooling3D(2),  # rather than strides, whose gradient TensorFlow computes a hundred times slower without oneDNN
            layers.Conv3D(8, 3, activation="relu"),
            layers.GlobalMaxPooling3D(),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description="Train on volumes by ID, with a dict of labels and a dict of partitions.")
    parser.add_argument("--volumes", type=int, default=480, help="files to write, a quarter of them for validation (default: 480)")
    parser.add_argument("--epochs", type=int, default=4, help="passes over the training part (default: 4)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="volumes-") as folder:
        partition, labels = write_volumes(Path(folder), options.volumes)
        training = NpyFiles(partition["train"], labels=labels, root=folder)
        validation = NpyFiles(partition["validation"], labels=labels, root=folder)
        steps = [add_channel, T.OneHot(CLASSES)]
        with (
            Loader(training, 16, shuffle=True, seed=SEED, transforms=steps, workers=2, name="train") as train,
            Loader(validation, 16, transforms=steps, workers=1, name="validation") as val,
        ):
            print(f"batches: {train.spec}")
            keras.utils.set_random_seed(SEED)
            build_model().fit(train, validation_data=val, epochs=options.epochs, verbose=2)


if __name__ == "__main__":
    main()
