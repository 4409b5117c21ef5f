"""The states of the generators that code draws from without being given one: NumPy's global one, that of `random`, and PyTorch's."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

NUMPY, PYTHON, TORCH = "numpy.random", "random", "torch"


def states() -> dict[str, Any]:
    """Return the states of all global generators that there are, to be compared or restored. PyTorch's only if the process has imported it."""
    found: dict[str, Any] = {PYTHON: random.getstate()}
    if (numpy_state := _numpy_state()) is not None:
        found[NUMPY] = numpy_state
    if (torch := torch_module()) is not None:
        found[TORCH] = torch.get_rng_state().numpy().tobytes()
    return found


def restore(before: Mapping[str, Any]) -> None:
    """Give the global generators the states that `states` returned."""
    random.setstate(before[PYTHON])
    if NUMPY in before:
        key, *rest = before[NUMPY]
        np.random.set_state(("MT19937", np.frombuffer(key, np.uint32), *rest))
    if TORCH in before:
        torch = torch_module()
        torch.set_rng_state(torch.frombuffer(bytearray(before[TORCH]), dtype=torch.uint8))


@contextmanager
def kept(used: bool) -> Iterator[None]:
    """Leave the global generators as they were before, if they are `used`."""
    before = states() if used else None
    try:
        yield
    finally:
        if before is not None:
            restore(before)


def set_from(rng: np.random.Generator) -> None:
    """Set the global generators from what `rng` draws."""
    seeds = [int(word) for word in rng.integers(2**32, size=4)]
    random.seed(sum(word << 32 * place for place, word in enumerate(seeds)))
    if _numpy_state() is not None:
        np.random.seed(seeds)
    if (torch := torch_module()) is not None:
        torch.default_generator.manual_seed(seeds[0])


def set_at_random() -> None:
    """Set the global generators from the system's entropy, so that forks of one process do not draw alike. Runs in: a worker that starts."""
    random.seed()
    if _numpy_state() is not None:
        np.random.seed()
    if (torch := torch_module()) is not None:
        torch.default_generator.seed()


def _numpy_state() -> tuple[Any, ...] | None:
    """Return the state of NumPy's generator; None if the user has put another kind in its place, which no seed can set."""
    state: Any = np.random.get_state(legacy=False)
    if state["bit_generator"] != "MT19937":
        return None
    return state["state"]["key"].tobytes(), state["state"]["pos"], state["has_gauss"], state["gauss"]


def torch_module() -> Any:
    """Return PyTorch if this process has imported it, and to the end."""
    torch = sys.modules.get("torch")
    return torch if hasattr(torch, "default_generator") else None
