"""Train on pictures whose targets, three numbers each, stand in a CSV.

The CSV has a line per picture, with columns in any order and some that nobody needs. `label_columns=` names those that make the target, one float32
vector per sample: where a disc lies in the picture and how large it is. Pictures of one camera are kept on one side of the split, as pictures of one
patient would be. Takes 15 s on two cores.

    python examples/csv_targets.py --pictures 1500
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
from pathlib import Path

import cv2
import numpy as np

from loader import ByteFiles, Loader, decode
from loader import transforms as T

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras

SIZE = 32
CAMERAS = 30
TARGETS = ["row", "column", "radius"]
SEED = 7


def write_pictures(folder: Path, count: int) -> Path:
    """Write `cam <camera>/<number>.png`, and a CSV that says what is in them; return its path."""
    rng = np.random.default_rng(SEED)
    for camera in range(CAMERAS):
        (folder / f"cam {camera:02d}").mkdir()
    with (folder / "discs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["camera", "column", "file", "radius", "row", "remark"])
        for number in range(count):
            camera, (row, column), radius = number % CAMERAS, rng.integers(8, SIZE - 8, 2), int(rng.integers(3, 8))
            picture = rng.integers(0, 60, (SIZE, SIZE), np.uint8)
            cv2.circle(picture, (int(column), int(row)), radius, 200, -1)
            name = f"cam {camera:02d}/{number:05d}.png"
            cv2.imwrite(str(folder / name), picture)
            writer.writerow([camera, round(column / SIZE, 4), name, round(radius / 8, 4), round(row / SIZE, 4), "bright, round"])
    return folder / "discs.csv"


def build_model() -> keras.Model:
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((SIZE, SIZE, 1)),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(len(TARGETS)),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "mse", metrics=["mae"])
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description="Train on pictures whose targets stand in a CSV.")
    parser.add_argument("--pictures", type=int, default=1500, help="pictures to make, about a fifth of them for validation (default: 1500)")
    parser.add_argument("--epochs", type=int, default=10, help="passes over the training part (default: 10)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="discs-") as folder:
        table = write_pictures(Path(folder), options.pictures)
        source = ByteFiles.from_manifest(table, path_column="file", label_columns=TARGETS, decode=decode.image(mode="L"))
        training, validation = source.split(validation=0.2, groups=lambda name: name.split("/")[0])
        print(f"{len(training)} pictures for training, {len(validation)} for validation; a sample: {source.spec}")
        steps = [T.Rescale(1 / 255)]
        with (
            Loader(training, 32, shuffle=True, seed=SEED, transforms=steps, workers=1, name="train") as train,
            Loader(validation, 32, transforms=steps, workers=1, name="validation") as val,
        ):
            keras.utils.set_random_seed(SEED)
            build_model().fit(train, validation_data=val, epochs=options.epochs, verbose=2)


if __name__ == "__main__":
    main()
