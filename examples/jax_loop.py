"""Train in plain JAX: a jitted step that takes the loader's numpy batches as they are.

Three spirals of points in the plane, and a network of two hidden layers that learns which one a point belongs to; no Keras, no optimizer library.
All training batches have one shape (`drop_last=True`), so that `jax.jit` compiles the step once. Takes 5 s on two cores.

    python examples/jax_loop.py --points 12000
"""

from __future__ import annotations

import argparse

import jax
import jax.numpy as jnp
import numpy as np

from loader import Loader, NpyArrays
from loader import transforms as T

CLASSES = 3
SEED = 7

Layers = list[tuple[jax.Array, jax.Array]]


def make_spirals(count: int) -> NpyArrays:
    """Return samples `(x, y)`: a point, float32 of shape (2,), and the number of its spiral."""
    rng = np.random.default_rng(SEED)
    spiral = rng.integers(CLASSES, size=count)
    radius = rng.uniform(0.1, 1, count)
    angle = 5 * radius + 2 * np.pi * spiral / CLASSES + rng.normal(0, 0.3, count)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return NpyArrays(points.astype(np.float32), y=spiral.astype(np.int32))


def new_layers(sizes: list[int]) -> Layers:
    keys = jax.random.split(jax.random.PRNGKey(SEED), len(sizes) - 1)
    return [
        (jax.random.normal(key, (rows, columns)) * jnp.sqrt(2 / rows), jnp.zeros(columns))
        for key, rows, columns in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]


@jax.jit
def predict(layers: Layers, x: jax.Array) -> jax.Array:
    """Return the logarithm of the probability of each class."""
    for weights, bias in layers[:-1]:
        x = jax.nn.relu(x @ weights + bias)
    weights, bias = layers[-1]
    return jax.nn.log_softmax(x @ weights + bias)


def loss_of(layers: Layers, x: jax.Array, y: jax.Array) -> jax.Array:
    return -jnp.mean(jnp.sum(predict(layers, x) * y, axis=1))


@jax.jit
def train_step(layers: Layers, velocity: Layers, x: jax.Array, y: jax.Array) -> tuple[Layers, Layers, jax.Array]:
    """Take one step of gradient descent with momentum; return the new state and the loss."""
    loss, gradient = jax.value_and_grad(loss_of)(layers, x, y)
    velocity = jax.tree.map(lambda v, g: 0.9 * v - 0.05 * g, velocity, gradient)
    return jax.tree.map(jnp.add, layers, velocity), velocity, loss


def main() -> None:
    parser = argparse.ArgumentParser(description="Train in plain JAX, with a jitted step over numpy batches.")
    parser.add_argument("--points", type=int, default=12_000, help="points to make, a fifth of them for validation (default: 12000)")
    parser.add_argument("--epochs", type=int, default=6, help="passes over the training part (default: 6)")
    options = parser.parse_args()
    training, validation = make_spirals(options.points).split(validation=0.2, seed=SEED)
    layers = new_layers([2, 64, 64, CLASSES])
    velocity = jax.tree.map(jnp.zeros_like, layers)
    one_hot = [T.OneHot(CLASSES)]
    with (
        Loader(training, 64, shuffle=True, seed=SEED, drop_last=True, transforms=one_hot, workers=2, name="train") as train,
        Loader(validation, 64, transforms=one_hot, workers=1, name="validation") as val,
    ):
        for epoch in range(options.epochs):
            for x, y in train:
                layers, velocity, loss = train_step(layers, velocity, x, y)
            right = np.concatenate([np.asarray(predict(layers, x)).argmax(1) == y.argmax(1) for x, y in val])
            print(f"epoch {epoch + 1}: loss: {loss:.4f} - val_accuracy: {right.mean():.4f}", flush=True)


if __name__ == "__main__":
    main()
