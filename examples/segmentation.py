"""Train a segmentation network on a folder of images and a folder of masks, paired by file name, and flipped together.

`Zip` takes x from one source and y from another. Parts that belong together have the same ID: the path below the folder, without extension.
Some images have no mask yet, and are left out first. `T.Flip` with both fields mirrors an image and its mask, or neither. Takes 10 s on two cores.

    python examples/segmentation.py --images 600
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np

from loader import Loader, NpyFiles, Zip
from loader import transforms as T

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras

SIZE = 32
SEED = 7


def write_discs(folder: Path, count: int) -> None:
    """Write `images/<number>.npy`, uint8 of shape (32, 32, 1), a faint disc under noise, and `masks/<number>.npy`, where it is, bool."""
    for name in ("images", "masks"):
        (folder / name).mkdir()
    rng = np.random.default_rng(SEED)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    for number in range(count):
        radius, (row, column) = rng.integers(4, 9), rng.integers(4, SIZE - 4, 2)
        mask = ((rows - row) ** 2 + (columns - column) ** 2 <= radius**2)[..., None]
        np.save(folder / "images" / f"{number:04d}.npy", (rng.integers(0, 150, mask.shape) + 70 * mask).astype(np.uint8))
        if number % 50:  # every fiftieth image waits for its mask
            np.save(folder / "masks" / f"{number:04d}.npy", mask)


def build_model() -> keras.Model:
    layers = keras.layers
    model = keras.Sequential([layers.Input((SIZE, SIZE, 1))])
    for filters, dilation in ((8, 1), (8, 2), (8, 1)):
        model.add(layers.Conv2D(filters, 5, padding="same", dilation_rate=dilation, activation="relu"))
    model.add(layers.Conv2D(1, 1, activation="sigmoid"))
    overlap = keras.metrics.BinaryIoU(target_class_ids=[1], name="iou")
    model.compile(keras.optimizers.Adam(0.005), "binary_crossentropy", metrics=[overlap])
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a segmentation network on images and masks that are paired by file name.")
    parser.add_argument("--images", type=int, default=600, help="images to write (default: 600)")
    parser.add_argument("--epochs", type=int, default=8, help="passes over the training part (default: 8)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="discs-") as temporary:
        folder = Path(temporary)
        write_discs(folder, options.images)
        images, masks = NpyFiles(folder / "images"), NpyFiles(folder / "masks")
        have_masks = images.subset(np.isin(images.ids(), masks.ids()))
        pairs = Zip(have_masks, y=masks)
        print(f"{len(images)} images, {len(masks)} masks, {len(pairs)} pairs of {pairs.spec}")
        training, validation = pairs.split(validation=0.2, seed=SEED)
        steps = [T.Rescale(1 / 255), T.Cast("float32", fields="y")]
        flips = [T.Flip("horizontal", fields=("x", "y")), T.Flip("vertical", fields=("x", "y"))]
        with (
            Loader(training, 16, shuffle=True, seed=SEED, transforms=[*flips, *steps], workers=2, name="train") as train,
            Loader(validation, 16, transforms=steps, workers=1, name="validation") as val,
        ):
            keras.utils.set_random_seed(SEED)
            build_model().fit(train, validation_data=val, epochs=options.epochs, verbose=2)


if __name__ == "__main__":
    main()
