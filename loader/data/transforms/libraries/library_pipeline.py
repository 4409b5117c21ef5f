"""What `From` needs to know of a library."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from loader.data.spec import Array


class LibraryPipeline(ABC):
    """A pipeline of another library, called in that library's own terms.

    Attributes:
        main: what the library calls the array that a pipeline is about, such as "image".
        draws: the global generators that it draws from (`global_rng`), which are to be set for each sample.
    """

    main: str
    draws: tuple[str, ...] = ()

    @abstractmethod
    def check(self, targets: tuple[str, ...]) -> None:
        """Raise ConfigError where the pipeline can't take arrays by these names."""

    @abstractmethod
    def run(self, arrays: Mapping[str, Array], rng: np.random.Generator) -> Mapping[str, Any]:
        """Return what the pipeline makes of one sample, by the same names.

        Args:
            arrays: by the library's names; contiguous, and the pipeline may change them.
            rng: the sample's generator.
        """
