"""Training that was interrupted goes on as if it had not been, on TensorFlow, JAX and PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.frameworks.conftest import on_each_backend
from tests.servers.fronts import Front

Run = Callable[..., str]
# For what happens before or after the steps, which are all that Keras' trainers differ in.
on_tensorflow = pytest.mark.parametrize("keras_script", ["tensorflow"], indirect=True)

SETUP = """
import json, os, shutil, tempfile
from loader import StateError
FOLDER = tempfile.mkdtemp()
X, Y = separable(100)
VAL = Loader(NpyArrays(*separable(40, seed=1)), 8, workers=0)

COMPILE = {}

class Interrupted(Exception):
    pass

class Trained(keras.callbacks.Callback):
    "Counts the steps of each epoch, and interrupts after so many; in validation if asked to."
    def __init__(self, stop=10**9, validating=False):
        super().__init__()
        self.left, self.validating, self.steps = stop, validating, {}
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        self.steps[epoch] = 0
    def on_train_batch_end(self, batch, logs=None):
        self.left -= batch + 1 - self.steps[self.epoch]
        self.steps[self.epoch] = batch + 1
        if self.left <= 0 and not self.validating:
            raise Interrupted
    def on_test_batch_end(self, batch, logs=None):
        if self.left <= 0:
            raise Interrupted

def make(**more):
    return Loader(NpyArrays(X, Y), 8, shuffle=True, seed=3, **{"workers": 1, **more})  # 13 batches, the last one smaller

def train(stop=10**9, every=None, validating=False, compile_more=COMPILE, workers=1, epochs=3, **fit):
    "Train as a script does that is started again and again; return the model, the steps by epoch, and the state at the end."
    model, count = classifier(**compile_more), Trained(stop, validating)
    with make(workers=workers) as loader:
        callbacks = [count] if every == 0 else [loader.resume_callback(FOLDER, every=every), count]
        try:
            model.fit(loader, epochs=epochs, validation_data=VAL, verbose=0, callbacks=callbacks, **fit)
        except Interrupted:
            pass
    return model, count.steps

def quiet(**fit):
    return train(every=0, **fit)
no_warnings()
"""


# Building the function of a step takes longer than all its steps; for tests that are not about how steps are run.
EAGERLY = (
    SETUP
    + """
COMPILE["run_eagerly"] = True
"""
)

INTERRUPTED = """
model, steps = quiet(**fit)
length = fit.get("steps_per_epoch", 13)
assert steps == dict.fromkeys(range(3), length), steps
for stop, workers in [(3, 1), (4, 0), (length, 2), (10**9, 1)]:
    again, steps = train(stop, every=2, workers=workers, **fit)
assert_same_weights(again, model)
assert steps.keys() == set(range(min(steps), 3)) and all(steps[epoch] == length for epoch in steps if epoch > min(steps)), steps
again, steps = train(every=2, **fit)
assert steps == {}, steps
assert_same_weights(again, model)
"""


@pytest.mark.parametrize("fit", [{}, pytest.param({"steps_per_epoch": 20}, marks=pytest.mark.thorough)], ids=str)
@pytest.mark.time_limit(200)
def test_training_that_is_interrupted_anywhere_ends_with_the_same_weights(fit: dict[str, Any], keras_script: Run) -> None:
    """Interrupted in the first epoch, in others, right after a save and between two, with other numbers of workers."""
    keras_script(SETUP + f"fit = {fit}" + INTERRUPTED, timeout=180)


@pytest.mark.parametrize("steps", [5, pytest.param(13, marks=pytest.mark.thorough)])
@on_tensorflow
def test_so_does_training_whose_epochs_are_shorter_or_just_as_long(steps: int, keras_script: Run) -> None:
    keras_script(EAGERLY + f"fit = {{'steps_per_epoch': {steps}}}" + INTERRUPTED)


@on_tensorflow
def test_more_epochs_follow_on_training_that_had_ended(keras_script: Run) -> None:
    keras_script(
        EAGERLY
        + """
train(every=5, epochs=1)
again, steps = train(every=5, epochs=2)
assert steps == {1: 13}, steps
assert_same_weights(again, quiet(epochs=2)[0])
"""
    )


def test_the_epoch_that_was_interrupted_has_the_steps_that_were_left(keras_script: Run) -> None:
    keras_script(
        EAGERLY
        + """
assert train(9, every=4)[1] == {0: 9}
assert train(9, every=4)[1] == {0: 5, 1: 4}  # 8 were saved
assert train(8, every=4, validating=True)[1] == {1: 9}  # 4 were saved; interrupted in validation, after the last batch
assert train(every=4)[1] == {1: 1, 2: 13}  # 12 were saved
assert len(os.listdir(FOLDER)) == 1
"""
    )


@on_tensorflow
def test_without_every_an_interrupted_epoch_starts_again(keras_script: Run) -> None:
    keras_script(
        EAGERLY
        + """
assert train(15)[1] == {0: 13, 1: 2}
model, steps = train()
assert steps == {1: 13, 2: 13}
assert_same_weights(model, quiet()[0])
"""
    )


@pytest.mark.thorough
def test_steps_of_several_batches_are_counted(keras_script: Run) -> None:
    keras_script(
        SETUP
        + """
more = {} if BACKEND == "torch" else {"compile_more": {"steps_per_execution": 4}}  # Keras refuses it there
for fit in ({}, {"steps_per_epoch": 6}):
    shutil.rmtree(FOLDER)
    os.mkdir(FOLDER)
    model = quiet(**fit, **more)[0]
    for stop in (4, 9, 10**9):
        again = train(stop, every=3, **fit, **more)[0]
    assert_same_weights(again, model)
"""
    )


@pytest.mark.parametrize("fit", [{}, pytest.param({"steps_per_epoch": 20}, marks=pytest.mark.thorough)], ids=str)
def test_a_graceful_stop_in_the_middle_is_gone_on_from(fit: dict[str, Any], keras_script: Run) -> None:
    """As a handler of SIGTERM asks for it; Keras then validates and ends the epoch early."""
    keras_script(
        SETUP
        + f"fit = {fit}"
        + """
class Stop(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = batch == 6

with make() as loader:
    classifier().fit(loader, epochs=3, verbose=0, callbacks=[loader.resume_callback(FOLDER), Stop()], **fit)
again, steps = train(**fit)
assert steps[0] == fit.get("steps_per_epoch", 13) - 7, steps
assert_same_weights(again, quiet(**fit)[0])
"""
    )


@on_each_backend
@pytest.mark.parametrize("inputs", [pytest.param(True, id="built", marks=pytest.mark.thorough), pytest.param(False, id="not built")])
def test_a_position_that_was_loaded_by_hand_gives_fit_what_was_left(inputs: bool, keras_script: Run) -> None:
    """Without the callback, on a model that is built and on one that looks at a batch first; also in evaluate and predict."""
    keras_script(
        SETUP
        + f"inputs = {inputs}"
        + """
with make() as loader, make(workers=0) as other:
    loader.load_state_dict({**loader.state_dict(), "epoch": 4, "batch": 9})
    model = classifier(inputs=inputs)
    model.fit(loader, initial_epoch=4, epochs=6, validation_data=VAL, verbose=0, callbacks=[count := Trained()])
    assert count.steps == {4: 4, 5: 13}, count.steps
    other.load_state_dict({**other.state_dict(), "epoch": 4, "batch": 9})
    by_hand = classifier(inputs=inputs)
    for _ in range(2):
        for x, y in other:
            by_hand.train_on_batch(x, y)
    assert_same_weights(model, by_hand)
    loader.load_state_dict({**loader.state_dict(), "batch": 12})
    warnings.filterwarnings("ignore", "the rows of the predictions", RuntimeWarning)
    assert len(model.predict(loader, verbose=0)) == 4
    assert len(model.predict(loader, verbose=0)) == 100
"""
    )


@on_tensorflow
def test_what_does_not_belong_together_is_refused_and_the_model_stays_as_it_is(keras_script: Run) -> None:
    keras_script(
        EAGERLY
        + """
train(5, every=2)
model = classifier()
before = model.get_weights()
with make(drop_last=True) as loader:
    try:
        model.fit(loader, verbose=0, callbacks=[loader.resume_callback(FOLDER)])
    except StateError as error:
        assert "drop_last: False, here True" in str(error) and FOLDER in str(error)
    else:
        raise SystemExit("not refused")
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for every in (0, True, 1.5):
        try:
            loader.resume_callback(FOLDER, every=every)
        except ConfigError as error:
            assert f"every={every!r}" in str(error)
        else:
            raise SystemExit("not refused")
    try:
        model.fit(X, Y, verbose=0, callbacks=[loader.resume_callback(tempfile.mkdtemp())])
    except ConfigError as error:
        assert "to be given the loader itself" in str(error)
    else:
        raise SystemExit("not refused")
"""
    )


@pytest.mark.thorough
@on_tensorflow
def test_a_store_keeps_saves_as_a_folder_does(keras_script: Run, front: Callable[..., Front], tmp_path: Path) -> None:
    keras_script(
        EAGERLY
        + f"""
FOLDER = "{front(tmp_path).endpoint}/runs/digits"
assert train(15, every=4)[1] == {{0: 13, 1: 2}}
model, steps = train(every=4)
assert steps == {{1: 13, 2: 13}}
assert_same_weights(model, quiet()[0])
try:
    with make(drop_last=True) as loader:
        model.fit(loader, verbose=0, callbacks=[loader.resume_callback(FOLDER)])
except StateError as error:
    assert f"saved below {{FOLDER}}; " in str(error)
else:
    raise SystemExit("not refused")
"""
    )
    assert {path.name for path in (tmp_path / "runs" / "digits").iterdir()} == {"a", "b", "newest.json"}


@on_tensorflow
def test_a_save_that_was_not_finished_does_not_count(keras_script: Run) -> None:
    keras_script(
        EAGERLY
        + """
train(6, every=2)
writing = os.path.join(FOLDER, ".writing", "model")
os.makedirs(writing)
open(os.path.join(writing, "latest.weights.h5"), "w").close()
model, steps = train(every=2)
assert steps[0] == 7, steps
assert_same_weights(model, quiet()[0])
assert len(os.listdir(FOLDER)) == 1
"""
    )


STRATEGY = """
import shutil
import numpy as np, keras
import tensorflow as tf
from loader import Loader, NpyArrays

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
x = np.random.default_rng(0).normal(size=(96, 6)).astype("float32")

class Interrupt(keras.callbacks.Callback):
    def __init__(self, after):
        super().__init__()
        self.after, self.steps = after, []
    def on_epoch_begin(self, epoch, logs=None):
        self.steps.append(0)
    def on_train_batch_end(self, batch, logs=None):
        self.steps[-1] += 1
        if sum(self.steps) == self.after:
            raise KeyError

def train(after=None, keep=True, **fit):
    with strategy.scope(), Loader(NpyArrays(x, (x[:, 0] > 0).astype("int32")), 8, shuffle=True, workers=1) as loader:
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.layers.Input((6,)), keras.layers.Dense(2)])
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        count = Interrupt(after)
        try:
            model.fit(loader, epochs=2, verbose=0, callbacks=[loader.resume_callback("saves", every=2)] * keep + [count], **fit)
        except KeyError:
            pass
        return model, count.steps

for fit, left in ({}, [8, 12]), ({"steps_per_epoch": 5}, [1, 5]):
    shutil.rmtree("saves", ignore_errors=True)
    train(4, **fit)
    model, steps = train(**fit)
    assert steps == left, steps
    for a, b in zip(model.get_weights(), train(keep=False, **fit)[0].get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4)
"""


@pytest.mark.thorough
def test_batches_that_a_strategy_had_taken_ahead_are_not_lost(forked_script: Any) -> None:
    """It keeps some of them for its devices: handed out, but not trained."""
    result = forked_script(STRATEGY, timeout=90)
    assert result.returncode == 0, result.stderr
