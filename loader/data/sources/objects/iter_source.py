"""What a Python generator yields, as a source: one process runs it, from its first sample to its last."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from numbers import Integral
from typing import Any

import numpy as np

from loader.data.global_rng import kept, states
from loader.data.sources.source import Source, spec_of_sample
from loader.data.spec import Sample, SampleSpec, as_parts
from loader.errors import ConfigError, PipelineError

_LONGEST_COUNT_S = 60.0

_log = logging.getLogger("loader.trainer")


class IterSource(Source):
    """Samples that a generator function yields, in its own order, for data that can only be read from start to end.

    One worker of its own runs the generator, anew in each epoch. So nothing is read in parallel, and the Loader takes neither `shuffle` nor `shard`,
    nor more than one worker, nor `on_error="substitute"`; the source has no subset and no split. A worker that takes the place of another one, and an
    epoch that is resumed in the middle, run the generator from its start and throw away what was delivered before, which must take no longer than
    `sample_timeout_s`. If the data can return sample i, use `MapSource`.

    Args:
        function: is called without arguments and returns what to iterate over, such as a generator. For the same batches, it must yield the same
            in each call.
        length: samples in an epoch; the generator is not asked for more. None: it is run once, here, to count them. A run that
            takes more than a minute is an error, since the generator may have no end.
        batched: it yields batches, `(x,)`, `(x, y)` or `(x, y, sample_weight)` of arrays with a leading axis, with any number of rows each.
            Their rows are the samples.

    Raises:
        ConfigError: `function` is a running generator, or not a function; `length` is not a number of samples; or counting found no end.

    Example:
        >>> from loader import IterSource, Loader
        >>> def squares():
        ...     for number in range(5):
        ...         yield number, number**2
        >>> with Loader(IterSource(squares), 2, workers=0) as loader:
        ...     [y.tolist() for x, y in loader]
        [[0, 1], [4, 9], [16]]
    """

    in_order = True

    def __init__(self, function: Callable[[], Iterable[Any]], length: int | None = None, batched: bool = False) -> None:
        if isinstance(function, Iterator):
            raise ConfigError(
                f"IterSource got a {type(function).__name__}, which can be run once only, and each epoch needs a run. "
                "Give the function that makes it, without calling it: IterSource(function)"
            )
        if not callable(function):
            again = ": IterSource(lambda: data)" if isinstance(function, Iterable) else ""
            raise ConfigError(f"IterSource needs a function that returns what to iterate over{again}; it got a {type(function).__name__}")
        if length is not None and (isinstance(length, bool) or not isinstance(length, Integral) or length < 1):
            raise ConfigError(f"length={length!r}: must be the number of samples in an epoch, 1 or more, or None to count them")
        if not isinstance(batched, bool):
            raise ConfigError(f"batched={batched!r}: must be True or False; the batches may have any number of rows")
        self._function = function
        self._batched = batched
        self._name = getattr(function, "__qualname__", type(function).__qualname__)
        self._run: Iterator[Sample] | None = None  # of this process
        self._next = 0  # the sample that it yields next
        self._first: Sample | None = None  # kept for whoever reads it next
        self._length = self._count() if length is None else int(length)

    def __len__(self) -> int:
        return self._length

    @cached_property
    def spec(self) -> SampleSpec:
        """Names, shapes and dtypes of a sample, from the first one, which is kept: for the same one again the generator would begin again.

        One that draws from global generators does begin again, so that what is drawn for a sample is drawn when it is made.
        """
        with kept(True):
            before = states()
            first = self.sample(0)
            draws = states() != before
        spec = spec_of_sample(self, first)
        self._first = None if draws else first
        return spec

    def sample(self, index: int) -> Sample:
        """Read sample `index` by running the generator up to it, from its start if it has already passed it."""
        if index == 0 and self._first is not None:
            first, self._first = self._first, None
            return first
        if self._run is None or index < self._next:
            self._run, self._next = self._samples(), 0
        run, self._run = self._run, None  # a generator that raises has ended
        for sample in run:
            self._next += 1
            if self._next > index:
                self._run = run
                return sample
        if not self._next:
            raise PipelineError(f"{self!r}: the generator yields nothing")
        raise PipelineError(
            f"{self!r}: the generator ended after {self._next:,} samples. What to do: give length={self._next}, or None to have them counted; "
            "if it yields another number each time, give a number that is always there"
        )

    def _samples(self) -> Iterator[Sample]:
        """Run the generator from its start."""
        made = self._function()
        if not isinstance(made, Iterable):
            raise PipelineError(f"{self._name} returned {made!r}, not something to iterate over. What to do: yield the samples in it")
        for item in made:
            yield from _rows(item) if self._batched else (as_parts(item),)

    def _count(self) -> int:
        started = time.monotonic()
        count = 0
        for _ in self._samples():
            count += 1
            if time.monotonic() - started > _LONGEST_COUNT_S:
                raise ConfigError(
                    f"{self._name} has yielded {count:,} samples in {_LONGEST_COUNT_S:.0f} s of being counted, and has not ended. "
                    "What to do: give length=, the number of samples in an epoch"
                )
        if not count:
            raise ConfigError(f"{self._name} yields nothing")
        seconds = time.monotonic() - started
        _log.info("%s was run once, in %.1f s, to count its samples; length=%d would save that", self._name, seconds, count)
        return count

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_run": None, "_first": None}

    def __repr__(self) -> str:
        return f"IterSource({self._name}, {self._length:,} sample{'s' if self._length > 1 else ''})"


def _rows(batch: Any) -> Iterator[Sample]:
    """Yield the samples of a batch. Raises ValueError if its arrays have no rows, or different numbers of them."""
    parts = as_parts(batch)
    arrays = [array for part in parts for array in (part.values() if isinstance(part, dict) else (part,))]
    rows = {len(array) if hasattr(array, "__len__") else None for array in arrays}
    if len(rows) != 1 or None in rows:
        shown = ", ".join(f"an array {np.shape(array)}" if hasattr(array, "__len__") else repr(array) for array in arrays)
        raise ValueError(f"with batched=True, the generator has to yield batches, whose arrays have the same number of rows; it yielded {shown}")
    for row in range(rows.pop() or 0):
        yield tuple({key: array[row] for key, array in part.items()} if isinstance(part, dict) else part[row] for part in parts)
