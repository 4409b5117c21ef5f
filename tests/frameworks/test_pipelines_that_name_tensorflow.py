"""What happens to transforms that use TensorFlow or Keras: helpers work, operations are refused, and what either costs is said."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Run = Callable[..., str]
pytestmark = pytest.mark.parametrize("keras_script", ["tensorflow"], indirect=True)

START = """
import tensorflow as tf
from loader import PipelineError
x = np.arange(8 * 4 * 4 * 3, dtype="float32").reshape(8, 4, 4, 3)
def attempt(transform, workers=2):
    "Return the batches or the error's text, and the warnings."
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with Loader(NpyArrays(x), 4, transforms=[transform], workers=workers) as loader:
                made = [batch.copy() for (batch,) in loader]
        except PipelineError as error:
            made = str(error)
    return made, [str(warning.message) for warning in caught if warning.filename == __file__]
__file__ = attempt.__code__.co_filename
"""


# Other ways to name it are found in the same way. Each costs a supervisor that imports TensorFlow.
@pytest.mark.parametrize(
    "code",
    [
        pytest.param("def op(s, rng):\n    return (tf.image.flip_left_right(s[0]).numpy(),)", id="a function"),
        pytest.param(
            "C = tf.constant(3.0)\ndef op(s, rng):\n    return (s[0] * float(C),)", id="a constant of the script", marks=pytest.mark.thorough
        ),
    ],
)
def test_operations_are_refused_with_the_name_of_the_function(code: str, keras_script: Run) -> None:
    keras_script(
        START
        + f"""
{code}
made, said = attempt(op)
assert "transform 0, op" in made and "TensorFlow operations" in made and "use NumPy" in made, made
assert len(said) == 1 and "names TensorFlow" in said[0] and "op" in said[0], said
made, said = attempt(op, workers=0)  # in the trainer itself they may run
assert len(made) == 2 and not said
""",
        timeout=60,
    )


def test_in_the_trainer_itself_a_result_may_be_a_tensor(keras_script: Run) -> None:
    keras_script(
        START
        + """
made, said = attempt(lambda s, rng: (tf.identity(s[0]),), workers=0)
assert np.array_equal(np.concatenate(made), x) and not said, said
"""
    )


def test_helpers_that_use_numpy_alone_work(keras_script: Run) -> None:
    keras_script(
        START
        + """
def one_hot(s, rng):
    return (keras.utils.to_categorical(s[0][..., 0].astype(int) % 3, 3),)
made, said = attempt(one_hot)
expected, _ = attempt(one_hot, workers=0)
assert all(np.array_equal(a, b) for a, b in zip(made, expected, strict=True))
assert len(said) == 1 and "names Keras (global keras)" in said[0], said
""",
        timeout=60,
    )
