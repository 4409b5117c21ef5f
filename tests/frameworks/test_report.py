"""Keras says how long it waited for the loader, where it says the loss, on TensorFlow, JAX and PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.frameworks.conftest import on_each_backend

Run = Callable[..., str]

SETUP = """
import time, tempfile
from loader.train.keras.callbacks import ReportCallback
X, Y = separable()
FIGURES = {"loader_wait", "samples_per_s"}
def make(seconds=0.0, **more):
    "Return a loader of 10 batches that takes so long for each of its samples."
    def sleep(sample, rng):
        import time
        time.sleep(seconds)
        return sample
    return Loader(NpyArrays(X, Y), 32, **{"workers": 1, "transforms": [sleep] if seconds else [], **more})
class Slow(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        time.sleep(0.03)
def figures(history):
    return {key for key in history if key.endswith(tuple(FIGURES))}
"""


@on_each_backend
@pytest.mark.parametrize("workers", [0, 1])
def test_figures_are_in_the_bar_and_in_the_history(keras_script: Run, workers: int) -> None:
    printed = keras_script(
        SETUP
        + f"""
no_warnings()
with make(workers={workers}) as train, make(workers={workers}) as val:
    history = classifier().fit(train, validation_data=val, epochs=3, callbacks=[train.report_callback()]).history
    assert figures(history) == FIGURES, history
    assert all(len(history[key]) == 3 for key in FIGURES), history
    assert all(0 <= share <= 1 for share in history["loader_wait"]) and all(rate > 0 for rate in history["samples_per_s"]), history
"""
    )
    assert printed.count("loader_wait: ") > 3  # within epochs, too
    assert "samples_per_s: " in printed
    assert "val_loader_wait" not in printed


def test_the_callback_of_the_validation_loader_adds_figures_of_the_validation(keras_script: Run) -> None:
    printed = keras_script(
        SETUP
        + """
no_warnings()
with make() as train, make(0.002) as val:
    model = classifier(run_eagerly=True)  # building the functions takes longer than all steps
    both = [train.report_callback(), val.report_callback()]
    history = model.fit(train, validation_data=val, validation_freq=2, epochs=4, verbose=0, callbacks=both).history
    assert figures(history) == FIGURES | {f"val_{key}" for key in FIGURES}, history
    assert [len(history[key]) for key in sorted(figures(history))] == [4, 4, 2, 2], history
    assert all(0 <= share <= 1 for share in history["val_loader_wait"]) and min(history["val_samples_per_s"]) > 0, history
    found = model.evaluate(val, return_dict=True, callbacks=[both[1]])
    assert not FIGURES & set(found), found
    assert len(model.predict(val, verbose=0, callbacks=[both[1]])) == len(X)
"""
    )
    assert "loader_wait: " in printed


@pytest.mark.thorough
def test_the_share_is_that_of_the_training_steps_alone(keras_script: Run) -> None:
    keras_script(
        SETUP
        + """
with make(0.004) as train, make(0.004) as val, make() as quick:
    waits = train.report_callback(warn_above=None)
    history = classifier().fit(train, validation_data=quick, steps_per_epoch=8, epochs=2, verbose=0, callbacks=[waits]).history
    assert history["loader_wait"][-1] > 0.5, history
    history = classifier().fit(quick, validation_data=val, epochs=3, verbose=0, callbacks=[Slow(), quick.report_callback()]).history
    assert history["loader_wait"][-1] < 0.5, history
"""
    )


WARNED = (
    SETUP
    + """
def said(caught):
    return [str(warning.message) for warning in caught if "What its stats() say" in str(warning.message)]
class UntilWarned(keras.callbacks.Callback):
    "Ends training with the epoch after the one that ended with a warning."
    def __init__(self, caught):
        super().__init__()
        self.caught, self.warned = caught, False
    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = self.warned
        self.warned = bool(said(self.caught))
def warned(loader, callback, more=(), epochs=3, **fit):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        callbacks = [callback, *more, UntilWarned(caught)]
        classifier(run_eagerly=True).fit(loader, epochs=epochs, verbose=0, callbacks=callbacks, **fit)
    return said(caught)
"""
)


def test_waiting_is_warned_of_once_and_in_words(keras_script: Run) -> None:
    keras_script(
        WARNED
        + """
with make(0.01, name="train") as train:
    # How many steps it takes depends on how much the loader has made ahead. The verdict knows after a second.
    (words,) = warned(train, ReportCallback(train, 0.1, None, enough_s=1.3), steps_per_epoch=4, epochs=100)
    like = r"training waited for the loader 'train' during \\d+% of the last \\d+ s. What its stats\\(\\) say: (the loader|still measuring)"
    assert re.match(like, words), words
with make(0.002, workers=0) as train:
    (words,) = warned(train, ReportCallback(train, 0.1, None, enough_s=0.3), epochs=100)
    assert "workers=1 would do that in parallel" in words, words
"""
    )


@pytest.mark.thorough
def test_where_there_is_little_evidence_or_no_wish_nobody_is_warned(keras_script: Run) -> None:
    keras_script(
        WARNED
        + """
with make(0.002) as train, make() as quick:
    assert not warned(train, train.report_callback(), steps_per_epoch=4)  # some seconds at most are no evidence
    assert not warned(train, ReportCallback(train, None, None, enough_s=0.3))
    assert not warned(quick, ReportCallback(quick, 0.5, None, enough_s=0.3), [Slow()], validation_data=train)
"""
    )


def test_the_first_steps_are_not_judged_however_long_they_take(keras_script: Run) -> None:
    keras_script(
        SETUP
        + """
class LongFirstStep(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        time.sleep(1.5 if batch == 0 else 0.0)

no_warnings()
with make(0.003) as train:  # which its first batch takes 0.1 s, and the others have been made by then
    report = ReportCallback(train, 0.05, None, long_s=1.0)
    classifier().fit(train, steps_per_epoch=4, epochs=1, verbose=0, callbacks=[LongFirstStep(), report])
"""
    )


def test_other_callbacks_behind_it_and_beside_it(keras_script: Run) -> None:
    keras_script(
        SETUP
        + """
no_warnings()
with tempfile.TemporaryDirectory() as folder, make() as train, make() as val:
    log = keras.callbacks.CSVLogger(f"{folder}/log.csv")
    saves = train.resume_callback(f"{folder}/saves", every=3)
    model = classifier(run_eagerly=True)
    history = model.fit(train, epochs=2, verbose=0, callbacks=[saves, train.report_callback(log_dir=f"{folder}/events"), log]).history
    assert len(history["loader_wait"]) == 2, history
    assert FIGURES <= set(open(f"{folder}/log.csv").readline().strip().split(",")), open(f"{folder}/log.csv").read()
    (events,) = os.listdir(f"{folder}/events")
    assert open(f"{folder}/events/{events}", "rb").read().count(b"epoch_loader_wait") == 2
"""
    )


def test_tensorboards_own_callback_behind_it_writes_the_figures(keras_script: Run) -> None:
    """As the callbacks of Weights & Biases and MLflow do: each is given the logs of the epoch."""
    keras_script(
        SETUP
        + """
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
with tempfile.TemporaryDirectory() as folder, make() as train:
    classifier(run_eagerly=True).fit(train, epochs=2, verbose=0, callbacks=[train.report_callback(), keras.callbacks.TensorBoard(folder)])
    written = EventAccumulator(f"{folder}/train").Reload()
    assert {f"epoch_{name}" for name in FIGURES} <= set(written.Tags()["tensors"]), written.Tags()
    assert len(written.Tensors("epoch_loader_wait")) == 2
"""
    )


def test_keras_waits_for_the_device_no_more_often_because_of_it(keras_script: Run) -> None:
    keras_script(
        SETUP
        + """
class Watched(keras.callbacks.Callback):
    async_safe = True
    def on_train_batch_end(self, batch, logs=None):
        import threading
        threads.add(threading.current_thread() is threading.main_thread())
with make() as train:
    seen = []
    for callbacks in [], [train.report_callback()]:
        threads = set()
        classifier().fit(train, verbose=0, callbacks=[*callbacks, Watched()])
        seen.append(threads)
    assert seen[0] == seen[1], seen
"""
    )


def test_wrong_shares_and_closed_loaders_are_refused(keras_script: Run) -> None:
    keras_script(
        SETUP
        + """
from loader import LoaderClosed
loader = make(workers=0)
for wrong in 10, -0.1, "much", True:
    try:
        loader.report_callback(warn_above=wrong)
    except ConfigError as error:
        assert "warn_above" in str(error)
    else:
        raise AssertionError(wrong)
loader.close()
try:
    loader.report_callback()
except LoaderClosed:
    pass
else:
    raise AssertionError("a closed loader")
"""
    )
