"""What only JAX has: steps that run behind the script."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Run = Callable[..., str]
pytestmark = pytest.mark.parametrize("keras_script", ["jax"], indirect=True)


def test_a_device_that_is_slower_than_the_script_is_waited_for(keras_script: Run) -> None:
    """Its steps keep their batches, so that all slots are in use; that is no reason to copy, and none to warn."""
    keras_script(
        """
import jax
from loader.ipc.board import TrainerCell
big = np.arange(64 * 200_000, dtype="float32").reshape(64, 200_000)
weights = jax.numpy.ones((800, 800)) / 800

@jax.jit
def step(state, x):
    made = weights + state * 1e-20
    for _ in range(8):
        made = made @ weights
    return state + x[:, 0].sum() + 1e-20 * made[0, 0]

state = step(jax.numpy.zeros(()), np.zeros((2, 200_000), "float32"))
no_warnings()
with Loader(NpyArrays(big), 2, workers=2, slots=4) as loader:
    for epoch in range(2):
        for (x,) in loader:
            state = step(state, x)
        del x
    assert loader._producer.cells[TrainerCell.COPIES] == 0
np.testing.assert_allclose(float(state), 2 * big[:, 0].sum(dtype="float64"), rtol=1e-6)
"""
    )
