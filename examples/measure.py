"""Find the number of workers for a slow store, and which side limits training.

The store answers after 8 ms, like one behind a network, and serves any number of readers at once. So one worker is far too slow, and more of them
help even on two cores. Run by itself, the script trains for a few seconds.

    python examples/measure.py --epochs 4
    loader tune examples/measure.py:make_loader
    loader bench examples/measure.py:make_loader --model examples/measure.py:make_model
"""

from __future__ import annotations

import argparse
import os
import time

import numpy as np

from loader import Loader, MapSource
from loader import transforms as T

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ANSWER_S = 0.008
SIZE = 32
CLASSES = 4


class Store:
    """1,000 images: noise, brighter by the number of their class."""

    def __len__(self) -> int:
        return 1000

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        time.sleep(ANSWER_S)
        label = index % CLASSES
        return np.random.default_rng(index).integers(50 * label, 50 * label + 90, (SIZE, SIZE, 3)).astype(np.uint8), label


def make_loader() -> Loader:
    return Loader(MapSource(Store()), 32, shuffle=True, seed=1, transforms=[T.Rescale(1 / 255)], name="measured")


def make_model() -> object:
    import keras

    keras.utils.set_random_seed(1)
    layers = keras.layers
    model = keras.Sequential(
        [layers.Input((SIZE, SIZE, 3)), layers.Conv2D(8, 3, activation="relu"), layers.GlobalAveragePooling2D(), layers.Dense(CLASSES)]
    )
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description="Train on a store that answers late, and say who waited for whom.")
    parser.add_argument("--epochs", type=int, default=4, help="passes over the store (default: 4)")
    options = parser.parse_args()
    with make_loader() as loader:
        make_model().fit(loader, epochs=options.epochs, verbose=2)
        print(loader.stats())


if __name__ == "__main__":
    main()
