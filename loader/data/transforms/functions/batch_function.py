"""A function of several samples at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from loader.data.named_arguments import NamedArguments
from loader.data.spec import Array, Sample, SampleSpec, as_parts
from loader.data.transforms.functions.map_function import name_of
from loader.errors import ConfigError, PipelineError

_PARTS = "(x,), (x, y) or (x, y, sample_weight)"


class Batch(NamedArguments):
    """Apply a function to several samples at once, for what is faster that way.

    How many come together depends on how fast they are made, so the function must treat each as if it were alone. A sum or a mean over the
    samples, or a draw that all share, would make the batches depend on the number of workers.

    Args:
        function: called as `f(samples, rngs)`. `samples` is like a batch: a tuple of arrays, or dicts of arrays, with one more axis in front.
            `rngs` is a list with the generator of each of them. It returns the same, for the same samples in the same order.
        check: run it also on each sample alone, and raise an error that names the first one that comes out otherwise. For debugging: it costs
            more than twice the time.

    Example:
        >>> import numpy as np
        >>> from loader import Loader, NpyArrays
        >>> from loader import transforms as T
        >>> def scale(samples, rngs):
        ...     (x,) = samples
        ...     return (x / x.max(axis=1, keepdims=True),)
        >>> with Loader(NpyArrays(np.array([[1.0, 2.0], [5.0, 4.0]])), 2, transforms=[T.Batch(scale)], workers=0) as loader:
        ...     [x.tolist() for (x,) in loader]
        [[[0.5, 1.0], [1.0, 0.8]]]
    """

    def __init__(self, function: Callable[[Sample, list[np.random.Generator]], Sample], check: bool = False) -> None:
        if not callable(function):
            raise ConfigError(f"Batch: {function!r} can't be called; give a function f(samples, rngs)")
        if not isinstance(check, bool):
            raise ConfigError(f"Batch: check={check!r}; give True or False")
        self.function = function
        self.check = check
        self.__name__ = self.__qualname__ = f"Batch({name_of(function)})"

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Transform one sample alone."""
        spec = SampleSpec.of(sample)
        made, result = self.run(spec, [leaf[None] for leaf in spec.flatten(sample)], [rng])
        return result.unflatten([leaf[0] for leaf in made])

    def run(self, spec: SampleSpec, rows: Sequence[Array], rngs: list[np.random.Generator]) -> tuple[list[Array], SampleSpec]:
        """Return what the function makes of several samples, and the spec of one.

        Args:
            spec: of a sample that goes in.
            rows: one array per leaf of `spec`, of shape `(n, *leaf.shape)`, which the function may change.
            rngs: a generator for each sample.

        Raises:
            PipelineError: what it returned is not as many samples.
        """
        made = self.function(spec.unflatten(rows), rngs)
        if made is None:
            raise PipelineError(f"{self.__name__} got None from the function; it must return the samples: {_PARTS}")
        try:
            parts = as_parts(made)
            firsts = [{key: _first(item) for key, item in part.items()} if isinstance(part, dict) else _first(part) for part in parts]
            result = SampleSpec.of(tuple(firsts))
        except (TypeError, ValueError) as error:
            raise PipelineError(f"{self.__name__} got something from the function that is not several samples: {error}") from None
        leaves = [np.asarray(parts[leaf.part] if leaf.key is None else parts[leaf.part][leaf.key]) for leaf in result.leaves]
        for leaf, array in zip(result.leaves, leaves, strict=True):
            if len(array) != len(rngs):
                raise PipelineError(f"{self.__name__} got {len(array)} rows of {leaf.name} from the function, for {len(rngs)} samples")
        return leaves, result

    def __repr__(self) -> str:
        return f"Batch({self.function!r}, check={self.check})"


def _first(rows: Any) -> Any:
    """Return the first row of what a function returned as a part. Raises TypeError or ValueError where there is none."""
    array = np.asarray(rows)
    if not array.ndim or not len(array):
        raise ValueError(f"an array of shape {array.shape} has no row for each sample")
    return array[0]
