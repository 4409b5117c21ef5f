"""Train from one large `.npy` file that holds every sample, without ever loading it whole.

20,000 images of 28 × 28 go into `x.npy`, their classes into `y.npy`: noisy bars in eight orientations, and the network learns to tell them apart.
Rows are gathered from the mapped file in shuffled order, scaled, and written straight into the batch. Takes 10 s on two cores.

    python examples/one_large_file.py --samples 20000
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from loader import Loader, NpyArrays
from loader import transforms as T

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras

SIZE = 28
CLASSES = 8
SEED = 7


def write_bars(folder: Path, samples: int) -> None:
    """Write `x.npy`, uint8 of shape (samples, 28, 28, 1), and `y.npy`, int32 of shape (samples,), a thousand rows at a time."""
    started = time.perf_counter()
    rng = np.random.default_rng(SEED)
    labels = rng.integers(CLASSES, size=samples, dtype=np.int32)
    images = np.lib.format.open_memmap(folder / "x.npy", mode="w+", dtype=np.uint8, shape=(samples, SIZE, SIZE, 1))
    for first in range(0, samples, 1000):
        images[first : first + 1000, ..., 0] = draw_bars(labels[first : first + 1000], rng)
    images.flush()
    np.save(folder / "y.npy", labels)
    megabytes = images.nbytes / 1e6
    print(f"wrote {samples:,} images, {megabytes:.0f} MB, in {time.perf_counter() - started:.1f} s", flush=True)


def draw_bars(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return one image per label: a bright bar turned by `label × 22.5°`, moved a little from the middle, under noise."""
    angle = labels * (np.pi / CLASSES) + rng.normal(0, 0.05, len(labels))
    centre = (SIZE - 1) / 2 + rng.uniform(-4, 4, (2, len(labels)))
    rows = np.arange(SIZE)[None, :, None] - centre[0][:, None, None]
    columns = np.arange(SIZE)[None, None, :] - centre[1][:, None, None]
    distance = np.abs(columns * np.sin(angle)[:, None, None] - rows * np.cos(angle)[:, None, None])
    noise = rng.integers(0, 90, (len(labels), SIZE, SIZE))
    return (np.where(distance < 2, 150, 0) + noise).astype(np.uint8)


def build_model() -> keras.Model:
    """Return a small compiled convolutional network."""
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((SIZE, SIZE, 1)),
            layers.Conv2D(16, 5, strides=2, activation="relu"),
            layers.Conv2D(32, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description="Train from one large .npy file without loading it whole.")
    parser.add_argument("--samples", type=int, default=20_000, help="images to write (default: 20000)")
    parser.add_argument("--epochs", type=int, default=3, help="passes over the training part (default: 3)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bars-") as temporary:
        folder = Path(temporary)
        write_bars(folder, options.samples)
        training, validation = NpyArrays(folder / "x.npy", folder / "y.npy").split(validation=0.1, seed=SEED)
        scale = [T.Rescale(1 / 255)]
        with (
            Loader(training, 128, shuffle=True, seed=SEED, transforms=scale, name="train") as train,
            Loader(validation, 128, transforms=scale, workers=1, name="val") as val,
        ):
            keras.utils.set_random_seed(SEED)
            build_model().fit(train, validation_data=val, epochs=options.epochs, verbose=2)
            print(train.stats())


if __name__ == "__main__":
    main()
