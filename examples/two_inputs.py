"""Train a model with two inputs, an image and a row of a table, with a weight for each sample.

x is a dict whose keys are the names of the model's inputs, y the label, and the third part of a sample is its weight. The label needs both
inputs: which way the bar in the image goes, and the sign of the table's first column. A fifth of the training labels are guesses of a careless
annotator: they have the weight 0.02, so they count little in the loss and in the weighted accuracy. Takes 10 s on two cores.

    python examples/two_inputs.py --samples 4000
"""

from __future__ import annotations

import argparse
import os

import numpy as np

from loader import Loader, NpyArrays
from loader import transforms as T

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras

SIZE = 16
COLUMNS = 5
CLASSES = 4
SEED = 7


def make_source(count: int) -> NpyArrays:
    """Return samples `({"image": (16, 16, 1) uint8, "table": (5,) float32}, label, weight)`; paths of `.npy` files would do as well."""
    rng = np.random.default_rng(SEED)
    image = rng.integers(0, 120, (count, SIZE, SIZE, 1), np.uint8)
    table = rng.normal(0, 1, (count, COLUMNS)).astype(np.float32)
    upright = rng.integers(2, size=count)
    for number, place in enumerate(rng.integers(SIZE, size=count)):
        if upright[number]:
            image[number, :, place] += 130
        else:
            image[number, place] += 130
    label = upright * 2 + (table[:, 0] > 0)
    guessed = rng.random(count) < 0.2
    label[guessed] = rng.integers(CLASSES, size=guessed.sum())
    return NpyArrays({"image": image, "table": table}, y=label.astype(np.int32), sample_weight=np.where(guessed, 0.02, 1).astype(np.float32))


def build_model() -> keras.Model:
    """Return a model whose inputs have the names of the keys of x."""
    layers = keras.layers
    image = layers.Input((SIZE, SIZE, 1), name="image")
    table = layers.Input((COLUMNS,), name="table")
    seen = layers.Conv2D(8, 5, activation="relu")(image)
    seen = layers.GlobalMaxPooling2D()(seen)
    both = layers.Concatenate()([seen, table])
    both = layers.Dense(32, activation="relu")(both)
    model = keras.Model({"image": image, "table": table}, layers.Dense(CLASSES, activation="softmax")(both))
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a model with two inputs and sample weights.")
    parser.add_argument("--samples", type=int, default=4000, help="samples to make, a fifth of them for validation (default: 4000)")
    parser.add_argument("--epochs", type=int, default=5, help="passes over the training part (default: 5)")
    options = parser.parse_args()
    training, validation = make_source(options.samples).split(validation=0.2, seed=SEED)
    steps = [T.Rescale(1 / 255, fields="image")]
    with (
        Loader(training, 32, shuffle=True, seed=SEED, transforms=steps, workers=2, name="train") as train,
        Loader(validation, 32, transforms=steps, workers=1, name="validation") as val,
    ):
        print(f"batches: {train.spec}")
        keras.utils.set_random_seed(SEED)
        build_model().fit(train, validation_data=val, epochs=options.epochs, verbose=2)


if __name__ == "__main__":
    main()
