"""Predict a flat folder of pictures to a CSV: a line per file, with its path, its class and the score.

A network learns from pictures whose names say their class, `horizontal_0001.png`, and then predicts a folder of pictures that it knows nothing about.
Row k of the predictions belongs to `source.paths[k]`. A file of another kind lies in that folder too; it is skipped. Takes 10 s on two cores.

    python examples/predict_folder.py --pictures 200
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
CLASSES = ("horizontal", "vertical")
SEED = 7


def draw(path: Path, kind: str, rng: np.random.Generator) -> None:
    """Write a picture of a bar under noise, 48 pixels wide and high."""
    picture = rng.integers(0, 100, (48, 48), np.uint8)
    place = int(rng.integers(4, 40))
    bar = (slice(place, place + 4), slice(None)) if kind == "horizontal" else (slice(None), slice(place, place + 4))
    picture[bar] += 120
    cv2.imwrite(str(path), picture)


def write_pictures(folder: Path, count: int) -> list[str]:
    """Write `labelled/<class>_<number>.png` to learn from, and `incoming/<number>.png` to predict; return the classes of the latter."""
    rng = np.random.default_rng(SEED)
    for name in ("labelled", "incoming"):
        (folder / name).mkdir()
    for number in range(2 * count):
        kind = CLASSES[number % 2]
        draw(folder / "labelled" / f"{kind}_{number:04d}.png", kind, rng)
    truth = [str(kind) for kind in rng.choice(CLASSES, count)]
    for number, kind in enumerate(truth):
        draw(folder / "incoming" / f"{number:04d}.png", kind, rng)
    (folder / "incoming" / "notes.txt").write_text("from the second camera\n")
    return truth


def build_model() -> keras.Model:
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((SIZE, SIZE, 1)),
            layers.Conv2D(8, 5, activation="relu"),
            layers.GlobalMaxPooling2D(),
            layers.Dense(len(CLASSES), activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description="Predict a flat folder of pictures to a CSV.")
    parser.add_argument("--pictures", type=int, default=200, help="pictures to predict; twice as many to learn from (default: 200)")
    parser.add_argument("--epochs", type=int, default=6, help="passes over the pictures to learn from (default: 6)")
    parser.add_argument("--output", type=Path, default=Path("predictions.csv"), help="CSV to write (default: predictions.csv)")
    options = parser.parse_args()
    picture, steps = decode.image(size=(SIZE, SIZE), mode="L"), [T.Rescale(1 / 255)]
    with tempfile.TemporaryDirectory(prefix="pictures-") as folder:
        truth = write_pictures(Path(folder), options.pictures)
        labelled = ByteFiles(Path(folder) / "labelled", label=r"^([a-z]+)_", decode=picture)
        incoming = ByteFiles(Path(folder) / "incoming", decode=picture)
        with (
            Loader(labelled, 32, shuffle=True, seed=SEED, transforms=steps, workers=1, name="train") as train,
            Loader(incoming, 32, transforms=steps, workers=1, name="incoming") as batches,
        ):
            keras.utils.set_random_seed(SEED)
            model = build_model()
            model.fit(train, epochs=options.epochs, verbose=2)
            scores = model.predict(batches, verbose=0)
    with options.output.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "class", "score"])
        for path, row in zip(incoming.paths, scores, strict=True):
            writer.writerow([path, labelled.classes[int(row.argmax())], f"{row.max():.3f}"])
    right = np.mean([labelled.classes[number] == kind for number, kind in zip(scores.argmax(1), truth, strict=True)])
    print(f"{len(scores)} predictions in {options.output}, accuracy: {right:.3f}")


if __name__ == "__main__":
    main()
