"""The generators that code draws from without being given one: NumPy's global one, that of `random`, and PyTorch's.

Half of all augmentation does that. Left alone, forked workers would draw alike, and two runs differently. So which of them the source and each
transform draw from is found out with the first sample, by comparing states, and those are set anew before each sample, from a stream that is a
function of seed, epoch, index and place as that of `rng` is. Whoever draws from none pays nothing.

A function that draws for some samples only, and not for the first, is not found out: looking at NumPy's state takes 35 µs (docs/measurements.md).
For its sake each worker's generators are set at random when it starts.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import numpy as np

from loader.data.global_rng import NUMPY, PYTHON, TORCH, states, torch_module
from loader.data.pipeline.segments import Transform, describe
from loader.data.rng import SOURCE_PLACE, SampleGenerator
from loader.data.rows import Indices, RowGauge, Targets, gauge_of
from loader.data.sources.source import Source, with_members
from loader.data.spec import Array, Sample
from loader.data.transforms import From
from loader.errors import ConfigError

Draws = Mapping[int, Sequence[str]]
"""By the place of a transform, or SOURCE_PLACE: the global generators that it draws from."""

_WORD = 0xFFFFFFFF
_SETS_STREAM = 1


class Detector(SampleGenerator):
    """Finds out which places draw from global generators while the first sample is run: each is compared with how the one before it left them."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.draws: dict[int, list[str]] = {}
        self._place = SOURCE_PLACE
        self._before = states()

    def at(self, epoch: int, index: int, place: int) -> np.random.Generator:
        """Return the generator of `place`, which begins here."""
        self.finish()
        self._place = place
        return super().at(epoch, index, place)

    def finish(self) -> None:
        """Compare for the place that has just run."""
        now = states()
        changed = [name for name, state in now.items() if name in self._before and state != self._before[name]]
        if changed:
            self.draws[self._place] = changed
        self._before = now


class GlobalGenerators(SampleGenerator):
    """A `SampleGenerator` that sets the global generators, too, for places that draw from them.

    Args:
        seed: of the loader.
        samples: in the source.
        draws: what the first sample told.
    """

    def __init__(self, seed: int, samples: int, draws: Draws) -> None:
        super().__init__(seed)
        self._samples = samples
        self._draws = draws
        self._seeds = SampleGenerator(seed, stream=_SETS_STREAM)
        self._offsets = {place: self._seeds.at(0, 0, place).bit_generator.random_raw() & _WORD for place in draws}

    def at(self, epoch: int, index: int, place: int) -> np.random.Generator:
        if place in self._draws:
            self.set(epoch, index, place)
        return super().at(epoch, index, place)

    def set(self, epoch: int, index: int, place: int) -> None:
        """Set what `place` draws from to the stream of a sample."""
        raw = self._seeds.at(epoch, index, place).bit_generator.random_raw
        first, second = raw(), raw()
        for name in self._draws[place]:
            if name == NUMPY:
                np.random.seed([first & _WORD, first >> 32, second & _WORD, second >> 32])
            elif name == PYTHON:
                random.seed(first << 64 | second)
            else:
                torch_module().default_generator.manual_seed(_scattered(epoch * self._samples + index + self._offsets[place]))


class SeededSource(Source):
    """A source that draws from global generators, read for one epoch: they are set before each sample, so samples are read one by one."""

    def __init__(self, source: Source, generators: GlobalGenerators, epoch: int) -> None:
        self._source = source
        self._generators = generators
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._source)

    def sample(self, index: int) -> Sample:
        self._generators.set(self._epoch, index, SOURCE_PLACE)
        return self._source.sample(index)

    def fetch(self, index: int) -> Sample:
        self._generators.set(self._epoch, index, SOURCE_PLACE)
        return self._source.fetch(index)

    def read(self, indices: Indices, out: Sequence[Array]) -> None:
        cell, first = gauge_of(out)
        for row, index in enumerate(indices.tolist()):
            self._generators.set(self._epoch, index, SOURCE_PLACE)
            self._source.read(indices[row : row + 1], Targets((leaf[row : row + 1] for leaf in out), RowGauge(cell, first + row)))


def with_declared(draws: Draws, transforms: Sequence[object]) -> Draws:
    """Return what draws from which generators, with what is known of libraries: with the first sample, not all that may draw has to."""
    declared = _declared(transforms)
    return {place: list(dict.fromkeys((*declared.get(place, ()), *draws.get(place, ())))) for place in sorted({*draws, *declared})}


def check_nothing_random_is_kept(source: Source, draws: Draws) -> None:
    """Raise ConfigError if `source` draws, and it, or one that it is made of, keeps its samples."""
    if SOURCE_PLACE in draws and any(member.keeps for member in with_members(source)):
        raise ConfigError(
            f"{source!r}: making a sample draws random numbers, and the cache would keep the first draw for ever. "
            "What to do: draw in a transform of the Loader, f(sample, rng), and cache what comes before"
        )


def _without_declared(draws: Draws, transforms: Sequence[object]) -> Draws:
    """Return what draws from generators without that being known of it beforehand."""
    declared = _declared(transforms)
    rest = {place: [name for name in names if name not in declared.get(place, ())] for place, names in draws.items()}
    return {place: names for place, names in rest.items() if names}


def _declared(transforms: Sequence[object]) -> Draws:
    return {place: transform.draws for place, transform in enumerate(transforms) if isinstance(transform, From) and transform.draws}


def in_words(draws: Draws, transforms: Sequence[Transform]) -> str | None:
    """Return who draws from which generator without that being known of it, and what to do; None if nobody does."""
    unexpected = _without_declared(draws, transforms)
    names = {SOURCE_PLACE: "the source"} | {place: describe(place, transforms[place]).rstrip(",") for place in unexpected if place != SOURCE_PLACE}
    said = "; ".join(f"{names[place]} draws from {' and '.join(_SHOWN[name] for name in generators)}" for place, generators in unexpected.items())
    return (
        f"{said}. They are set for each sample, so that batches stay the same. Better: draw from the rng that a transform is given" if said else None
    )


_SHOWN = {NUMPY: "NumPy's global generator", PYTHON: "that of the module random", TORCH: "PyTorch's"}


def _scattered(number: int) -> int:
    """Return 32 bits for the last 32 of a number, others for each: PyTorch makes no more than that of a seed, so random ones would repeat themselves.

    These are the last steps of MurmurHash3, which can be undone one by one.
    """
    number &= _WORD
    number = (number ^ (number >> 16)) * 0x85EBCA6B & _WORD
    number = (number ^ (number >> 13)) * 0xC2B2AE35 & _WORD
    return number ^ (number >> 16)
