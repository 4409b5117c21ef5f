"""Keras on TensorFlow takes a Loader as it takes its own kinds of data. Each script is a process of its own, as users run it."""

from __future__ import annotations

import pytest

PREAMBLE = """
import os, re, warnings
import numpy as np
from loader import Loader, MapSource, NpyArrays, NpyFiles, ConfigError, transforms as T

def separable(n=320, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6)).astype("float32")
    return x, (x[:, 0] > 0).astype("int32")

def classifier(keras, **compile_more):
    model = keras.Sequential([keras.layers.Input((6,)), keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.05), loss, metrics=["accuracy"], **compile_more)
    return model

def in_arena(address):
    for line in open("/proc/self/maps"):
        if "memfd:loader:arena" in line:
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            if start <= address < end:
                return True
    return False
"""


def run(run_script, script: str, timeout: float = 90) -> str:
    result = run_script(PREAMBLE + script, timeout=timeout)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_fit_evaluate_and_predict_see_every_batch_once(run_script) -> None:
    run(
        run_script,
        """
import keras
x, y = separable()
train = Loader(NpyArrays(x, y), 32, shuffle=True, seed=3, workers=2)
val = Loader(NpyArrays(*separable(100, seed=1)), 32, workers=1)
model = classifier(keras)

class Count(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.steps, self.validations = [], 0
        assert self.params["steps"] == 10, self.params
    def on_epoch_begin(self, epoch, logs=None):
        self.steps.append(0)
    def on_train_batch_end(self, batch, logs=None):
        self.steps[-1] += 1
    def on_test_batch_end(self, batch, logs=None):
        self.validations += 1

count = Count()
with warnings.catch_warnings():
    warnings.simplefilter("error")
    history = model.fit(train, validation_data=val, epochs=4, verbose=0, callbacks=[count])
    assert count.steps == [10] * 4 and count.validations == 4 * 4
    assert train.stats().batches_delivered == 40, train.stats()
    assert history.history["val_accuracy"][-1] > 0.9, history.history
    model.fit(train, epochs=2, verbose=0, callbacks=[count])  # again, the same object
    assert count.steps == [10] * 2 and train.stats().batches_delivered == 60

    vx, vy = separable(100, seed=1)
    expected = model.evaluate(vx, vy, batch_size=32, verbose=0)
    np.testing.assert_allclose(model.evaluate(val, verbose=0), expected, rtol=1e-5)
    np.testing.assert_allclose(model.predict(val, verbose=0), model.predict(vx, batch_size=32, verbose=0), rtol=1e-5, atol=1e-6)
""",
    )


def test_training_with_a_loader_is_training_with_its_batches(run_script) -> None:
    """Same initial weights, same batches: the weights after two epochs are those of a plain loop of `train_on_batch`."""
    run(
        run_script,
        """
import keras
source = NpyArrays(*separable())
noise = lambda s, rng: (s[0] + rng.normal(size=6).astype("float32"), s[1])
make = lambda workers: Loader(source, 32, shuffle=True, seed=5, transforms=[T.Rescale(0.5), noise], workers=workers)
keras.utils.set_random_seed(1)
one = classifier(keras)
keras.utils.set_random_seed(1)
other = classifier(keras)
one.fit(make(2), epochs=2, verbose=0)
inline = make(0)
for _ in range(2):
    for x, y in inline:
        other.train_on_batch(x, y)
for a, b in zip(one.get_weights(), other.get_weights()):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
""",
    )


def test_tensors_are_the_slots_and_slots_come_back(run_script) -> None:
    run(
        run_script,
        """
import tensorflow as tf
loader = Loader(NpyArrays(np.arange(64 * 40, dtype="float32").reshape(-1, 8), np.arange(320) % 2 == 0), 8, workers=2)
for epoch in range(3):
    for number, (x, flags) in enumerate(loader.get_tf_dataset()):
        assert isinstance(x, tf.Tensor) and flags.dtype == tf.bool and flags.numpy().tolist() == [True, False] * 4
        assert in_arena(np.asarray(memoryview(x)).__array_interface__["data"][0])
        assert x.numpy()[0, 0] == number * 64
        # Zero copy, proved by writing underneath.
        alias = np.frombuffer(memoryview(x), "float32")
        if alias.flags.writeable:
            alias[0] = -1
            assert x.numpy()[0, 0] == -1
        assert loader.stats().slots.lent <= 3, loader.stats().slots
assert number == 39
del x, flags, alias
assert loader.stats().slots.lent == 0
assert "copies" not in str(loader.stats())
""",
    )


def test_tensors_that_are_kept_stay_intact_with_one_warning(run_script) -> None:
    run(
        run_script,
        """
import tensorflow as tf
x = np.arange(6 * 4000, dtype="float32").reshape(-1, 6)
loader = Loader(NpyArrays(x), 1000, shuffle=True, seed=2, workers=2, slots=3)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    kept = [batch[0] for _ in range(10) for batch in loader.get_tf_dataset()]
plain = Loader(NpyArrays(x), 1000, shuffle=True, seed=2, workers=0)
expected = [batch[0] for _ in range(10) for batch in plain]
assert len(kept) == len(expected) == 40
for one, other in zip(kept, expected):
    assert np.array_equal(one.numpy(), other)
assert [w.category for w in caught if "slots" in str(w.message)] == [RuntimeWarning], [str(w.message) for w in caught]
""",
    )


def test_early_stops_and_exceptions_leave_a_usable_loader(run_script) -> None:
    run(
        run_script,
        """
import keras
loader = Loader(NpyArrays(*separable()), 32, shuffle=True, workers=2)
val = Loader(NpyArrays(*separable(64, 1)), 32, workers=1)
model = classifier(keras)

class StopAt(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 3:
            self.model.stop_training = True

class RaiseAt(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 5:
            raise RuntimeError("mine")

model.fit(loader, epochs=3, verbose=0, callbacks=[StopAt()])
try:
    model.fit(loader, epochs=3, verbose=0, callbacks=[RaiseAt()])
except RuntimeError as error:
    assert str(error) == "mine"
else:
    raise SystemExit("the callback's exception is lost")
stop = keras.callbacks.EarlyStopping("val_loss", patience=0, min_delta=10.0)
history = model.fit(loader, validation_data=val, epochs=10, verbose=0, callbacks=[stop])
assert len(history.epoch) == 2
before = loader.stats().batches_delivered
model.fit(loader, epochs=1, verbose=0)
assert loader.stats().batches_delivered == before + 10
""",
    )


def test_dicts_weights_and_class_weights_reach_the_model(run_script) -> None:
    run(
        run_script,
        """
import keras
rng = np.random.default_rng(0)
a, b = rng.normal(size=(96, 3)).astype("float32"), rng.normal(size=(96, 2)).astype("float32")
y = (a[:, :1] * 2 + b[:, :1]).astype("float32")
ins = {"a": keras.Input((3,), name="a"), "b": keras.Input((2,), name="b")}
model = keras.Model(ins, keras.layers.Dense(1)(keras.layers.Concatenate()(list(ins.values()))))
model.compile("sgd", "mse")
weights = rng.random(96).astype("float32")
loader = Loader(NpyArrays({"a": a, "b": b}, y, weights), 96, workers=1)
ours = model.evaluate(loader, verbose=0)
np.testing.assert_allclose(ours, model.evaluate({"a": a, "b": b}, y, sample_weight=weights, batch_size=96, verbose=0), rtol=1e-5)
model.fit(loader, epochs=1, verbose=0)

x, labels = separable()
keras.utils.set_random_seed(0)
one = classifier(keras)
keras.utils.set_random_seed(0)
other = classifier(keras)
class_weight = {0: 0.25, 1: 4.0}
one.fit(Loader(NpyArrays(x, labels), 32, class_weight=class_weight, workers=2), epochs=2, verbose=0)
other.fit(x, labels, batch_size=32, shuffle=False, class_weight=class_weight, epochs=2, verbose=0)
for mine, theirs in zip(one.get_weights(), other.get_weights()):
    np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)
""",
    )


@pytest.mark.parametrize("first", ["keras", "loader"])
def test_arguments_that_keras_would_drop_are_refused(run_script, first: str) -> None:
    """Whichever is imported first."""
    made = 'loader = Loader(NpyArrays(*separable()), 32, workers=1, name="mine")'
    lines = ["import keras", made] if first == "keras" else [made, "import keras"]
    run(
        run_script,
        "\n".join(lines)
        + """
model = classifier(keras)
for given in ({"class_weight": {0: 1.0}}, {"batch_size": 8}, {"y": np.zeros(3)}, {"sample_weight": np.ones(3)}):
    try:
        model.fit(loader, verbose=0, **given)
    except ConfigError as error:
        assert next(iter(given)) in str(error) and "Loader" in str(error) or "source" in str(error), error
    else:
        raise SystemExit(f"{given} was dropped")
model.fit(loader, epochs=1, verbose=0)
assert type(loader) is Loader and isinstance(loader, Loader)
""",
    )


def test_a_tf_dataset_of_the_loader_repeats_and_trains(run_script) -> None:
    run(
        run_script,
        """
import keras, tensorflow as tf
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
""",
    )


def test_a_generator_of_batches_trains(run_script) -> None:
    run(
        run_script,
        """
import keras
loader = Loader(NpyArrays(*separable()), 32, shuffle=True, workers=2)
model = classifier(keras)
history = model.fit(loader.batches(), steps_per_epoch=10, epochs=4, verbose=0)
assert history.history["accuracy"][-1] > 0.85, history.history
""",
    )


def test_neither_supervisor_nor_workers_hold_the_tensorflow_that_the_script_imports(run_script) -> None:
    run(
        run_script,
        """
import tensorflow as tf, psutil
def halve(sample, rng):
    return (sample[0] / 2, sample[1])
loader = Loader(NpyArrays(*separable()), 32, transforms=[halve], workers=2)
next(iter(loader))
family = psutil.Process().children(recursive=True)
assert len(family) == 3, family
for process in family:
    maps = open(f"/proc/{process.pid}/maps").read()
    assert "numpy" in maps and "tensorflow" not in maps
""",
    )
