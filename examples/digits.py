"""Train a small convolutional network on handwritten digits, one `.npy` file each.

scikit-learn includes 1,797 digits as images of 8 × 8. They are written to `DATA/train/<class>/` and `DATA/val/<class>/`, the layout that
`NpyFiles.from_folder` reads, and come back as shuffled batches made by worker processes. Takes 15 s on two cores.

    python examples/digits.py --epochs 12 --workers 2
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from loader import Loader, NpyFiles
from loader import transforms as T

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras

SEED = 7


def write_digits(folder: Path) -> None:
    """Write every digit as `<folder>/<train or val>/<class>/<number>.npy`, uint8 of shape (8, 8, 1) with values from 0 to 16."""
    digits = load_digits()
    images = digits.images.astype(np.uint8)[..., None]
    split = train_test_split(np.arange(len(images)), test_size=0.2, stratify=digits.target, random_state=SEED)
    started = time.perf_counter()
    for part, numbers in zip(("train", "val"), split, strict=True):
        for number in numbers:
            target = folder / part / str(digits.target[number])
            target.mkdir(parents=True, exist_ok=True)
            np.save(target / f"{number:04d}.npy", images[number])
    counts = " + ".join(str(len(numbers)) for numbers in split)
    print(f"wrote {counts} files under {folder} in {time.perf_counter() - started:.1f} s", flush=True)


def build_model(steps: int) -> keras.Model:
    """Return a compiled network of 39,000 weights; `steps` is the number of batches that it will be trained on."""
    layers = keras.layers
    model = keras.Sequential([layers.Input((8, 8, 1))])
    for filters in (32, 32):
        model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        model.add(layers.BatchNormalization(momentum=0.9))
    model.add(layers.MaxPooling2D())
    model.add(layers.Conv2D(64, 3, padding="same", activation="relu"))
    model.add(layers.BatchNormalization(momentum=0.9))
    model.add(layers.Flatten())
    model.add(layers.Dropout(0.4))
    model.add(layers.Dense(10, activation="softmax"))
    rate = keras.optimizers.schedules.CosineDecay(2e-3, steps)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def fit_digits(folder: Path, epochs: int, workers: int | str, batch_size: int) -> None:
    """Train on `folder/train`, validate on `folder/val`, and print who waited for whom."""
    training, validation = NpyFiles.from_folder(folder / "train"), NpyFiles.from_folder(folder / "val")
    scale = [T.Rescale(1 / 16)]
    with (
        Loader(training, batch_size, shuffle=True, seed=SEED, transforms=scale, workers=workers, name="train") as train,
        Loader(validation, batch_size, transforms=scale, workers=0 if workers == 0 else 1, name="val") as val,
    ):
        keras.utils.set_random_seed(SEED)
        report = [train.report_callback()]  # loader_wait and samples_per_s, beside the loss
        build_model(epochs * len(train)).fit(train, validation_data=val, epochs=epochs, verbose=2, callbacks=report)
        print(train.stats())


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a small convolutional network on handwritten digits, fed by the loader.")
    parser.add_argument("--epochs", type=int, default=12, help="passes over the training files (default: 12)")
    parser.add_argument("--workers", type=worker_count, default="auto", help="worker processes; 0 runs without any (default: auto, one per core)")
    parser.add_argument("--batch-size", type=int, default=32, help="samples per batch (default: 32)")
    parser.add_argument("--data", type=Path, help="folder to write the files to, and to keep (default: a temporary one)")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = options.data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="digits-")))
        write_digits(folder)
        fit_digits(folder, options.epochs, options.workers, options.batch_size)


def worker_count(text: str) -> int | str:
    """Return `text` as a setting of `workers`."""
    return text if text == "auto" else int(text)


if __name__ == "__main__":
    main()
