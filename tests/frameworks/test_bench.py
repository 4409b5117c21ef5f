"""`loader bench` with models, on TensorFlow, JAX and PyTorch."""

from __future__ import annotations

from collections.abc import Callable

Run = Callable[..., str]


def test_a_model_is_fed_again_and_again_and_with_the_loader(keras_script: Run) -> None:
    keras_script(
        """
import time
from loader.watch.bench.bench import Bench
from loader.watch.session import MeasurementSession
from loader.watch.bench.trainee import trainee

def waits(sample, rng):
    time.sleep(0.01)
    return sample

x, y = separable(80)
loader = Loader(NpyArrays({"b": x, "a": x}, y), 32, transforms=[waits], workers=4)  # an epoch: two batches, and rows that make no third
loader.close()
inputs = {name: keras.layers.Input((6,), name=name) for name in "ab"}
model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Concatenate()([inputs["a"], inputs["b"]])))
model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
bench = Bench()
with MeasurementSession("bench") as session:
    bench.run(loader, trainee(model, "model"), 0.3, session)
assert 0 < bench.loader.rate < 600, bench
assert bench.model.batches >= 1 and bench.together.batches >= 1, bench
assert bench.together.wait > 0 and bench.together.workers == 4, bench
assert bench.words(), bench
"""
    )


def test_a_model_that_is_not_compiled_is_refused(keras_script: Run) -> None:
    keras_script(
        """
import click
from loader.watch.bench.trainee import trainee
try:
    trainee(keras.Sequential([keras.layers.Dense(2)]), "model")
except click.UsageError as error:
    assert "model.compile" in str(error)
else:
    raise AssertionError("it was taken")
"""
    )
