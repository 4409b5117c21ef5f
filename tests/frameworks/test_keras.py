"""Keras takes a Loader as it takes its own kinds of data, on TensorFlow, JAX and PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.frameworks.conftest import on_each_backend

Run = Callable[..., str]


@on_each_backend
def test_fit_evaluate_and_predict_see_every_batch_once(keras_script: Run) -> None:
    keras_script(
        """
train = Loader(NpyArrays(*separable()), 32, shuffle=True, seed=3, workers=2)
val = Loader(NpyArrays(*separable(100, seed=1)), 32, workers=1)
model = classifier()
count = Batches()
no_warnings()
history = model.fit(train, validation_data=val, epochs=4, verbose=0, callbacks=[count])
assert count.params["steps"] == 10 and count.steps == [10] * 4 and count.validations == 4 * 4
assert train.stats().batches_delivered == 40, train.stats()
assert history.history["val_accuracy"][-1] > 0.9, history.history
model.fit(train, epochs=2, verbose=0, callbacks=[again := Batches()])  # the same object
assert again.steps == [10] * 2 and train.stats().batches_delivered == 60
vx, vy = separable(100, seed=1)
np.testing.assert_allclose(model.evaluate(val, verbose=0), model.evaluate(vx, vy, batch_size=32, verbose=0), rtol=1e-5)
np.testing.assert_allclose(model.predict(val, verbose=0), model.predict(vx, batch_size=32, verbose=0), rtol=1e-5, atol=1e-6)
"""
    )


BATCH_BY_BATCH = """
source = NpyArrays(*separable())
noise = lambda s, rng: (s[0] + rng.normal(size=6).astype("float32"), s[1])
make = lambda workers: Loader(source, 32, shuffle=True, seed=5, transforms=[T.Rescale(0.5), noise], workers=workers)
def by_hand(batches, count):
    model = classifier(inputs={inputs})
    for x, y in batches:
        model.train_on_batch(x, y)
        count -= 1
        if not count:
            return model
"""


@pytest.mark.parametrize("inputs", [pytest.param(True, id="built", marks=pytest.mark.thorough), pytest.param(False, id="not built")])
def test_training_with_a_loader_is_training_with_its_batches(inputs: bool, keras_script: Run) -> None:
    """Same initial weights, same batches: the same weights. A model that is not built yet looks at the first batch, which is not lost."""
    keras_script(
        BATCH_BY_BATCH.format(inputs=inputs)
        + f"""
loader = make(2)
model = classifier(inputs={inputs})
model.fit(loader, epochs=2, verbose=0)
assert_same_weights(model, by_hand(make(0).batches(), 20))
model.fit(loader, epochs=1, verbose=0)
assert_same_weights(model, by_hand(make(0).batches(), 30))
assert loader.stats().epoch == 3
"""
    )


@pytest.mark.parametrize("steps", [pytest.param(1, marks=pytest.mark.thorough), 4, pytest.param(10, marks=pytest.mark.thorough), 25])
def test_steps_per_epoch_go_on_where_the_last_ones_ended(steps: int, keras_script: Run) -> None:
    """Fewer than an epoch, as many, more: training sees the loader's batches one after the other, and Keras never says that data ran out."""
    keras_script(
        BATCH_BY_BATCH.format(inputs=False)
        + f"""
steps = {steps}
val = Loader(NpyArrays(*separable(100, seed=1)), 32, workers=1)
model = classifier(inputs=False)
no_warnings()
model.fit(make(2), steps_per_epoch=steps, epochs=3, validation_data=val, validation_steps=2, verbose=0, callbacks=[count := Batches()])
assert count.steps == [steps] * 3 and count.validations == 6, (count.steps, count.validations)
assert_same_weights(model, by_hand(make(0).batches(), 3 * steps))
x, y = separable(100, seed=1)
np.testing.assert_allclose(model.evaluate(val, steps=2, verbose=0), model.evaluate(x[:64], y[:64], verbose=0), rtol=1e-5)
assert len(model.predict(val, steps=3, verbose=0)) == 96 and len(model.predict(val, verbose=0)) == 100
"""
    )


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"run_eagerly": True}, id="run_eagerly"),
        pytest.param({"jit_compile": True}, id="jit_compile", marks=pytest.mark.thorough),
        pytest.param({"steps_per_execution": 4}, id="steps_per_execution"),
    ],
)
def test_any_way_to_run_a_step_trains_on_the_same_batches(options: dict[str, object], keras_script: Run) -> None:
    """The last batch of an epoch is smaller, and an epoch is no multiple of `steps_per_execution`."""
    keras_script(
        BATCH_BY_BATCH.format(inputs=True)
        + f"""
options = {options}
if BACKEND == "torch":
    options.pop("steps_per_execution", None)  # Keras refuses it there
    options.pop("jit_compile", None)  # needs a C++ compiler
source = NpyArrays(*separable(300))
model = classifier(**options)
no_warnings()
model.fit(make(2), epochs=2, verbose=0, callbacks=[count := Batches()])
assert_same_weights(model, by_hand(make(0).batches(), 20))
"""
    )


def test_early_stops_and_exceptions_leave_a_usable_loader(keras_script: Run) -> None:
    keras_script(
        """
loader = Loader(NpyArrays(*separable()), 32, shuffle=True, workers=2)
val = Loader(NpyArrays(*separable(64, 1)), 32, workers=1)
model = classifier()

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
model = classifier()  # Keras 3.7 on JAX leaves the one that was interrupted without weights
stop = keras.callbacks.EarlyStopping("val_loss", patience=0, min_delta=10.0)
history = model.fit(loader, validation_data=val, epochs=10, verbose=0, callbacks=[stop])
assert len(history.epoch) == 2
before = loader.stats().batches_delivered
model.fit(loader, epochs=1, verbose=0)
assert loader.stats().batches_delivered == before + 10
"""
    )


@on_each_backend
def test_hooks_may_be_called_in_any_order_or_not_at_all(keras_script: Run) -> None:
    keras_script(
        """
loader = Loader(NpyArrays(np.arange(40, dtype="float32").reshape(10, 4)), 2, workers=2)
loader.on_epoch_end()
seen = []
for hooks in ("be", "eb", "ee", "", "bbb"):
    unused, used = iter(keras_batches(loader)), iter(keras_batches(loader))
    for number, (x,) in enumerate(used):
        seen.append(float(x[0, 0]))
        for hook in hooks:
            loader.on_epoch_end() if hook == "e" else loader.on_epoch_begin()
    del unused
assert seen == [0, 8, 16, 24, 32] * 5, seen
assert loader.num_batches == 5 and not loader.has_partial_batch
assert loader.stats().batches_delivered == 25
"""
    )


def test_dicts_weights_and_class_weights_reach_the_model(keras_script: Run) -> None:
    keras_script(
        """
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
one, other = classifier(), classifier()
class_weight = {0: 0.25, 1: 4.0}
one.fit(Loader(NpyArrays(x, labels), 32, class_weight=class_weight, workers=2), epochs=2, verbose=0)
other.fit(x, labels, batch_size=32, shuffle=False, class_weight=class_weight, epochs=2, verbose=0)
assert_same_weights(one, other)
"""
    )


REFUSED = """
def refused(use, *words):
    try:
        use()
    except ConfigError as error:
        assert all(word in str(error) for word in words), error
    else:
        raise SystemExit(f"{words} was dropped")
x, y = separable(64)
model = classifier()
loader = Loader(NpyArrays(x, y), 32, workers=0, name="mine")
shuffled = Loader(NpyArrays(x, y), 32, shuffle=True, workers=0)
"""


def test_arguments_that_keras_would_drop_are_refused(keras_script: Run) -> None:
    keras_script(
        REFUSED
        + """
weights = np.ones(3)
for given in ({"class_weight": {0: 1.0}}, {"batch_size": 8}, {"y": weights}, {"sample_weight": weights}, {"shuffle": True}):
    refused(lambda: model.fit(loader, verbose=0, **given), next(iter(given)), "source" if given.keys() & {"y", "sample_weight"} else "Loader(...")
for given in ({"batch_size": 8}, {"y": weights}, {"sample_weight": weights}):
    refused(lambda: model.evaluate(loader, verbose=0, **given), next(iter(given)))
refused(lambda: model.predict(loader, batch_size=8, verbose=0), "batch_size")
refused(lambda: model.fit(loader, None, None, 1, 0, None, 0.0, None, True), "shuffle=True", "Loader(..., shuffle=True)")
refused(lambda: model.fit(shuffled, shuffle=False, verbose=0), "shuffle=False", "Loader(..., shuffle=False)")
refused(lambda: model.fit(loader, shuffle=True, batch_size=8, verbose=0), "shuffle", "batch_size")
count = Batches()
for data in ((x, y), (loader,)):  # before the first epoch, not after it
    refused(lambda: model.fit(*data, validation_data=loader, validation_batch_size=8, verbose=0, callbacks=[count]), "validation_batch_size")
    assert count.steps == [], count.steps
refused(lambda: model.fit(x, y, validation_data=(loader, y), verbose=0), "y")
refused(lambda: model.fit(loader, validation_data=(loader, y), verbose=0, callbacks=[count]), "y in validation_data", "source")
refused(lambda: model.fit(loader, validation_data=[loader, None, y], verbose=0, callbacks=[count]), "sample_weight in validation_data")
assert count.steps == [], count.steps
try:
    model.fit(loader, validation_split=0.2, verbose=0)
except ValueError as error:
    assert "validation_split" in str(error)
else:
    raise SystemExit("validation_split was dropped")
"""
    )


def test_what_keras_does_not_drop_is_not_refused(keras_script: Run) -> None:
    """What is meant for other data, a default, or what the loader does anyway."""
    keras_script(
        REFUSED
        + """
no_warnings()
model.fit(loader, epochs=1, verbose=0)
model.fit(loader, shuffle=False, epochs=1, verbose=0)
model.fit(shuffled, shuffle=True, epochs=1, verbose=0)
model.fit(Loader(NpyArrays(x, y), 32, shuffle="blocks", workers=0), shuffle=True, epochs=1, verbose=0)
model.fit(x, y, batch_size=16, shuffle=True, validation_data=loader, verbose=0)
model.fit(x, y, batch_size=16, validation_batch_size=8, validation_data=(x, y), verbose=0)
model.evaluate(shuffled, verbose=0)
assert type(loader) is Loader and isinstance(loader, Loader)
"""
    )


def test_predictions_in_another_order_than_the_samples_are_warned_of_once(keras_script: Run) -> None:
    keras_script(
        REFUSED
        + """
import warnings
dropping = Loader(NpyArrays(x), 30, drop_last=True, workers=0, name="dropping")
for used, words in ((shuffled, "shuffle=True"), (dropping, f"{len(x) % 30} samples are left out"), (loader, None)):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.predict(used, verbose=0)
    told = [each for each in caught if "rows of the predictions" in str(each.message)]
    assert [words in str(each.message) for each in told] == [True] * (words is not None), told
    assert all("script" in each.filename for each in told), told
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        model.evaluate(shuffled, verbose=0)
"""
    )


def test_a_loss_without_labels_says_what_is_missing(keras_script: Run) -> None:
    keras_script(
        REFUSED
        + """
bare = Loader(NpyArrays(x), 32, workers=1, name="bare")
for built in (True, False):
    refused(lambda: classifier(inputs=built).fit(bare, verbose=0), "loss", "labels", "bare", "NpyArrays(x, y)")
refused(lambda: model.evaluate(bare, verbose=0), "labels")
count = Batches()
for data in ((x, y), (loader,)):
    refused(lambda: model.fit(*data, validation_data=bare, verbose=0, callbacks=[count]), "labels")
    assert count.steps == [], count.steps
no_warnings()
assert model.predict(bare, verbose=0).shape == (64, 2)
"""
    )


def test_a_model_that_needs_no_labels_gets_none(keras_script: Run) -> None:
    """Losses of a layer, a step or a `compute_loss` of the model's own, and an autoencoder whose source gives x twice."""
    keras_script(
        REFUSED
        + """
class Regularised(keras.layers.Layer):
    def call(self, x):
        self.add_loss(keras.ops.mean(x**2))
        return x

class OwnLoss(keras.Model):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return keras.ops.mean((x - y_pred) ** 2)

def make(kind, **given):
    i = keras.Input((6,))
    model = kind(i, Regularised()(keras.layers.Dense(6)(i)))
    model.compile("sgd", **given)
    return model

no_warnings()
bare = Loader(NpyArrays(x), 32, workers=0)
twice = Loader(NpyArrays(x, x), 32, workers=0)
for model, data in ((make(keras.Model), bare), (make(OwnLoss, loss="mse"), bare), (make(keras.Model, loss="mse"), twice)):
    model.fit(data, epochs=1, verbose=0)
    model.evaluate(data, verbose=0)
"""
    )


def test_a_generator_of_batches_trains(keras_script: Run) -> None:
    keras_script(
        """
with Loader(NpyArrays(*separable()), 32, shuffle=True, workers=2) as loader:  # TensorFlow never lets go of a generator
    history = classifier().fit(loader.batches(), steps_per_epoch=10, epochs=4, verbose=0)
    assert history.history["accuracy"][-1] > 0.85, history.history
"""
    )


@on_each_backend
@pytest.mark.parametrize("collecting", [pytest.param(True, id="gc on", marks=pytest.mark.thorough), pytest.param(False, id="gc off")])
def test_slots_come_back_while_training(collecting: bool, keras_script: Run) -> None:
    """Few slots, batches too large to share one: training holds no more of them than it needs, and is never given a copy."""
    keras_script(
        f"""
collecting = {collecting}
big = np.arange(64 * 200_000, dtype="float32").reshape(64, 200_000)
for slots in (2, ALIVE + 2):
    loader = Loader(NpyArrays(big, np.zeros(64, "float32")), 2, shuffle=True, workers=2, slots=slots)
    model = keras.Sequential([keras.layers.Input((200_000,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=BACKEND == "torch")
    no_warnings()
    count = Batches(loader)
    gc.enable() if collecting else gc.disable()
    try:
        model.fit(loader, epochs=2, verbose=0, callbacks=[count])
        if slots > 2 or BACKEND != "jax":  # with two, each step waits for the one before it
            model.evaluate(loader, verbose=0)
            warnings.filterwarnings("ignore", "the rows of the predictions", RuntimeWarning)
            model.predict(loader, verbose=0)
    finally:
        gc.enable()
    bound = ALIVE if collecting or BACKEND != "torch" else slots - 1  # without gc, only a shortage of slots makes it let go
    assert max(count.lent) <= bound, count.lent
    gc.collect()
    if BACKEND == "jax":
        keras.ops.ones(1) + 1  # JAX lets go at its next call
    if BACKEND == "tensorflow":
        import tensorflow as tf; tf.constant(0)
    assert loader.stats().slots.lent <= 1, loader.stats().slots
    del loader, count
"""
    )


@on_each_backend
def test_what_training_gets_are_the_slots(keras_script: Run) -> None:
    """Zero copy, proved by writing underneath."""
    keras_script(
        """
x = np.arange(64 * 40, dtype="float32").reshape(-1, 8)
loader = Loader(NpyArrays(x, np.arange(320) % 2 == 0), 8, workers=2)
def address(array):
    if BACKEND == "torch":
        return array.data_ptr()
    if BACKEND == "jax":
        import jax
        array = jax.device_put(array)
        return array.unsafe_buffer_pointer()
    return np.asarray(memoryview(array)).__array_interface__["data"][0]
for epoch in range(3):
    for number, (rows, flags) in enumerate(keras_batches(loader)):
        assert np.asarray(flags).dtype == bool and np.asarray(flags).tolist() == [True, False] * 4
        assert in_arena(address(rows)) and float(rows[0, 0]) == number * 64
        alias = np.asarray(memoryview(rows)) if BACKEND == "tensorflow" else np.asarray(rows)
        if alias.flags.writeable:
            alias[0, 0] = -1
            assert float(rows[0, 0]) == -1
        assert loader.stats().slots.lent <= 3, loader.stats().slots
assert number == 39
del rows, flags, alias
gc.collect()
if BACKEND == "jax":
    keras.ops.ones(1) + 1
assert loader.stats().slots.lent == 0
"""
    )


@on_each_backend
def test_arrays_that_are_kept_stay_intact_with_one_warning(keras_script: Run) -> None:
    keras_script(
        """
x = np.arange(6 * 4000, dtype="float32").reshape(-1, 6)
loader = Loader(NpyArrays(x), 1000, shuffle=True, seed=2, workers=2, slots=3)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    kept = [batch[0] for _ in range(10) for batch in keras_batches(loader)]
plain = Loader(NpyArrays(x), 1000, shuffle=True, seed=2, workers=0)
expected = [batch[0] for _ in range(10) for batch in plain]
assert len(kept) == len(expected) == 40
for one, other in zip(kept, expected):
    assert np.array_equal(np.asarray(one), other)
assert [w.category for w in caught if "slots" in str(w.message)] == [RuntimeWarning], [str(w.message) for w in caught]
"""
    )


@on_each_backend
def test_outputs_that_alias_their_inputs_are_right(keras_script: Run) -> None:
    """`predict` keeps all outputs until its end; where they are the slots themselves, they must not change, and training must go on."""
    keras_script(
        """
x = np.arange(6 * 64, dtype="float32").reshape(-1, 6)
loader = Loader(NpyArrays(x), 4, workers=2, slots=3)
inputs = keras.layers.Input((6,))
for same in (inputs, keras.layers.Reshape((6, 1))(inputs), keras.layers.Identity()(inputs)):
    model = keras.Model(inputs, same)
    for _ in range(3):
        assert np.array_equal(model.predict(loader, verbose=0).reshape(-1, 6), x)
"""
    )


@on_each_backend
def test_each_dtype_arrives_as_it_is(keras_script: Run) -> None:
    keras_script(
        """
import ml_dtypes
dtypes = ("float16", "bfloat16", "float64", "uint8", "int64", "bool", "complex64")
x = {dtype: np.arange(40).reshape(20, 2) % (2 if dtype == "bool" else 256) for dtype in dtypes}
loader = Loader(NpyArrays(x), 8, transforms=[T.Cast(dtype, fields=dtype) for dtype in dtypes], workers=2)
got = {dtype: [] for dtype in dtypes}
for (batch,) in keras_batches(loader):
    for dtype, array in batch.items():
        assert keras.backend.standardize_dtype(array.dtype) == dtype if dtype != "complex64" else "complex64" in str(array.dtype)
        got[dtype].append(keras.ops.convert_to_numpy(array) if dtype != "complex64" else np.asarray(array))
for dtype in dtypes:
    assert np.array_equal(np.concatenate(got[dtype]).astype("complex64"), x[dtype].astype("complex64")), dtype
"""
    )


def test_training_in_bfloat16_and_float16(keras_script: Run) -> None:
    keras_script(
        """
import ml_dtypes
for dtype in ("bfloat16", "float16"):
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(2, dtype=f"mixed_{dtype}"), keras.layers.Activation("linear", dtype="float32")]
    model = keras.Sequential([keras.layers.Input((6,), dtype=dtype), *layers])
    model.compile(keras.optimizers.Adam(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    loader = Loader(NpyArrays(*separable()), 32, shuffle=True, transforms=[T.Cast(dtype)], workers=2)
    history = model.fit(loader, epochs=8, verbose=0)
    assert history.history["accuracy"][-1] > 0.8, (dtype, history.history)
"""
    )


def test_files_are_batches_of_their_own_sizes(keras_script: Run) -> None:
    keras_script(
        """
import tempfile
x, y = separable(60)
folder = tempfile.mkdtemp()
for number, (start, stop) in enumerate([(0, 7), (7, 30), (30, 32), (32, 60)]):
    np.save(f"{folder}/x{number}.npy", x[start:stop])
    np.save(f"{folder}/y{number}.npy", y[start:stop])
train = Loader(NpyArrays(f"{folder}/x*.npy", f"{folder}/y*.npy"), None, shuffle=True, workers=2)
model = classifier()
no_warnings()
model.fit(train, epochs=2, verbose=0, callbacks=[count := Batches()])
assert count.params["steps"] == 4 and count.steps == [4] * 2
val = Loader(NpyArrays(f"{folder}/x*.npy", f"{folder}/y*.npy"), None, workers=0)
np.testing.assert_allclose(model.predict(val, verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
"""
    )
