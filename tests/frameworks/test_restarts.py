"""Training goes on when the supervisor is killed."""

from __future__ import annotations

from collections.abc import Callable

from tests.frameworks.conftest import on_each_backend


@on_each_backend
def test_fit_survives_the_supervisors_death_with_the_same_weights(keras_script: Callable[..., str]) -> None:
    keras_script(
        """
import os, signal, warnings
warnings.filterwarnings("ignore", "the supervisor .* died", RuntimeWarning)

class Kill(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 2:
            os.kill(loader._producer.pid, signal.SIGKILL)

def slowly(sample, rng):  # so that not all batches are ready before that
    import time
    time.sleep(0.001)
    return sample

source = NpyArrays(*separable())
make = lambda workers: Loader(source, 32, shuffle=True, seed=5, workers=workers, slots=3, transforms=[slowly])
expected = classifier()
reference = make(0)
for x, y in reference:
    expected.train_on_batch(x, y)
for x, y in reference:
    expected.train_on_batch(x, y)
loader = make(2)
model = classifier()
model.fit(loader, epochs=2, verbose=0, callbacks=[Kill()])
assert_same_weights(model, expected)
assert loader.stats().supervisor_restarts >= 1, loader.stats()
assert loader.stats().batches_delivered == 20
loader.close()
"""
    )
