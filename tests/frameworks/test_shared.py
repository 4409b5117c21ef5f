"""Models train on a shared loader, from memory that none of them can write to, on TensorFlow, JAX and PyTorch."""

from __future__ import annotations

from collections.abc import Callable


def test_the_script_that_made_a_loader_and_one_that_has_attached_train_on_the_same_batches(keras_script: Callable[..., str]) -> None:
    keras_script("""
import os
no_warnings()
X, Y = separable()
def losses(loader):
    keras.utils.set_random_seed(1)
    history = classifier().fit(loader, epochs=3, verbose=0).history
    return history["loss"]
with Loader(NpyArrays(X, Y), 32, shuffle=True, workers=1, name=f"fit-{os.getpid()}", shared=True) as train:
    with Loader.attach(train.name, epoch=0) as other:
        assert losses(train) == losses(other)
        assert other.state_dict() == train.state_dict()
        classifier().evaluate(other, verbose=0)
        if keras.backend.backend() == "tensorflow":
            assert len(list(other.as_tf_dataset())) == len(other)
        assert other.stats().batches_delivered > 30
        try:
            other.resize(2)
        except Exception as error:
            assert "belongs to another script" in str(error), error
""")


def test_two_ranks_on_one_pool_train_as_they_would_on_loaders_of_their_own(keras_script: Callable[..., str]) -> None:
    keras_script("""
import os
no_warnings()
X, Y = separable()
def losses(loader, validation):
    keras.utils.set_random_seed(1)
    history = classifier(run_eagerly=True).fit(loader, validation_data=validation, epochs=2, verbose=0).history
    return history["loss"], history["val_loss"]
def loaders(rank, shard, **more):
    os.environ |= {"LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": "2"}
    train = Loader(NpyArrays(X, Y), 32, shuffle=True, shard=shard, name=f"train-{os.getpid()}", **more)
    return train, Loader(NpyArrays(X, Y), 50, shard=shard, name=f"validation-{os.getpid()}", **more)
pools = [loaders(rank, "local", workers=1) for rank in range(2)]
for rank in range(2):
    assert losses(*pools[rank]) == losses(*loaders(rank, (rank, 2), workers=0)), rank
for loader in pools[1] + pools[0]:
    loader.close()
""")


def test_each_framework_takes_what_is_shared_and_writes_into_no_memory_of_others(keras_script: Callable[..., str]) -> None:
    keras_script("""
import os
import ml_dtypes
no_warnings()
X = separable()[0]
with Loader(NpyArrays(X, {"bool": X > 0, "half": X.astype(ml_dtypes.bfloat16)}), 32, workers=1, name=f"write-{os.getpid()}", shared=True) as train:
    with Loader.attach(train.name, epoch=0) as other:
        for number, (x, y) in enumerate(keras_batches(other)):
            rows = X[32 * number : 32 * number + 32]
            np.testing.assert_array_equal(np.asarray(x), rows)
            np.testing.assert_array_equal(np.asarray(y["bool"]), rows > 0)
            assert "bfloat16" in str(y["half"].dtype)
            if BACKEND == "torch":
                x += 1  # into a copy of its own
                y["half"] += 1
            if number == 9:
                break
        for number, (x, y) in enumerate(train):
            np.testing.assert_array_equal(x, X[32 * number : 32 * number + 32])
            np.testing.assert_array_equal(y["half"], x.astype(ml_dtypes.bfloat16))
""")
