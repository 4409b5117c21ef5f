"""Pipelines of Albumentations."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np

from loader.data.global_rng import NUMPY, PYTHON
from loader.data.spec import Array
from loader.data.transforms.libraries.library_pipeline import LibraryPipeline

_PICTURES = ("image", "mask", "volume")


class AlbumentationsPipeline(LibraryPipeline):
    """Calls `pipeline(image=…, mask=…, bboxes=…)`.

    The newest versions take generators, which costs nothing. Older ones take a seed, from which each of their transforms makes generators of its
    own. The oldest draw from the global ones.
    """

    main = "image"

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline
        self._takes_generators = hasattr(pipeline, "set_random_state")
        self._takes_seed = hasattr(pipeline, "set_random_seed")
        self._given: np.random.Generator | None = None
        self._python = random.Random()
        if not self._takes_generators and not self._takes_seed:
            self.draws = (PYTHON, NUMPY)

    def check(self, targets: tuple[str, ...]) -> None:
        """It says itself what it can't take, and what it can follows from its arguments."""

    def run(self, arrays: Mapping[str, Array], rng: np.random.Generator) -> Mapping[str, Any]:
        if self._takes_generators:
            if rng is not self._given:
                self._pipeline.set_random_state(rng, self._python)
                self._given = rng
            self._python.seed(rng.bit_generator.random_raw())
        elif self._takes_seed:
            self._pipeline.set_random_seed(int(rng.bit_generator.random_raw()) >> 1)
        like = {name: (array.shape, array.dtype) for name, array in arrays.items() if not name.startswith(_PICTURES)}
        made: dict[str, Any] = self._pipeline(**arrays)
        return {name: _alike(made[name], *like[name]) if name in like else made[name] for name in arrays}


def _alike(made: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return boxes, key points or their labels in the precision that they had: the library makes float64 or lists of them, but not of all."""
    array: Array = np.asarray(made)
    if not array.size:
        return np.empty((0, *shape[1:]), dtype)
    return array.astype(dtype) if array.dtype.kind == dtype.kind else array
