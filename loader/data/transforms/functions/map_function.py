"""A function of one array."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from loader.data.named_arguments import NamedArguments
from loader.data.spec import Sample, as_parts
from loader.data.transforms.functions.field_places import FieldPlaces, array_at, with_arrays
from loader.data.transforms.leaf_transform import Fields, names_of_fields
from loader.errors import ConfigError, PipelineError


class Map(NamedArguments):
    """Apply a function of one array to each of the chosen arrays.

    Args:
        function: called as `f(array)`, or as `f(array, rng=rng)` if it has a parameter named `rng`: the sample's generator. Where several arrays
            are chosen, the draws for one follow those for the one before. To change several by the same draw, write a transform: a function of
            the whole sample.
        fields: the arrays to change.

    Example:
        >>> import numpy as np
        >>> from loader import Loader, NpyArrays
        >>> from loader import transforms as T
        >>> with Loader(NpyArrays(np.array([1.0, 4.0, 9.0])), 3, transforms=[T.Map(np.sqrt)], workers=0) as loader:
        ...     [x.tolist() for (x,) in loader]
        [[1.0, 2.0, 3.0]]
    """

    def __init__(self, function: Callable[..., Any], fields: Fields = "x") -> None:
        if not callable(function):
            raise ConfigError(f"Map: {function!r} can't be called; give a function of one array")
        self.function = function
        self.fields = names_of_fields(fields, "Map: fields")
        self._draws = takes_rng(function)
        self._places = FieldPlaces(self.fields)
        self.__name__ = self.__qualname__ = f"Map({name_of(function)})"

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Transform one sample."""
        sample = as_parts(sample)
        changed = []
        for place in self._places.of(sample):
            array = array_at(sample, place)
            made = self.function(array, rng=rng) if self._draws else self.function(array)
            if made is None:
                raise PipelineError(f"{self.__name__} got None from the function; it must return the changed array")
            changed.append((place, made))
        return with_arrays(sample, changed)

    def __repr__(self) -> str:
        return f"Map({self.function!r}, fields={self.fields!r})"


def takes_rng(function: Callable[..., Any]) -> bool:
    """Whether a function has a parameter named `rng`.

    Only the name tells: many functions of libraries have a second parameter that is something else.
    """
    try:
        return "rng" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # one that is written in C and does not tell
        return False


def name_of(function: object) -> str:
    """Return the name of a function, or the class of what is none."""
    name = getattr(function, "__name__", type(function).__name__)
    return "lambda" if name == "<lambda>" else str(name)
