"""Train a small convolutional network on JPEG and PNG files in class folders.

The pictures are drawn with OpenCV: circles, squares and triangles of any size and colour on a noisy ground, 60 to 120 pixels wide. They lie in
`DATA/<class>/`, as people have their pictures, and are decoded by the workers, all to 48 × 48. Takes 20 s on two cores.

    python examples/image_folders.py --epochs 6 --workers 2
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from loader import ByteFiles, Loader, decode
from loader import transforms as T

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras

SEED = 7
SIZE = 48
CLASSES = ("circle", "square", "triangle")


def draw(rng: np.random.Generator, shape: str) -> Any:
    """Return a picture of a shape, of a size of its own."""
    height, width = rng.integers(60, 121, 2).tolist()
    ground, colour = rng.integers(0, 110, 3), rng.integers(130, 256, 3).tolist()
    picture = (ground + rng.normal(0, 12, (height, width, 3))).clip(0, 255).astype(np.uint8)
    radius = int(min(height, width) * rng.uniform(0.22, 0.4))
    x, y = int(rng.integers(radius, width - radius)), int(rng.integers(radius, height - radius))
    if shape == "circle":
        cv2.circle(picture, (x, y), radius, colour, -1)
    elif shape == "square":
        cv2.rectangle(picture, (x - radius, y - radius), (x + radius, y + radius), colour, -1)
    else:
        corners = np.array([[x, y - radius], [x - radius, y + radius], [x + radius, y + radius]])
        cv2.fillPoly(picture, [corners], colour)
    return picture


def write_pictures(folder: Path, count: int) -> None:
    """Write pictures as `<folder>/<class>/<number>.jpg`, every fourth as `.png`."""
    rng = np.random.default_rng(SEED)
    for number in range(count):
        place = folder / CLASSES[number % len(CLASSES)]
        place.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place / f"{number:05d}{'.jpg' if number % 4 else '.png'}"), draw(rng, place.name))


def build_model() -> keras.Model:
    """Return a compiled network that tells the classes apart."""
    layers = keras.layers
    model = keras.Sequential([layers.Input((SIZE, SIZE, 3))])
    for filters in (16, 32, 32):
        model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        model.add(layers.BatchNormalization(momentum=0.9))
        model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dense(len(CLASSES), activation="softmax"))
    model.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def fit_pictures(folder: Path, epochs: int, workers: int | str) -> None:
    """Train on four fifths of the pictures, validate on the others, and print who waited for whom."""
    pictures = ByteFiles.from_folder(folder, decode=decode.image(size=SIZE))
    print(f"{pictures}: {pictures.spec}")
    training, validation = pictures.split(validation=0.2, seed=SEED, stratify=True)
    scale = T.Rescale(1 / 255)
    with (
        Loader(training, 32, shuffle=True, seed=SEED, transforms=[scale, T.Flip("horizontal")], workers=workers, name="train") as train,
        Loader(validation, 32, transforms=[scale], workers=0 if workers == 0 else 1, name="val") as val,
    ):
        keras.utils.set_random_seed(SEED)
        build_model().fit(train, validation_data=val, epochs=epochs, verbose=2)
        print(train.stats())


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a small convolutional network on pictures in class folders.")
    parser.add_argument("--epochs", type=int, default=6, help="passes over the pictures (default: 6)")
    parser.add_argument("--pictures", type=int, default=900, help="how many are drawn (default: 900)")
    parser.add_argument("--workers", type=worker_count, default="auto", help="worker processes; 0 runs without any (default: auto, one per core)")
    parser.add_argument("--data", type=Path, help="folder to draw the pictures in, and to keep (default: a temporary one)")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = options.data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pictures-")))
        write_pictures(folder, options.pictures)
        fit_pictures(folder, options.epochs, options.workers)


def worker_count(text: str) -> int | str:
    """Return `text` as a setting of `workers`."""
    return text if text == "auto" else int(text)


if __name__ == "__main__":
    main()
