"""Any object with `len()` and `[]` as a source."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from loader.data.sources.source import Source, spec_of_first
from loader.data.sources.source_mistakes import instead_of
from loader.data.spec import Sample, SampleSpec
from loader.errors import ConfigError, PipelineError


class MapSource(Source):
    """Samples are `obj[0]` to `obj[len(obj) - 1]`: a PyTorch Dataset, a Grain source, a list, an array.

    `obj` is pickled once and sent to the workers, and each of them calls `obj[i]`. Whatever `obj` opens must be opened there, or be picklable.

    Args:
        obj: `len(obj)` is called once, here. `obj[i]` returns a sample: a tuple `(x,)`, `(x, y)` or `(x, y, sample_weight)`, or only x.

    Raises:
        ConfigError: `obj` lacks a method, is empty, is indexed by keys, or returns batches, as a Keras PyDataset does.
    """

    def __init__(self, obj: Any) -> None:
        kind = type(obj).__name__
        instead = instead_of(obj)
        if instead is not None:
            raise ConfigError(f"MapSource asks for obj[0], obj[1], ..., one sample each; {kind} is not such an object: {instead}")
        missing = [name for name in ("__len__", "__getitem__") if not hasattr(type(obj), name)]
        if missing:
            raise ConfigError(
                f"MapSource needs an object with __len__ and __getitem__; {kind} has no {' and no '.join(missing)}. "
                "An iterable can't be read in random order: put its items into a list, or give the object these methods"
            )
        try:
            self._length = len(obj)
        except (TypeError, NotImplementedError) as error:
            raise ConfigError(f"MapSource needs the number of samples, but len() of {kind} fails: {error}") from error
        if not self._length:
            raise ConfigError(f"MapSource got an empty {kind}")
        self._obj = obj

    def __len__(self) -> int:
        return self._length

    @cached_property
    def spec(self) -> SampleSpec:
        """Names, shapes and dtypes of a sample, from the first one. Raises PipelineError if that is not a sample, or is a batch."""
        spec, size = spec_of_first(self), getattr(self._obj, "batch_size", None)
        if isinstance(size, int) and size > 1 and all(leaf.shape[:1] == (size,) for leaf in spec.leaves):
            kind = type(self._obj).__name__
            raise PipelineError(
                f"{self!r} returns batches, {spec}, with as many rows as {kind}.batch_size={size}; the Loader makes batches itself. "
                "Make obj[i] one sample, and len(obj) the number of samples; or give the arrays: NpyArrays(x, y)"
            )
        return spec

    def sample(self, index: int) -> Sample:
        item = self._obj[index]
        return item if isinstance(item, tuple) else (item,)

    def __repr__(self) -> str:
        return f"MapSource({type(self._obj).__name__} of {self._length:,})"
