"""What only TensorFlow has: datasets, strategies, whole epochs in one function, TensorBoard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.frameworks.conftest import PREAMBLE

Run = Callable[..., str]
pytestmark = pytest.mark.parametrize("keras_script", ["tensorflow"], indirect=True)


def test_a_tf_dataset_of_the_loader_repeats_and_trains(keras_script: Run) -> None:
    keras_script(
        """
x, y = separable(100)
loader = Loader(NpyArrays({"x": x}, y), 32, shuffle=True, seed=1, workers=2, transforms=[T.OneHot(2)])
plain = Loader(NpyArrays({"x": x}, y), 32, shuffle=True, seed=1, workers=0, transforms=[T.OneHot(2)])
dataset = loader.as_tf_dataset()
assert dataset.cardinality() == 4
for epoch in range(2):
    got = [(a["x"].numpy(), b.numpy()) for a, b in dataset]
    want = [(a["x"], b) for a, b in plain]
    assert len(got) == 4 and all(np.array_equal(g, w) for one, other in zip(got, want) for g, w in zip(one, other))
assert sum(1 for _ in dataset.repeat(3)) == 12
model = keras.Sequential([keras.layers.Input((6,)), keras.layers.Dense(2)])
model.compile("adam", "mse")
history = model.fit(dataset.map(lambda a, b: (a["x"], b)).repeat(), steps_per_epoch=4, epochs=2, verbose=0)
assert len(history.epoch) == 2
"""
    )


def test_a_dataset_of_every_dtype_has_the_same_values(keras_script: Run) -> None:
    keras_script(
        """
import tensorflow as tf
x = np.arange(24).reshape(12, 2)
for dtype in ("bool", "uint8", "int64", "float16", "bfloat16", "complex64"):
    loader = Loader(NpyArrays(x), 4, transforms=[T.Cast(dtype)], workers=2)
    got = [batch for (batch,) in loader.as_tf_dataset()]
    assert {batch.dtype.name for batch in got} == {dtype}
    assert np.array_equal(tf.concat(got, 0).numpy(), x.astype(got[0].numpy().dtype)), dtype
"""
    )


@pytest.mark.parametrize("prefetch", [0, 2, 5])
def test_a_whole_epoch_in_one_function_ends(prefetch: int, keras_script: Run) -> None:
    """There TensorFlow lets go of arrays only when it is made to; two slots are all there is."""
    keras_script(
        f"""
import tensorflow as tf
big = np.arange(40 * 100_000, dtype="float32").reshape(40, 100_000)
loader = Loader(NpyArrays(big), 2, workers=2, slots=2)
dataset = loader.as_tf_dataset()
if {prefetch}:
    dataset = dataset.prefetch({prefetch}).map(lambda x: x).prefetch({prefetch})

@tf.function
def epoch(batches):
    total = tf.constant(0.0)
    for (x,) in batches.map(lambda x: (x,)):
        total += x[0, 0]
    return total

for _ in range(3):
    assert float(epoch(dataset)) == float(big[::2, 0].sum())
""",
        timeout=60,
    )


def test_a_loader_may_go_before_its_dataset(keras_script: Run) -> None:
    """TensorFlow keeps the function behind a dataset for ever; it must not keep the processes."""
    keras_script(
        """
loader = Loader(NpyArrays(np.arange(40)), 4, workers=2)
dataset = loader.as_tf_dataset()
assert sum(1 for _ in dataset) == 10
del loader
gc.collect()
try:
    list(dataset)
except Exception as error:
    assert "keep a reference" in str(error), error
else:
    raise SystemExit("batches from nowhere")
"""
    )


def test_tensorboard_with_histograms_takes_a_loader_as_validation_data(keras_script: Run) -> None:
    keras_script(
        """
import tempfile, pathlib
train, val = Loader(NpyArrays(*separable()), 32, workers=2), Loader(NpyArrays(*separable(64, 1)), 32, workers=1)
with tempfile.TemporaryDirectory() as folder:
    board = keras.callbacks.TensorBoard(folder, histogram_freq=1, write_graph=False, update_freq="batch")
    no_warnings()
    classifier().fit(train, validation_data=val, epochs=2, verbose=0, callbacks=[board, count := Batches()])
    assert count.steps == [10, 10] and count.validations == 4
    assert {path.parent.name for path in pathlib.Path(folder).rglob("events*")} == {"train", "validation"}
"""
    )


def test_the_report_is_in_what_tensorboard_shows(keras_script: Run) -> None:
    keras_script(
        """
import tempfile, pathlib
train, val = Loader(NpyArrays(*separable()), 32, workers=1), Loader(NpyArrays(*separable(64, 1)), 32, workers=0)
with tempfile.TemporaryDirectory() as folder:
    board = keras.callbacks.TensorBoard(folder, write_graph=False)
    no_warnings()
    reports = [train.report_callback(), val.report_callback()]
    classifier().fit(train, validation_data=val, epochs=2, verbose=0, callbacks=[*reports, board])
    for part in "train", "validation":
        (events,) = (pathlib.Path(folder) / part).glob("events*")
        assert events.read_bytes().count(b"epoch_loader_wait") >= 2, part
"""
    )


STRATEGY = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
x, y = separable()
make = lambda workers: Loader(NpyArrays(x, y), 32, shuffle=True, seed=4, workers=workers)
for as_dataset in (False, True):
    with strategy.scope():
        model = classifier()
        alone = classifier()
        loader, val = make(2), Loader(NpyArrays(x, y), 32, workers=1)
        given, validation = (loader.as_tf_dataset(), val.as_tf_dataset()) if as_dataset else (loader, val)
        count = Batches()
        model.fit(given, validation_data=validation, epochs=2, verbose=0, callbacks=[count])
        assert count.steps == [10, 10] and count.validations == 20, (count.steps, count.validations)
        reference = Loader(NpyArrays(x, y), 32, shuffle=True, seed=4, workers=0)
        whole = tf.data.Dataset.from_generator(lambda: (batch for _ in range(2) for batch in reference), output_signature=(
            tf.TensorSpec((32, 6), tf.float32), tf.TensorSpec((32,), tf.int32)))
        alone.fit(whole, epochs=1, steps_per_epoch=20, verbose=0)
        assert_same_weights(model, alone)
        model.fit(given, steps_per_epoch=4, epochs=3, verbose=0, callbacks=[count := Batches()])
"""


@pytest.mark.thorough
def test_a_mirrored_strategy_on_two_devices_trains_on_the_same_batches(keras_script: Run, forked_script: Any) -> None:
    """Logical devices can only be made before anything has run, so this has a process of its own."""
    result = forked_script(PREAMBLE + STRATEGY, timeout=100)
    assert result.returncode == 0, result.stderr


def test_keras_may_be_imported_after_a_loader_was_made(keras_script: Run, run_script: Any) -> None:
    script = """
from loader import Loader, NpyArrays
import numpy as np
loader = Loader(NpyArrays(np.zeros((8, 2))), 4, workers=1)
import keras
model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
assert model.predict(loader, verbose=0).shape == (8, 1)
assert type(loader) is Loader and isinstance(loader, Loader)
"""
    result = run_script(script, env={"KERAS_BACKEND": "jax"}, timeout=100)  # which is imported in half the time
    assert result.returncode == 0, result.stderr
