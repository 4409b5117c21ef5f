"""Train from an HDF5 file that has images in one dataset and their labels in another.

3,000 images of 24 × 24 are written to `data.h5`: a bright square, circle or cross somewhere under noise, each image a compressed chunk of its own.
The script opens the file to say what is in it; each worker opens it again, and reads one image at a time. Takes 10 s on two cores.

    python examples/hdf5.py --samples 3000
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import h5py
import numpy as np

from loader import Loader, MapSource, Zip
from loader import transforms as T

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras

SIZE = 24
SHAPES = ("square", "circle", "cross")
SEED = 7


def draw(label: int, rng: np.random.Generator) -> np.ndarray:
    """Return an image, uint8 of shape (24, 24, 1), of a shape that lies anywhere in it."""
    rows, columns = np.mgrid[:SIZE, :SIZE] - rng.integers(6, SIZE - 6, (2, 1, 1))
    inside = (
        np.maximum(abs(rows), abs(columns)) <= 4,
        rows**2 + columns**2 <= 12,
        (np.minimum(abs(rows), abs(columns)) <= 1) & (np.maximum(abs(rows), abs(columns)) <= 5),
    )[label]
    return (inside * 120 + rng.integers(0, 100, (SIZE, SIZE)))[..., None].astype(np.uint8)


def write(path: Path, samples: int) -> None:
    """Write `images`, a chunk for each, and `shapes/labels`."""
    rng = np.random.default_rng(SEED)
    labels = rng.integers(len(SHAPES), size=samples, dtype=np.int32)
    with h5py.File(path, "w") as file:
        images = file.create_dataset("images", (samples, SIZE, SIZE, 1), np.uint8, chunks=(1, SIZE, SIZE, 1), compression="gzip")
        for number, label in enumerate(labels):
            images[number] = draw(label, rng)
        file["shapes/labels"] = labels


def build_model() -> keras.Model:
    """Return a small compiled convolutional network."""
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((SIZE, SIZE, 1)),
            layers.Conv2D(16, 5, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(32, 5, activation="relu"),
            layers.GlobalMaxPooling2D(),
            layers.Dense(len(SHAPES), activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description="Train from an HDF5 file.")
    parser.add_argument("--samples", type=int, default=3000, help="images to write (default: 3000)")
    parser.add_argument("--epochs", type=int, default=2, help="passes over the training part (default: 2)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hdf5-") as temporary:
        path = Path(temporary) / "data.h5"
        write(path, options.samples)
        with h5py.File(path, "r") as file:
            source = Zip(MapSource(file["images"]), y=MapSource(file["shapes/labels"]))
            print(f"{path.name}: {len(source):,} samples of {source.spec}", flush=True)
            training, validation = source.split(validation=0.1, seed=SEED)
            scale = [T.Rescale(1 / 255)]
            with (
                Loader(training, 64, shuffle=True, seed=SEED, transforms=scale, name="train") as train,
                Loader(validation, 64, transforms=scale, workers=1, name="val") as val,
            ):
                keras.utils.set_random_seed(SEED)
                build_model().fit(train, validation_data=val, epochs=options.epochs, verbose=2)
                print(train.stats())


if __name__ == "__main__":
    main()
