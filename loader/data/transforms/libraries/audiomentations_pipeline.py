"""Pipelines of audiomentations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from loader.data.global_rng import NUMPY, PYTHON
from loader.data.spec import Array
from loader.data.transforms.arguments import is_whole
from loader.data.transforms.libraries.library_pipeline import LibraryPipeline
from loader.errors import ConfigError


class AudiomentationsPipeline(LibraryPipeline):
    """Calls `pipeline(samples=…, sample_rate=…)`, which draws from the global generators. It has channels first, and the loader has them last."""

    main = "samples"
    draws = (PYTHON, NUMPY)

    def __init__(self, pipeline: Any, sample_rate: object) -> None:
        if not is_whole(sample_rate) or int(sample_rate) <= 0:  # type: ignore[call-overload]
            raise ConfigError(
                f"From: sample_rate={sample_rate!r}; pipelines of audiomentations need the number of samples in a second, such as 16000"
            )
        self._pipeline = pipeline
        self._sample_rate = int(sample_rate)  # type: ignore[call-overload]

    def check(self, targets: tuple[str, ...]) -> None:
        if targets != (self.main,):
            raise ConfigError(f"From: audiomentations takes one array, `samples`, and not {', '.join(targets)}. What to do: fields='x'")

    def run(self, arrays: Mapping[str, Array], rng: np.random.Generator) -> Mapping[str, Any]:
        given = arrays[self.main]
        if given.dtype != np.float32 or given.ndim not in (1, 2):
            raise ConfigError(
                f"From: audiomentations takes float32 of shape (samples,) or (samples, channels); this is {given.dtype.name} of shape {given.shape}. "
                "What to do: put a Cast or Rescale before it"
            )
        samples = np.ascontiguousarray(given.T)
        made = self._pipeline(samples=samples, sample_rate=self._sample_rate)
        return {self.main: np.asarray(made).T}
