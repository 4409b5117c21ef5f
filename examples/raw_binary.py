"""Train from binary files without a header, as cameras, simulations and programs in C write them.

`frames.bin` holds 6,000 records of 24 × 24 float32 after a header of 64 bytes; `labels.bin` has one byte for each. Nothing is converted: the file is
mapped, and a record is copied once, into its batch. Takes 8 s on two cores.

    python examples/raw_binary.py --frames 6000
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np

from loader import DecodeError, Loader, NpyArrays, RawArray

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras

SIZE = 24
HEADER_BYTES = 64
SEED = 7


def write_frames(folder: Path, frames: int) -> None:
    """Write frames of a bright spot under noise, and the quarter of the frame that it is in."""
    rng = np.random.default_rng(SEED)
    quarter = rng.integers(4, size=frames, dtype=np.uint8)
    centre = (SIZE // 4 + np.stack([quarter // 2, quarter % 2]) * SIZE // 2)[..., None, None] + rng.uniform(-3, 3, (2, frames, 1, 1))
    rows, columns = np.mgrid[:SIZE, :SIZE]
    spots = np.exp(-((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / 8) + rng.normal(0, 0.3, (frames, SIZE, SIZE))
    with (folder / "frames.bin").open("wb") as file:
        file.write(b"camera 3".ljust(HEADER_BYTES, b"\0"))
        spots.astype(np.float32).tofile(file)
    quarter.tofile(folder / "labels.bin")


def build_model() -> keras.Model:
    """Return a small compiled convolutional network."""
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((SIZE, SIZE)),
            layers.Reshape((SIZE, SIZE, 1)),
            layers.Conv2D(8, 5, strides=2, activation="relu"),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(4, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description="Train from binary files without a header.")
    parser.add_argument("--frames", type=int, default=6_000, help="records to write (default: 6000)")
    parser.add_argument("--epochs", type=int, default=3, help="passes over the training part (default: 3)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="frames-") as temporary:
        folder = Path(temporary)
        write_frames(folder, options.frames)
        try:
            RawArray(folder / "frames.bin", "float32", (SIZE, SIZE))
        except DecodeError as error:
            print(f"without offset=: {error}", flush=True)  # does the arithmetic
        frames = RawArray(folder / "frames.bin", "float32", (SIZE, SIZE), offset=HEADER_BYTES)
        labels = RawArray(folder / "labels.bin", "uint8", ())
        training, validation = NpyArrays(frames, labels).split(validation=0.1, seed=SEED)
        with (
            Loader(training, 64, shuffle=True, seed=SEED, name="train") as train,
            Loader(validation, 64, workers=1, name="val") as val,
        ):
            keras.utils.set_random_seed(SEED)
            build_model().fit(train, validation_data=val, epochs=options.epochs, verbose=2)
            print(train.stats())


if __name__ == "__main__":
    main()
