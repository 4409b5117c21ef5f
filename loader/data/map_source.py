"""Any object with `len()` and `[]` as a source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loader.data.source import Source
from loader.data.spec import Sample, as_parts
from loader.errors import ConfigError


class MapSource(Source):
    """Samples are `obj[0]` to `obj[len(obj) - 1]`: a PyTorch Dataset, a Grain source, a list, an array.

    `obj` travels to the workers by pickle, once, and each of them calls `obj[i]`; so what `obj` opens, it must open there or be picklable.

    Args:
        obj: `len(obj)` is asked once, here. `obj[i]` is a sample: a tuple `(x,)`, `(x, y)` or `(x, y, sample_weight)`, or x alone.

    Raises:
        ConfigError: `obj` lacks a method, is empty, or goes by keys.
    """

    def __init__(self, obj: Any) -> None:
        missing = [name for name in ("__len__", "__getitem__") if not hasattr(type(obj), name)]
        if missing:
            raise ConfigError(
                f"MapSource needs an object with __len__ and __getitem__; {type(obj).__name__} has no {' and no '.join(missing)}. "
                "An iterable can't be read in random order: put its items into a list, or give the object these methods"
            )
        if isinstance(obj, Mapping):
            raise ConfigError(f"MapSource asks for obj[0], obj[1], ..., but {type(obj).__name__} goes by keys. For a dict of arrays: NpyArrays(obj)")
        try:
            self._length = len(obj)
        except (TypeError, NotImplementedError) as error:
            raise ConfigError(f"MapSource needs the number of samples, but len() of {type(obj).__name__} fails: {error}") from error
        if not self._length:
            raise ConfigError(f"MapSource got an empty {type(obj).__name__}")
        self._obj = obj

    def __len__(self) -> int:
        return self._length

    def sample(self, index: int) -> Sample:
        return as_parts(self._obj[index])

    def __repr__(self) -> str:
        return f"MapSource({type(self._obj).__name__} of {self._length:,})"
