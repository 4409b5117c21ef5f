"""Keras trains on batches of several lengths (`bucket_by`), and compiles the model once for each."""

from __future__ import annotations

from collections.abc import Callable

Run = Callable[..., str]

MADE = """
from loader import Buckets
lengths = np.random.default_rng(0).integers(1, 31, 240)
source = MapSource([(np.full((n, 4), n / 30, np.float32), np.float32(n > 15)) for n in lengths.tolist()])
traced = []

class Noting(keras.layers.Layer):
    def call(self, x):
        traced.append(tuple(x.shape))
        return x

def made(jit_compile):
    keras.utils.set_random_seed(1)
    x = keras.layers.Input((None, 4))
    model = keras.Model(x, keras.layers.Dense(1)(keras.layers.GlobalMaxPooling1D()(Noting()(x))))
    model.compile(keras.optimizers.Adam(0.05), "mse", jit_compile=jit_compile)
    return model

train = Loader(source, 8, bucket_by=[10, 20, 30], shuffle=True, drop_last=True, workers=2)
COMPILED = BACKEND != "torch"  # there, Keras' own warnings stop the compiler, and nothing is traced
"""


def test_fit_compiles_once_for_each_bucket(keras_script: Run) -> None:
    keras_script(
        MADE
        + """
model = made(COMPILED)
traced.clear()
no_warnings()
model.fit(train, epochs=3, verbose=0)
assert train.stats().batches_delivered == 3 * len(train) > 75
assert not COMPILED or 1 <= len(traced) <= 3 + (BACKEND == "jax"), traced  # there, Keras looks at the first batch before
assert len(set(traced)) <= 3, traced
again = made(False)
batches = Loader(source, 8, bucket_by=[10, 20, 30], shuffle=True, drop_last=True, workers=0).batches()
for _ in range(3 * len(train)):
    again.train_on_batch(*next(batches))
assert_same_weights(model, again)
"""
    )


def test_predictions_are_not_in_the_order_of_the_source_and_that_is_warned_of(keras_script: Run) -> None:
    keras_script(
        MADE
        + """
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    made(False).predict(Loader(source, 8, bucket_by=[10, 30], workers=0), verbose=0)
told = [str(each.message) for each in caught if "rows of the predictions" in str(each.message)]
assert len(told) == 1 and "bucket_by puts samples of similar length together" in told[0], told
"""
    )


def test_a_dataset_of_tensorflow_has_no_length_where_batches_differ(keras_script: Run) -> None:
    keras_script(
        MADE
        + """
if BACKEND == "tensorflow":
    masked = Loader(source, [8, 4, 2], bucket_by=Buckets([10, 20, 30], mask="mask"), workers=1)
    x, y = masked.as_tf_dataset().element_spec
    assert (x["x"].shape.as_list(), x["mask"].shape.as_list(), y.shape.as_list()) == ([None, None, 4], [None, None], [None])
    assert sum(len(y) for _, y in masked.as_tf_dataset()) == 240
    assert train.as_tf_dataset().element_spec[0].shape.as_list() == [8, None, 4]
"""
    )


def test_batches_that_are_padded_to_their_longest_sample_train_and_keep_the_order(keras_script: Run) -> None:
    keras_script(
        MADE
        + """
settings = dict(transforms=[T.Pad(length="batch", multiple_of=8)], workers=2)
model = made(COMPILED)
traced.clear()
no_warnings()
model.fit(Loader(source, 8, shuffle=True, drop_last=True, **settings), epochs=2, verbose=0)
assert len(set(traced)) <= 4, traced
predicted = model.predict(Loader(source, 8, **settings), verbose=0)
fixed = model.predict(Loader(source, 8, transforms=[T.Pad((32, 4))], workers=0), verbose=0)
np.testing.assert_allclose(predicted, fixed, rtol=1e-4, atol=1e-6)
"""
    )
